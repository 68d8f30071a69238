"""Lines: the one connection to a serial port or TCP port, shared by all devices on it.

Two devices on an RS-485 bus, or behind one gateway, have one connection and one order of
turns, whichever charge box of the process they belong to. The connection is made when
the first device wants it and closed when the last one lets go of it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec

from ocppgw.clock import Clock
from ocppgw.errors import UserError
from ocppgw_modbus.bus import Turns, Urgency
from ocppgw_modbus.client import Client
from ocppgw_modbus.failures import Lost, NoAnswer
from ocppgw_modbus.framing import Echo, Framing
from ocppgw_modbus.spec import Read, Write
from ocppgw_modbus.wires import Wire

log = logging.getLogger(__name__)

SILENT = 6  # requests in a row that nobody on the line answered, until it is opened anew


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A device on a line. ``timeout`` is what its own requests may take, ``shortest`` the
    time between two writes of its fastest life bit, in seconds."""

    name: str
    timeout: float
    connect_timeout: float
    shortest: float | None = None


class SharedLine:
    """One connection, while somebody needs it; each device uses it through a :meth:`tap`."""

    def __init__(self, wire: Wire, owner: str, clock: Clock) -> None:
        self.wire = wire
        self.owner = owner
        self.clock = clock
        self.turns = Turns()
        self.used = False
        self._taps: set[Tap] = set()
        self._client: Client | None = None
        self._connecting: asyncio.Task[Client] | None = None
        self._silent = 0
        self._rests: dict[int, float] = {}
        self._echo = Echo()

    def tap(self, member: Member) -> Tap:
        """A device's access; not connected yet."""
        return Tap(self, member)

    @property
    def patient(self) -> bool:
        """Whether an answer that does not come leaves the connection standing."""
        return self.wire.framing is Framing.RTU or len(self._taps) > 1

    def timeout(self, member: Member) -> float:
        """Seconds for a request: one that hangs must not starve anybody's life bit."""
        shortest = (tap.member.shortest for tap in self._taps)
        return min([member.timeout, *(every / 2 for every in shortest if every is not None)])

    async def attach(self, tap: Tap) -> Client:
        """The connection, made if there is none; :class:`Lost` if it cannot be made."""
        self.used = True
        self._taps.add(tap)
        while self._client is None or not self._client.connected:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect(tap.member))
                self._connecting.add_done_callback(self._connected)
            attempt = self._connecting
            try:
                # It is everybody's attempt: one who no longer waits does not end it.
                await asyncio.wait([attempt])
            except asyncio.CancelledError:
                if self._taps == {tap}:
                    attempt.cancel()
                    await asyncio.wait([attempt])
                raise
            if not attempt.cancelled():
                return attempt.result()
        return self._client

    async def _connect(self, member: Member) -> Client:
        client = Client(
            self.wire,
            timeout=member.timeout,
            connect_timeout=member.connect_timeout,
            echo=self._echo,
        )
        await client.connect()
        self._client = client
        self._silent = 0
        self._rests.clear()
        return client

    def _connected(self, attempt: asyncio.Task[Client]) -> None:
        self._connecting = None
        if not attempt.cancelled():
            attempt.exception()  # those who wait for it are told

    def detach(self, tap: Tap) -> None:
        """A device lets go; the last one closes the connection."""
        self._taps.discard(tap)
        if not self._taps and self._client is not None:
            self._client.close()
            self._client = None

    @asynccontextmanager
    async def turn(self, urgency: Urgency, unit: int) -> AsyncIterator[None]:
        """The line for one request to that unit, the most urgent first.

        A unit that left one unanswered is given time first: what it still says belongs
        to that one, and on RTU nothing tells it from the next answer.
        """
        while True:
            while (rest := self._rest_of(unit)) > 0:
                await self.clock.sleep(rest)
            async with self.turns.turn(urgency):
                # Who was before us may have left it another one.
                if self._rest_of(unit) <= 0:
                    yield
                    return

    @contextmanager
    def watched(self, client: Client, unit: int, timeout: float) -> Iterator[None]:
        """Keeps book on one request: who is silent, and whether everybody is."""
        try:
            yield
        except NoAnswer:
            self._rest(unit, timeout)
            self._silent += 1
            if self._silent < SILENT:
                raise
            client.close("nobody on the line answers")
            raise Lost("nobody on the line answers") from None
        except asyncio.CancelledError:
            self._rest(unit, timeout)
            raise
        except Lost:
            raise
        except Exception:
            self._silent = 0  # it answered, if only to say no
            raise
        self._silent = 0

    def _rest_of(self, unit: int) -> float:
        """Seconds that a unit is to be left alone."""
        return self._rests.get(unit, 0.0) - self.clock.monotonic()

    def _rest(self, unit: int, timeout: float) -> None:
        if self.wire.framing is Framing.RTU:
            self._rests[unit] = self.clock.monotonic() + timeout


class Tap:
    """A device's access to a line, from :meth:`connect` to :meth:`close`."""

    def __init__(self, line: SharedLine, member: Member) -> None:
        self._line = line
        self.member = member
        self._client: Client | None = None

    async def connect(self) -> None:
        """Joins the connection, or makes it; :class:`Lost` if it cannot be made."""
        self._client = await self._line.attach(self)

    def close(self) -> None:
        self._client = None
        self._line.detach(self)

    @asynccontextmanager
    async def turn(self, urgency: Urgency, unit: int) -> AsyncIterator[None]:
        """See :meth:`SharedLine.turn`."""
        async with self._line.turn(urgency, unit):
            yield

    async def read(self, unit: int, fc: Read, address: int, count: int) -> list[int]:
        """See :meth:`Client.read`; to be called in a turn."""
        client, timeout = self._ready()
        with self._line.watched(client, unit, timeout):
            return await client.read(unit, fc, address, count, timeout=timeout)

    async def write(
        self, unit: int, fc: Write, address: int, values: list[int], mask: int | None = None
    ) -> None:
        """See :meth:`Client.write`; to be called in a turn."""
        client, timeout = self._ready()
        with self._line.watched(client, unit, timeout):
            await client.write(unit, fc, address, values, mask, timeout=timeout)

    def _ready(self) -> tuple[Client, float]:
        if self._client is None:
            raise Lost("the connection is closed")
        self._client.patient = self._line.patient
        return self._client, self._line.timeout(self.member)


# A port is a thing of the whole process: charge boxes that share one find it here.
_lines: weakref.WeakValueDictionary[str, SharedLine] = weakref.WeakValueDictionary()


def shared_line(wire: Wire, owner: str, clock: Clock) -> SharedLine:
    """The line over that port, the same one for everybody who asks.

    Raises :class:`UserError` if two devices that were made together want it differently.
    One that works already is left alone: its box may be about to go (a reload).
    """
    known = _lines.get(wire.place)
    if known is not None and known.wire != wire and not known.used:
        del known
        gc.collect()  # a driver that was made for a check only is gone, but not yet collected
        known = _lines.get(wire.place)
        if known is not None and not known.used:
            raise UserError(
                f"{wire.place} is to be {wire.settings} for {owner}, and"
                f" {known.wire.settings} for {known.owner}; all devices on one line have the"
                " same settings, correct one of them"
            )
    if known is None or known.wire != wire:
        known = SharedLine(wire, owner, clock)
        _lines[wire.place] = known
    return known
