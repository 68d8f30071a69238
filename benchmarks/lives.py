"""The days of a charge box on a clock that waits for nobody to have slept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ocppgw.chargepoint import handlers
from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.link import Unreachable
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import Direction, by_request
from ocppgw.plc.simulated import SimulatedPlc, SimulatorOptions
from ocppgw.plc.simulator import SimulatorDriver
from ocppgw.storage.base import Change, Collection, Document, Key
from ocppgw.storage.file import FileOptions, FileStorage, open_file
from ocppgw.testing.clock import FakeClock

HOUR = 3600.0
DAY = 24 * HOUR
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
SESSIONS = ((7.0, 2.0), (12.0, 2.5), (18.0, 3.0))  # hour of the day, hours it takes
TAG = "04A1B2C3"


class Profile(msgspec.Struct, frozen=True):
    """What is measured how often, in seconds; sessions are kept for ``keep`` days."""

    sample: int
    keep: int = 400
    heartbeat: int = 300
    poll: float = 30.0
    power: float = 7400.0


class Central:
    """Answers at once, unless it is away."""

    def __init__(self, clock: FakeClock, profile: Profile) -> None:
        self._clock = clock
        self._heartbeat = profile.heartbeat
        self.away = False
        self.starts = self.stops = self.samples = 0

    async def call(self, request: m.Request, deadline: float) -> m.Response:
        if self.away:
            raise Unreachable("nobody listens")
        accepted = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
        match request:
            case m.BootNotificationRequest():
                return m.BootNotificationResponse(
                    status=e.RegistrationStatus.ACCEPTED,
                    current_time=self._clock.now(),
                    interval=self._heartbeat,
                )
            case m.HeartbeatRequest():
                return m.HeartbeatResponse(current_time=self._clock.now())
            case m.AuthorizeRequest():
                return m.AuthorizeResponse(id_tag_info=accepted)
            case m.StartTransactionRequest():
                self.starts += 1
                return m.StartTransactionResponse(transaction_id=self.starts, id_tag_info=accepted)
            case m.StopTransactionRequest():
                self.stops += 1
            case m.MeterValuesRequest():
                self.samples += 1
        return by_request(Direction.TO_CENTRAL_SYSTEM, type(request)).response()


class Busy:
    """A store that counts: commits, and what is still being done."""

    def __init__(self, store: FileStorage) -> None:
        self._store = store
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.commits = 0

    async def idle(self) -> None:
        await self._idle.wait()

    @property
    def at_rest(self) -> bool:
        return self._idle.is_set()

    async def commit(self, *changes: Change) -> None:
        self.commits += 1
        await self._counted(self._store.commit(*changes))

    async def get(self, collection: Collection, key: Key) -> Document | None:
        return await self._counted(self._store.get(collection, key))

    async def find(
        self, collection: Collection, where: Mapping[str, Any] | None = None, **how: Any
    ) -> list[Document]:
        return await self._counted(self._store.find(collection, where, **how))

    async def next_number(self, sequence: str) -> int:
        return await self._counted(self._store.next_number(sequence))

    async def prune(self, now: datetime) -> int:
        return await self._counted(self._store.prune(now))

    async def _counted(self, work: Any) -> Any:
        self._under_way += 1
        self._idle.clear()
        try:
            return await work
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


class HurriedClock(FakeClock):
    """Does not wait for anybody to have slept, only for all to have done their work."""

    def __init__(self) -> None:
        super().__init__(BEGINS)
        self.store: Busy | None = None

    async def until(self, seconds: float) -> None:
        """Lives on to that many seconds after the beginning."""
        while True:
            await self._settled()
            if not self.wake_next(seconds):
                break
        self._move_to(seconds)

    async def _settled(self) -> None:
        assert self.store is not None
        # asyncio's own list of what can run: a number of turns would be a guess, and slow.
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while True:
            await asyncio.sleep(0)
            if ready:
                continue
            if self.store.at_rest:
                return
            await self.store.idle()


class Site:
    """The box, its PLC, and the people who come and go."""

    def __init__(self, box: ChargeBox, plc: SimulatedPlc, central: Central) -> None:
        self.box = box
        self.plc = plc
        self.central = central

    async def live_through(self, day: int, clock: HurriedClock) -> None:
        """One day with its sessions."""
        for hour, hours in SESSIONS:
            begin = day * DAY + hour * HOUR
            await clock.until(begin)
            self.plc.arrive(1)
            self.plc.present_tag(1, TAG)
            await clock.until(begin + 30)
            self.plc.start(1, TAG)
            await clock.until(begin + hours * HOUR)
            self.plc.stop(1)
            await clock.until(begin + hours * HOUR + 60)
            self.plc.leave(1)
        await clock.until((day + 1) * DAY)


@asynccontextmanager
async def site(path: Path, clock: HurriedClock, profile: Profile) -> AsyncIterator[Site]:
    """Everything started, with its store at that path."""
    settings = msgspec.convert(
        {
            "identity": "YEAR-1",
            "central_system": {"url": "http://127.0.0.1:9220/Ocpp/CentralSystemService"},
            "state": str(path),
            "plc": {"driver": "simulator"},
            "keep_sessions_days": profile.keep,
            "configuration": {"MeterValueSampleInterval": profile.sample},
        },
        ChargeBoxSettings,
    )
    store = await open_file(FileOptions(path=path), ChargeBox.collections(settings))
    clock.store = Busy(store)
    plc = SimulatedPlc(1, clock, SimulatorOptions(power=profile.power, poll=profile.poll))
    central = Central(clock, profile)
    box = ChargeBox(
        settings,
        storage=clock.store,  # type: ignore[arg-type]  # as much of one as a box needs
        clock=clock,
        http=None,  # type: ignore[arg-type]  # the peer stands for it
        driver=SimulatorDriver(plc),
        own_address=lambda: "http://127.0.0.1:9000/Ocpp/ChargePointService",
        observe=lambda _: None,
        options=lambda _, options_type: options_type(),
        peer=central,
        jitter=lambda: 1.0,
    )
    own = handlers.ocppgw_charge_point_handlers(box.context)
    box.use({kind: [("chargepoint", handler)] for kind, handler in own.items()})
    await box.start()
    try:
        yield Site(box, plc, central)
    finally:
        await box.stop()
        await store.close()
