"""Turns on one connection: who may send next, and what a write of a value is.

Watchdogs go first, then commands and hand-shakes, then polls; between any two requests
the more urgent one gets the line.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import IntEnum
from typing import Protocol, TypeVar

import msgspec

from ocppgw_modbus.bound import Point
from ocppgw_modbus.coalesce import Block, plan, split
from ocppgw_modbus.codec import encode
from ocppgw_modbus.failures import ILLEGAL_ADDRESS, DeviceSaysNo, Lost, NoAnswer
from ocppgw_modbus.spec import LimitsSpec, Read, Write

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 3  # requests in a row that a device may leave unanswered


class Urgency(IntEnum):
    """Smaller goes first."""

    WATCHDOG = 0
    COMMAND = 1
    POLL = 2


class Turns:
    """A lock that the most urgent waiter gets next; equals in the order they came."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        if self._taken:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (urgency, next(self._numbers), future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._next()  # the turn was ours already: pass it on
                raise
        self._taken = True
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._taken = False


class Line(Protocol):
    """What a bus needs of a connection (:class:`ocppgw_modbus.lines.Tap`)."""

    def turn(self, urgency: Urgency, unit: int) -> AbstractAsyncContextManager[None]: ...

    async def read(self, unit: int, fc: Read, address: int, count: int) -> list[int]: ...

    async def write(
        self, unit: int, fc: Write, address: int, values: list[int], mask: int | None = None
    ) -> None: ...


class Bus:
    """Reads and writes points of one device, by urgency, as long as the device answers.

    Everything raises ``Lost`` and ``DeviceSaysNo``; writes also
    ``codec.Unfit``, before anything is sent. What the device left unanswered is
    ``NoAnswer`` for polls and life bits, which come again anyway, until it has been
    silent for ``PATIENCE`` requests; elsewhere it is ``Lost`` at once, and for everything
    that follows: what a request did that nobody answered is only clear after a new start.
    """

    def __init__(self, line: Line, limits: LimitsSpec) -> None:
        self._line = line
        self._without_gaps = msgspec.structs.replace(limits, gap=0)
        self._answered = False
        self._silent = 0
        self._lost: str | None = None

    async def read_block(self, block: Block, urgency: Urgency) -> dict[Point, list[int]]:
        """What a block's points hold, as words."""

        async def request() -> list[int]:
            return await self._line.read(block.unit_id, block.fc, block.address, block.count)

        words = await self._ask(request, urgency, block.unit_id, again=True)
        return {
            point: words[point.address - block.address :][: point.size] for point in block.points
        }

    async def read(self, points: Iterable[Point], urgency: Urgency) -> dict[Point, list[int]]:
        """What these points hold, as words; nothing between them is read.

        A block that the device does not have as a whole is read in parts.
        """
        found: dict[Point, list[int]] = {}
        todo = plan(points, self._without_gaps)
        while todo:
            block = todo.pop(0)
            try:
                found |= await self.read_block(block, urgency)
            except DeviceSaysNo as error:
                parts = split(block, self._without_gaps) if error.code == ILLEGAL_ADDRESS else []
                if not parts:
                    raise
                todo[:0] = parts
        return found

    async def write(self, point: Point, value: float | str, urgency: Urgency) -> None:
        """Writes one value. Only a life bit is written again when its answer is garbled:
        what a PLC takes as an order must not come twice."""
        assert point.write is not None, f"{point} cannot be written"
        words = encode(point, value)
        write = point.write
        mask = point.mask if write is Write.MASK else None

        async def request() -> None:
            await self._line.write(point.unit_id, write, point.address, words, mask)

        await self._ask(request, urgency, point.unit_id, again=urgency is Urgency.WATCHDOG)

    async def _ask(
        self, request: Callable[[], Awaitable[T]], urgency: Urgency, unit: int, *, again: bool
    ) -> T:
        """One request; ``again``: it may be made twice, if the answer is garbled, or is
        needed now and does not come."""
        async with self._line.turn(urgency, unit):
            try:
                if self._lost is not None:
                    raise Lost(self._lost)
                try:
                    result = await request()
                except NoAnswer as missed:
                    if not again or not (missed.garbled or urgency is Urgency.COMMAND):
                        raise
                    log.debug("unit %d: %s; asked again", unit, missed)
                    result = await request()
            except NoAnswer as missed:
                self._missed(str(missed), urgency, unit)
                raise
            except DeviceSaysNo:
                self._answered, self._silent = True, 0
                raise
        self._answered, self._silent = True, 0
        return result

    def _missed(self, why: str, urgency: Urgency, unit: int) -> None:
        """Counts an answer that did not come; raises ``Lost`` if that is the end."""
        self._silent += 1
        patient = self._answered and urgency is not Urgency.COMMAND
        if not patient or self._silent >= PATIENCE:
            self._lost = f"unit {unit}: {why}"
            raise Lost(self._lost) from None
