"""Properties of the read plans: few, whole, allowed."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ocppgw_modbus.bound import Point
from ocppgw_modbus.coalesce import plan, split
from ocppgw_modbus.spec import ByteOrder, Hole, LimitsSpec, Read, Type, WordOrder


def make(
    address: int,
    size: int = 1,
    fc: Read = Read.HOLDING,
    unit: int = 1,
    *,
    alone: bool = False,
) -> Point:
    return Point(
        name=f"r{address}",
        connector=0,
        unit_id=unit,
        fc=fc,
        address=address,
        size=size,
        type=Type.BYTES,
        order=WordOrder.HI,
        byte_order=ByteOrder.BIG,
        write=None,
        scale=Decimal(1),
        offset=Decimal(0),
        unit=None,
        mask=None,
        shift=0,
        names={},
        minimum=None,
        maximum=None,
        no_value=None,
        phases=1,
        poll="normal",
        alone=alone,
    )


points = st.lists(
    st.builds(
        make,
        st.integers(0, 300),
        st.integers(1, 10),
        st.sampled_from(list(Read)),
        st.integers(1, 2),
    ),
    max_size=40,
)
limits = st.builds(
    LimitsSpec,
    registers_per_read=st.integers(10, 125),
    bits_per_read=st.integers(10, 200),
    gap=st.integers(0, 20),
    never_read=st.lists(
        st.builds(
            lambda fc, first, length: Hole(fc=fc, first=first, last=first + length),
            st.sampled_from(list(Read)),
            st.integers(0, 300),
            st.integers(0, 5),
        ),
        max_size=3,
    ),
)


@given(points, limits)
def test_every_point_lies_whole_in_exactly_one_block(
    wanted: list[Point], allowed: LimitsSpec
) -> None:
    blocks = plan(wanted, allowed)
    found = [one for block in blocks for one in block.points]
    assert sorted(map(id, found)) == sorted(map(id, wanted))
    for block in blocks:
        for one in block.points:
            assert (one.unit_id, one.fc) == (block.unit_id, block.fc)
            assert block.address <= one.address
            assert one.address + one.size <= block.address + block.count


@given(points, limits)
def test_no_block_is_too_long_or_crosses_what_it_must_not(
    wanted: list[Point], allowed: LimitsSpec
) -> None:
    for block in plan(wanted, allowed):
        bits = block.fc in (Read.COILS, Read.DISCRETE)
        assert block.count <= (allowed.bits_per_read if bits else allowed.registers_per_read)
        covered = {a for p in block.points for a in range(p.address, p.address + p.size)}
        unused = set(range(block.address, block.address + block.count)) - covered
        for hole in allowed.never_read:
            if hole.fc is block.fc:
                assert not unused & set(range(hole.first, hole.last + 1))
        run = 0
        for address in range(block.address, block.address + block.count):
            run = run + 1 if address in unused else 0
            assert run <= allowed.gap


@given(points, limits)
def test_neighbours_that_may_be_joined_are(wanted: list[Point], allowed: LimitsSpec) -> None:
    for one, other in pairwise(plan(wanted, allowed)):
        if (one.unit_id, one.fc) != (other.unit_id, other.fc):
            continue
        bits = one.fc in (Read.COILS, Read.DISCRETE)
        most = allowed.bits_per_read if bits else allowed.registers_per_read
        gap = other.address - one.address - one.count
        first = other.points[0]
        too_long = max(one.address + one.count, first.address + first.size) - one.address > most
        crossing = any(
            hole.fc is one.fc and hole.first < other.address and hole.last >= other.address - gap
            for hole in allowed.never_read
        )
        assert too_long or gap > allowed.gap or (gap > 0 and crossing)


@given(points, limits)
def test_splitting_ends_with_single_points(wanted: list[Point], allowed: LimitsSpec) -> None:
    todo = plan(wanted, allowed)
    single: list[Point] = []
    for _ in range(1000):
        if not todo:
            break
        block = todo.pop()
        parts = split(block, allowed)
        if not parts:
            assert len(block.points) == 1
            single += block.points
        assert len({id(p) for part in parts for p in part.points}) in (0, len(block.points))
        todo += parts
    assert sorted(map(id, single)) == sorted(map(id, wanted))


def test_the_demo_station_needs_few_reads() -> None:
    near = [make(0), make(1), make(4, 2), make(40)]
    blocks = plan(near, LimitsSpec(gap=2))
    assert [(block.address, block.count) for block in blocks] == [(0, 6), (40, 1)]
    assert str(blocks[0]) == "holding 0 to 5 of unit 1"


def test_gaps_are_left_out_before_a_block_is_halved() -> None:
    (block,) = plan([make(0), make(1), make(4)], LimitsSpec(gap=5))
    parts = split(block, LimitsSpec(gap=5))
    assert [(part.address, part.count) for part in parts] == [(0, 2), (4, 1)]
    halves = split(parts[0], LimitsSpec(gap=5))
    assert [(part.address, part.count) for part in halves] == [(0, 1), (1, 1)]


def test_a_register_that_is_read_alone_has_a_block_of_its_own() -> None:
    registers = [make(0), make(1, 2, alone=True), make(3, alone=True), make(4), make(5)]
    blocks = plan(registers, LimitsSpec(gap=4))
    assert [(block.address, block.count) for block in blocks] == [(0, 1), (1, 2), (3, 1), (4, 2)]


@given(points, st.sets(st.integers(0, 39)))
def test_nothing_shares_a_block_with_what_is_read_alone(
    members: list[Point], chosen: set[int]
) -> None:
    marked = [
        msgspec.structs.replace(point, alone=number in chosen)
        for number, point in enumerate(members)
    ]
    for block in plan(marked, LimitsSpec(gap=20)):
        assert len(block.points) == 1 or not any(point.alone for point in block.points)
