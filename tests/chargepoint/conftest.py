"""A charge box between a simulated PLC and a scripted central system, under a clock that
stands still. The box can be killed at any of its waits and started again."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import defer

from ocppgw.chargepoint import handlers
from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.link import PeerFault, Unreachable, Unsayable
from ocppgw.observe import Exchange, StateChange
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import Direction, Version, by_request
from ocppgw.plc.base import Command, Driver, Station
from ocppgw.plc.simulated import SimulatedPlc, SimulatorOptions
from ocppgw.plc.simulator import SimulatorDriver
from ocppgw.storage.base import Change, Collection, Document, Key
from ocppgw.testing.clock import FakeClock, settle
from ocppgw.testing.storage import MemoryStorage
from ocppgw.testing.storage.memory import MemoryContents

IDENTITY = "BOX-1"
GRACE = 5.0


def accepted(status=e.AuthorizationStatus.ACCEPTED):
    return m.IdTagInfo(status=status)


class Life:
    """One run of the process: counts its waits, and ends at a given one.

    At its end nothing it does has an effect any more, as after SIGKILL.
    """

    def __init__(self, ends_at: int | None = None) -> None:
        self.waits = 0
        self.ends_at = ends_at
        self.over = False
        self.trace: list[str] = []

    async def passes(self, where: str) -> None:
        if not self.over:
            self.waits += 1
            self.trace.append(where)
            self.over = self.ends_at is not None and self.waits > self.ends_at
        if self.over:
            await asyncio.get_running_loop().create_future()

    async def around(self, where: str, call: Any) -> Any:
        try:
            await self.passes(f"before {where}")
        except BaseException:
            call.close()
            raise
        result = await call
        await self.passes(f"after {where}")
        return result


class MortalStorage(MemoryStorage):
    def __init__(self, life: Life, contents: MemoryContents) -> None:
        super().__init__(ChargeBox.COLLECTIONS, contents=contents)
        self._life = life

    async def commit(self, *changes: Change) -> None:
        what = ", ".join(change.collection.name for change in changes)
        await self._life.around(f"commit {what}", super().commit(*changes))

    async def find(
        self, collection: Collection, where: Mapping[str, Any] | None = None, **how: Any
    ) -> list[Document]:
        return await self._life.around(
            f"find {collection.name}", super().find(collection, where, **how)
        )

    async def get(self, collection: Collection, key: Key) -> Document | None:
        return await self._life.around(f"get {collection.name}", super().get(collection, key))


class MortalDriver(Driver):
    def __init__(self, life: Life, driver: Driver) -> None:
        self._life = life
        self._driver = driver

    async def run(self, station: Station) -> None:
        await self._driver.run(station)

    async def execute(self, command: Command, deadline: float) -> None:
        name = type(command).__name__
        await self._life.around(f"execute {name}", self._driver.execute(command, deadline))

    def supports(self, command: type[Command]) -> bool:
        return self._driver.supports(command)


class MortalPeer:
    def __init__(self, life: Life, central: ScriptedCentral) -> None:
        self._life = life
        self._central = central

    async def call(self, request: m.Request, deadline: float) -> m.Response:
        name = type(request).__name__
        return await self._life.around(f"call {name}", self._central.call(request, deadline))


class ScriptedCentral:
    """Keeps what reaches it, and answers as it should unless told otherwise."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.got: list[m.Request] = []
        self.away = False
        self.loses_answers = 0
        self.boot_answers: list[tuple[e.RegistrationStatus, int | None]] = []
        self.tags: dict[str, e.AuthorizationStatus] = {}
        self.said: dict[str, m.IdTagInfo] = {}
        self.faults: collections.Counter[type[m.Request]] = collections.Counter()
        self.unsayable: set[type[m.Request]] = set()
        self.delay = 0.0
        self.interval: int | None = 3600
        self._ids: dict[bytes, int] = {}

    async def call(self, request: m.Request, deadline: float) -> m.Response:
        if self.delay:
            await self._clock.sleep(min(self.delay, deadline))
        if type(request) in self.unsayable:
            raise Unsayable("2147483648 does not fit an xs:int")
        if self.away:
            raise Unreachable("nobody listens at http://central")
        self.got.append(request)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Unreachable("the connection broke")
        if self.faults[type(request)]:
            self.faults[type(request)] -= 1
            raise PeerFault("a fault", code="Receiver", subcode="InternalError", reason="oops")
        return self._answer(request)

    def of(self, *kinds: type[m.Request]) -> list[Any]:
        """What came of these kinds, repeats that are identical in every field left out."""
        seen = []
        for request in self.got:
            if isinstance(request, kinds) and request not in seen:
                seen.append(request)
        return seen

    def statuses(self, connector_id: int) -> list[m.StatusNotificationRequest]:
        return [
            r
            for r in self.got
            if isinstance(r, m.StatusNotificationRequest) and r.connector_id == connector_id
        ]

    def infos(self) -> list[str]:
        return [r.info for r in self.got if getattr(r, "info", None)]

    def _answer(self, request: m.Request) -> m.Response:
        match request:
            case m.BootNotificationRequest():
                status, interval = (
                    self.boot_answers.pop(0)
                    if self.boot_answers
                    else (e.RegistrationStatus.ACCEPTED, self.interval)
                )
                return m.BootNotificationResponse(
                    status=status, current_time=self._clock.now(), interval=interval
                )
            case m.HeartbeatRequest():
                return m.HeartbeatResponse(current_time=self._clock.now())
            case m.AuthorizeRequest(id_tag=tag):
                return m.AuthorizeResponse(id_tag_info=self._info(tag))
            case m.StartTransactionRequest(id_tag=tag):
                key = msgspec.json.encode(request)
                number = self._ids.setdefault(key, 1001 + len(self._ids))
                return m.StartTransactionResponse(
                    transaction_id=number, id_tag_info=self._info(tag)
                )
            case m.StopTransactionRequest(id_tag=tag) if tag in self.said:
                return m.StopTransactionResponse(id_tag_info=self.said[tag])
            case _:
                operation = by_request(Direction.TO_CENTRAL_SYSTEM, type(request))
                return operation.response()

    def _info(self, tag: str) -> m.IdTagInfo:
        status = self.tags.get(tag, e.AuthorizationStatus.ACCEPTED)
        return self.said.get(tag, accepted(status))


class World:
    """The PLC and the central system outlive the charge box between them."""

    def __init__(self, connectors: int = 2, **settings: Any) -> None:
        self.clock = FakeClock()
        self.plc = SimulatedPlc(connectors, self.clock, SimulatorOptions(power=0.0, poll=30.0))
        self.central = ScriptedCentral(self.clock)
        self.contents = MemoryContents()
        self.settings = msgspec.convert(
            {
                "identity": IDENTITY,
                "central_system": {"url": "http://127.0.0.1:9220/Ocpp/CentralSystemService"},
                "connectors": connectors,
                "state": "box.db",
                "plc": {"driver": "simulator"},
                **settings,
                "configuration": {
                    "MeterValueSampleInterval": 0,
                    **settings.get("configuration", {}),
                },
            },
            ChargeBoxSettings,
        )
        self.observed: list[Any] = []
        self.box: ChargeBox | None = None
        self.storage: MortalStorage | None = None
        self._before: set[asyncio.Task[Any]] = set()

    async def start(self, ends_at: int | None = None) -> Life:
        """A new life of the charge box."""
        self.life = Life(ends_at)
        self.storage = MortalStorage(self.life, self.contents)
        self._before = asyncio.all_tasks()
        self.box = box = ChargeBox(
            self.settings,
            storage=self.storage,
            clock=self.clock,
            http=None,
            driver=MortalDriver(self.life, SimulatorDriver(self.plc)),
            own_address=lambda: "http://127.0.0.1:9000/Ocpp/ChargePointService",
            observe=self.observed.append,
            options=lambda plugin, options_type: options_type(),
            peer=MortalPeer(self.life, self.central),
            jitter=lambda: 1.0,
        )
        box.use(
            {
                kind: [("chargepoint", handler)]
                for kind, handler in handlers.ocppgw_charge_point_handlers(box.context).items()
            }
        )
        starting = asyncio.ensure_future(box.start())
        await settle()
        if starting.done():
            await starting
        return self.life

    async def kill(self) -> None:
        """SIGKILL: nothing that was under way goes on."""
        self.life.over = True
        left = asyncio.all_tasks() - self._before - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        self.box = None

    async def stop(self) -> None:
        if self.box is not None:
            await self.box.stop()
            self.box = None

    async def order(self, request: m.Request) -> Any:
        """The central system commands."""
        operation = by_request(Direction.TO_CHARGE_POINT, type(request))
        call = Called(self.box.context, self.clock)
        return await self.box.answer(operation, request, call)

    async def ordered(self, request: m.Request, seconds: float = 60.0) -> Any:
        """The same, for a command that takes time."""
        answer = asyncio.ensure_future(self.order(request))
        await self.clock.advance(seconds)
        return await answer

    async def session(self, connector_id: int = 1, tag: str = "TAG", wh: float = 4200) -> None:
        """A car charges."""
        self.plc.start(connector_id, tag)
        await self.clock.advance(60)
        self.plc.charge(connector_id, wh)
        await self.clock.advance(60)
        self.plc.stop(connector_id)
        await self.clock.advance(60)

    def story(self) -> list[str]:
        return [f"{o.subject}: {o.what}" for o in self.observed if isinstance(o, StateChange)]

    def exchanges(self) -> list[Exchange]:
        return [o for o in self.observed if isinstance(o, Exchange)]

    def answers(self, kind: type[Command]) -> list[Any]:
        return [answer for answer in self.plc.answers if isinstance(answer, kind)]


class Called:
    """A call of the central system, for handlers."""

    def __init__(self, box: Any, clock: FakeClock) -> None:
        self.identity = box.identity
        self.version = Version.V15
        self.received_at = clock.now()
        self.remote_address = "127.0.0.1"
        self.box = box


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Makes worlds; what a failed test leaves running is killed."""
    made: list[World] = []

    def make(*arguments: Any, **settings: Any) -> World:
        made.append(World(*arguments, **settings))
        return made[-1]

    yield make
    for world in made:
        if world.box is not None:
            pytest_twisted.blockon(_in_reactor(world.kill))


@pytest.fixture
def world(make_world) -> World:
    return make_world()


def _in_reactor(work: Callable[[], Coroutine[Any, Any, None]]) -> defer.Deferred[None]:
    from twisted.internet import reactor

    begun: defer.Deferred[Any] = defer.Deferred()
    reactor.callLater(0, begun.callback, None)
    return begun.addCallback(lambda _: defer.Deferred.fromFuture(asyncio.ensure_future(work())))
