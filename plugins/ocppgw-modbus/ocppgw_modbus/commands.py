"""Having the PLC do a command: plain writes, or the exchange of ``commandshake``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ocppgw.clock import Clock
from ocppgw.plc import PlcError, PlcOffline, PlcRefused, PlcTimeout
from ocppgw_modbus.bound import BoundCommand, Point
from ocppgw_modbus.bus import Bus, Urgency
from ocppgw_modbus.codec import Nonsense, Unfit, decode, encode
from ocppgw_modbus.commandshake import ENDS, Answer, Do, Exchange, Phase
from ocppgw_modbus.failures import DeviceSaysNo, Lost
from ocppgw_modbus.spec import CommandKind

log = logging.getLogger(__name__)

Writes = Sequence[tuple[Point, "float | str"]]

RESETS = frozenset({CommandKind.RESET, CommandKind.RESET_SOFT, CommandKind.RESET_HARD})
LOOK_EVERY = 0.1  # seconds between two looks at an answer
SETTLE = 2.0  # seconds that the PLC has to take its answer back


class CommandRunner:
    """One command section of one connector: one command at a time, the rest wait.

    ``spawn`` runs a coroutine in a task of the driver's own: a request whose asker was
    cancelled is lowered there.
    """

    def __init__(
        self,
        bound: BoundCommand,
        *,
        name: str,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.bound = bound
        self.name = name
        self.clock = clock
        self.spawn = spawn
        self._lock = asyncio.Lock()
        what = bound.kind.value.replace("_", " ")
        self.label = f"{what} of connector {bound.connector}" if bound.connector else what

    async def lower(self, bus: Bus) -> None:
        """Takes a request back that may still be up from before (a crash, a lost line)."""
        if self.bound.request is not None:
            await bus.write(self.bound.request, self.bound.down, Urgency.COMMAND)

    async def run(self, writes: Writes, bus: Bus, ends: float) -> None:
        """Does it before ``ends`` (the clock's monotonic time), or raises ``PlcError``."""
        self._check(writes)
        try:
            async with asyncio.timeout(max(0.0, ends - self.clock.monotonic())):
                await self._lock.acquire()
        except TimeoutError:
            raise PlcTimeout(
                f"{self.label}: the PLC is still busy with the one before, nothing was asked",
                withdrawn=True,
            ) from None
        try:
            if self.bound.request is None:
                await self._write_plainly(writes, bus, ends)
            else:
                await _Asking(self, writes, bus, ends).run()
        finally:
            self._lock.release()

    def _check(self, writes: Writes) -> None:
        """Refuses what does not fit its registers before anything is written."""
        for point, value in writes:
            try:
                encode(point, value)
            except Unfit as unfit:
                raise PlcRefused(f"{self.label}: {point} cannot say it: {unfit}") from None

    async def _write_plainly(self, writes: Writes, bus: Bus, ends: float) -> None:
        begun = False
        try:
            for point, value in writes:
                if self.clock.monotonic() >= ends:
                    raise PlcTimeout(f"{self.label}: not written in time", withdrawn=not begun)
                if self.bound.on_change and await self._stands(point, value, bus):
                    continue
                begun = True
                await bus.write(point, value, Urgency.COMMAND)
        except DeviceSaysNo as error:
            raise PlcRefused(f"{self.label}: the PLC answers {error} to {point}") from None
        except Lost as error:
            if begun:
                text = f"{self.label}: the connection broke while writing ({error})"
                raise PlcTimeout(f"{text}; it may still happen", withdrawn=False) from None
            raise PlcOffline(f"{self.label}: {error}") from None

    async def _stands(self, point: Point, value: float | str, bus: Bus) -> bool:
        """Whether the value stands there already."""
        words = (await bus.read([point], Urgency.COMMAND))[point]
        return list(words) == encode(point, value)


class _Asking:
    """One hand-shake of a command, from first look to outcome."""

    def __init__(self, runner: CommandRunner, writes: Writes, bus: Bus, ends: float) -> None:
        self._runner = runner
        self._bound = runner.bound
        self._label = runner.label
        self._clock = runner.clock
        self._writes = writes
        self._bus = bus
        self._ends = ends
        self._exchange = Exchange()
        self._request_up = False
        self._settled_at = float("inf")

    async def run(self) -> None:
        try:
            self._conclude(await self._exchange_to_end())
        except DeviceSaysNo as error:
            self._conclude_broken(PlcRefused(f"{self._label}: the PLC answers {error}"), error)
        except Lost as error:
            self._conclude_broken(PlcOffline(f"{self._label}: {error}"), error)
        finally:
            if self._request_up:
                self._runner.spawn(self._lower_quietly())

    async def _exchange_to_end(self) -> Do:
        while True:
            answer = await self._answer()
            now = self._clock.monotonic()
            do = self._exchange.step(
                answer, expired=now >= self._ends, settled=now >= self._settled_at
            )
            if do in ENDS:
                if do in (Do.DONE, Do.REFUSED) and answer is not Answer.IDLE:
                    self._warn("the PLC does not take its answer back")
                return do
            if do is Do.ASK:
                await self._ask()
            elif do is Do.LOWER:
                await self._runner.lower(self._bus)
                self._request_up = False
                self._settled_at = self._clock.monotonic() + SETTLE
            await self._clock.sleep(LOOK_EVERY)

    async def _answer(self) -> Answer:
        bound = self._bound
        assert bound.answer is not None
        words = await self._bus.read([bound.answer], Urgency.COMMAND)
        try:
            value = decode(bound.answer, words[bound.answer])
        except Nonsense:
            return Answer.OTHER
        known = {
            bound.idle: Answer.IDLE,
            bound.accepted: Answer.ACCEPTED,
            bound.refused: Answer.REFUSED,
        }
        return known.get(value, Answer.OTHER) if isinstance(value, int) else Answer.OTHER

    async def _ask(self) -> None:
        for point, value in self._writes:
            await self._bus.write(point, value, Urgency.COMMAND)
        assert self._bound.request is not None
        self._request_up = True  # before the write: its answer may be lost, not its effect
        await self._bus.write(self._bound.request, self._bound.up, Urgency.COMMAND)

    async def _lower_quietly(self) -> None:
        try:
            await self._runner.lower(self._bus)
        except (Lost, DeviceSaysNo) as error:
            # Every new connection begins with lowering what is still up.
            log.debug("%s: %s not lowered yet: %s", self._runner.name, self._label, error)

    def _conclude(self, outcome: Do) -> None:
        label = self._label
        if outcome is Do.REFUSED:
            raise PlcRefused(f"{label}: the PLC refused")
        if outcome is Do.NEVER_READY:
            raise PlcTimeout(
                f"{label}: the PLC did not take back an earlier answer, nothing was asked",
                withdrawn=True,
            )
        if outcome is Do.WITHDRAWN:
            raise PlcTimeout(f"{label}: the PLC did not answer, withdrawn", withdrawn=True)
        if outcome is Do.UNCLEAR:
            raise PlcTimeout(
                f"{label}: the PLC answered too late to withdraw, it may still happen",
                withdrawn=False,
            )

    def _conclude_broken(self, nothing_asked: PlcError, error: Exception) -> None:
        """The hand-shake broke off. An answer that had come counts all the same."""
        if self._exchange.phase is Phase.SETTLING:
            if self._bound.kind not in RESETS:  # those may well break the line
                self._warn(f"broken off after the PLC had answered ({error})")
            self._conclude(self._exchange.outcome)
            return
        if self._request_up or self._exchange.phase is Phase.WITHDRAWING:
            text = f"{self._label}: broken off before the PLC answered ({error})"
            raise PlcTimeout(f"{text}; it may still happen", withdrawn=False) from None
        raise nothing_asked from None

    def _warn(self, what: str) -> None:
        log.warning("%s: %s: %s", self._runner.name, self._label, what)
