"""Few reads for many points: adjacent ones share a block.

Pure functions. A block never spans more than a read may, never runs across more unused
addresses than the map's gap, never across what the map says must not be read, and a
point that is to be read alone has a block of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ocppgw_modbus.bound import BIT_TABLES, Point
from ocppgw_modbus.spec import Hole, LimitsSpec, Read


class Block(msgspec.Struct, frozen=True):
    """One read; ``points`` in the order of their addresses."""

    unit_id: int
    fc: Read
    address: int
    count: int
    points: tuple[Point, ...]

    def __str__(self) -> str:
        last = self.address + self.count - 1
        return f"{self.fc.name.lower()} {self.address} to {last} of unit {self.unit_id}"


def plan(points: Iterable[Point], limits: LimitsSpec) -> list[Block]:
    """The reads that fetch all points, each point whole in one block."""
    ordered = sorted(set(points), key=lambda p: (p.unit_id, p.fc.value, p.address, p.size))
    blocks: list[Block] = []
    run: list[Point] = []
    for point in ordered:
        if run and not _joins(run, point, limits):
            blocks.append(_block(run))
            run = []
        run.append(point)
    if run:
        blocks.append(_block(run))
    return blocks


def split(block: Block, limits: LimitsSpec) -> list[Block]:
    """A block that the device refuses, in smaller ones; empty: it cannot be split.

    First the unused addresses are left out, then it is halved.
    """
    without_gaps = plan(block.points, msgspec.structs.replace(limits, gap=0))
    if len(without_gaps) > 1 or without_gaps[0].count < block.count:
        return without_gaps
    if len(block.points) == 1:
        return []
    middle = len(block.points) // 2
    return [_block(block.points[:middle]), _block(block.points[middle:])]


def _block(points: Iterable[Point]) -> Block:
    members = tuple(points)
    first = members[0].address
    end = max(point.address + point.size for point in members)
    return Block(members[0].unit_id, members[0].fc, first, end - first, members)


def _joins(run: list[Point], point: Point, limits: LimitsSpec) -> bool:
    if (run[0].unit_id, run[0].fc) != (point.unit_id, point.fc):
        return False
    if point.alone or run[-1].alone:
        return False
    end = max(one.address + one.size for one in run)
    most = limits.bits_per_read if point.fc in BIT_TABLES else limits.registers_per_read
    if max(end, point.address + point.size) - run[0].address > most:
        return False
    unused = point.address - end
    if unused > limits.gap:
        return False
    return unused <= 0 or not _crosses(limits.never_read, point.fc, end, point.address - 1)


def _crosses(holes: Iterable[Hole], fc: Read, first: int, last: int) -> bool:
    return any(hole.fc is fc and hole.first <= last and first <= hole.last for hole in holes)
