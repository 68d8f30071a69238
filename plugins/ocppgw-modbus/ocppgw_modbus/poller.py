"""Reads what has to be polled, in as few reads as the device lets us."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from ocppgw.clock import Clock
from ocppgw_modbus.bound import Point
from ocppgw_modbus.bus import Bus, Urgency
from ocppgw_modbus.coalesce import Block, plan, split
from ocppgw_modbus.failures import ILLEGAL_ADDRESS, DeviceSaysNo, Lost, NoAnswer
from ocppgw_modbus.spec import LimitsSpec

log = logging.getLogger(__name__)

PATIENCE = 3  # refused polls in a row of one block until the device counts as lost
RETRY_MISSING = 60.0  # seconds between two looks at a register that the device has not


class Poller:
    """The blocks of each poll group, and what the device was found not to answer.

    Lives as long as the driver: how blocks had to be split is remembered over
    reconnections.
    """

    def __init__(
        self,
        points: Iterable[tuple[str, Point]],
        polls: Mapping[str, float],
        limits: LimitsSpec,
        *,
        name: str,
        clock: Clock,
    ) -> None:
        self._name = name
        self._clock = clock
        self._limits = limits
        self._intervals = polls
        grouped: dict[str, set[Point]] = {}
        for group, point in points:
            grouped.setdefault(group, set()).add(point)
        self._planned = {group: plan(members, limits) for group, members in grouped.items()}
        self.blocks = {group: list(blocks) for group, blocks in self._planned.items()}
        self._due = dict.fromkeys(self.blocks, 0.0)
        self._missing: dict[Block, float] = {}
        self._refused: dict[Block, int] = {}
        self._unanswered: set[Block] = set()
        self._faults: dict[Block, str] = {}
        self._told: dict[Block, str] = {}
        self.everything = False

    @property
    def complete(self) -> bool:
        """Whether no block is refused, or left unanswered, at present."""
        return not self._refused and not self._unanswered

    def restart(self) -> None:
        """A new connection: everything is due, and what was missing is tried again."""
        self.all_due()
        self._missing.clear()
        self._refused.clear()
        self._unanswered.clear()
        self._faults.clear()

    def all_due(self) -> None:
        """The next poll is one of all groups."""
        self._due = dict.fromkeys(self.blocks, self._clock.monotonic())

    async def wait(self) -> None:
        """Until the next poll is due."""
        if self._due:
            await self._clock.sleep(max(0.0, min(self._due.values()) - self._clock.monotonic()))
        else:
            await self._clock.sleep(min(self._intervals.values()))

    async def poll(self, bus: Bus) -> dict[Point, list[int]]:
        """What the groups that are due hold; points that could not be read are left out.

        ``everything`` says afterwards whether those were all groups.

        Raises :class:`Lost` when the device does not answer any more, or keeps refusing.
        """
        now = self._clock.monotonic()
        found: dict[Point, list[int]] = {}
        missing = len(self._missing)
        self.everything = all(due <= now for due in self._due.values())
        for group, due in self._due.items():
            if due <= now:
                self._due[group] = max(due + self._intervals[group], now)
                for block in tuple(self.blocks[group]):
                    found |= await self._read(group, block, bus)
        if found:
            self._tell()
        elif len(self._missing) > missing:
            # It may be a device that is not ready yet: nothing is learnt from this.
            self.blocks = {group: list(blocks) for group, blocks in self._planned.items()}
            raise Lost(
                "it has none of the map's registers (illegal data address);"
                " is it the right map, and the right unit_id?"
            )
        return found

    async def _read(self, group: str, block: Block, bus: Bus) -> dict[Point, list[int]]:
        if self._missing.get(block, 0.0) > self._clock.monotonic():
            return {}
        try:
            found = await bus.read_block(block, Urgency.POLL)
        except DeviceSaysNo as error:
            if error.code == ILLEGAL_ADDRESS:
                return await self._read_parts(group, block, bus)
            self._count(block, error)
            return {}
        except NoAnswer as missed:
            # The bus counts these; what was read last holds until the next poll.
            log.debug("%s: %s: %s", self._name, block, missed)
            self._unanswered.add(block)
            self.everything = False
            return {}
        self._unanswered.discard(block)
        self._refused.pop(block, None)
        self._missing.pop(block, None)
        self._faults.pop(block, None)
        for told in [one for one in self._told if found.keys() >= set(one.points)]:
            del self._told[told]
        return found

    async def _read_parts(self, group: str, block: Block, bus: Bus) -> dict[Point, list[int]]:
        """Splits a block that the device has not as a whole, for good."""
        self._unanswered.discard(block)
        parts = split(block, self._limits)
        if not parts:
            self._missing[block] = self._clock.monotonic() + RETRY_MISSING
            without = ", ".join(map(str, block.points))
            self._faults[block] = f"has no {block} (illegal data address); without it: {without}"
            return {}
        blocks = self.blocks[group]
        place = blocks.index(block)
        blocks[place : place + 1] = parts
        found: dict[Point, list[int]] = {}
        for part in parts:
            found |= await self._read(group, part, bus)
        return found

    def _count(self, block: Block, error: DeviceSaysNo) -> None:
        refused = self._refused.get(block, 0) + 1
        self._refused[block] = refused
        self._faults[block] = f"answers {error} to reading {block}"
        if refused >= PATIENCE:
            raise Lost(f"it {self._faults[block]}")

    def _tell(self) -> None:
        """Names what the device does not answer, each block once until it does. A device
        that answers nothing at all is told as one that is lost."""
        for block, fault in self._faults.items():
            if self._told.get(block) != fault:
                self._told[block] = fault
                log.warning("%s: the device %s", self._name, fault)
