"""A charge box's lanes with everything around them scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ocppgw.delivery import Entry, LatestLane, RetryPolicy, TransactionLane
from ocppgw.link.base import BadReply, PeerFault, PeerTimeout, Unreachable
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.storage import Collection, Projection, Put
from ocppgw.testing.clock import FakeClock, settle
from ocppgw.testing.storage import MemoryStorage

SESSIONS = Collection("sessions", ("session",))
POLICY = RetryPolicy(attempts=3, interval=60.0, deadline=30.0)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Make:
    """Messages and failures, for tests to name."""

    @staticmethod
    def start(connector_id: int = 1) -> m.StartTransactionRequest:
        return m.StartTransactionRequest(
            connector_id=connector_id, id_tag="TAG", timestamp=NOON, meter_start=100
        )

    @staticmethod
    def values(wh: int) -> m.MeterValuesRequest:
        reading = m.MeterValue(timestamp=NOON, sampled_value=(m.SampledValue(value=str(wh)),))
        return m.MeterValuesRequest(connector_id=1, transaction_id=None, meter_value=(reading,))

    @staticmethod
    def stop(wh: int = 900) -> m.StopTransactionRequest:
        return m.StopTransactionRequest(transaction_id=-1, timestamp=NOON, meter_stop=wh)

    @staticmethod
    def status(connector_id: int, status: e.ChargePointStatus) -> m.StatusNotificationRequest:
        return m.StatusNotificationRequest(
            connector_id=connector_id,
            status=status,
            error_code=e.ChargePointErrorCode.NO_ERROR,
            timestamp=NOON,
        )

    @staticmethod
    def fault() -> PeerFault:
        return PeerFault("fault InternalError", code="Receiver", subcode="InternalError", reason="")

    @staticmethod
    def bad_reply() -> BadReply:
        return BadReply("an HTML page instead of an answer", raw=b"<html>")

    @staticmethod
    def cut_off(times: int) -> list[Exception]:
        return [Unreachable("connection refused") for _ in range(times)]


class ScriptedPeer:
    """Answers as a central system, unless the script has something else first: an
    exception to raise, a coroutine function to await, or ``None`` for the usual.
    Requests of the types in ``refused`` are always refused; those of the connectors in
    ``unanswered`` are never answered."""

    def __init__(self) -> None:
        self.requests: list[m.Request] = []
        self.deadlines: list[float] = []
        self.script: list[Any] = []
        self.refused: dict[type[m.Request], Exception] = {}
        self.unanswered: set[int] = set()
        self.ids: dict[bytes, int] = {}

    async def call(self, request: m.Request, deadline: float) -> m.Response:
        self.requests.append(request)
        self.deadlines.append(deadline)
        await asyncio.sleep(0)
        outcome = self.script.pop(0) if self.script else None
        if isinstance(outcome, Exception):
            raise outcome
        if callable(outcome):
            await outcome()
        if getattr(request, "connector_id", None) in self.unanswered:
            raise PeerTimeout("no answer in 30 s")
        if type(request) in self.refused:
            raise self.refused[type(request)]
        return self.answer(request)

    def answer(self, request: m.Request) -> m.Response:
        if isinstance(request, m.StartTransactionRequest):
            # The same start, sent again, gets the same id.
            known = self.ids.setdefault(msgspec.json.encode(request), 1000 + len(self.ids))
            info = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
            return m.StartTransactionResponse(transaction_id=known, id_tag_info=info)
        if isinstance(request, m.StopTransactionRequest):
            return m.StopTransactionResponse()
        if isinstance(request, m.MeterValuesRequest):
            return m.MeterValuesResponse()
        return m.StatusNotificationResponse()

    @property
    def sent(self) -> list[str]:
        """What was sent, in short: ``Start 1``, ``Values 150 of 1000``, ``Stop 1000``."""
        return [_short(request) for request in self.requests]


def _short(request: m.Request) -> str:
    match request:
        case m.StartTransactionRequest():
            return f"Start {request.connector_id}"
        case m.MeterValuesRequest():
            wh = request.meter_value[0].sampled_value[0].value
            return f"Values {wh} of {request.transaction_id}"
        case m.StopTransactionRequest():
            return f"Stop {request.transaction_id}"
        case m.StatusNotificationRequest():
            return f"Status {request.connector_id} {request.status.value}"
    raise AssertionError(request)


class ScriptedBook:
    """Knows transaction ids by session, from its document as a charge box would."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.heard: list[str] = []
        self.fail: dict[str, Exception] = {}

    def addressed(self, session: str, request: m.Request) -> m.Request:
        if "addressed" in self.fail:
            raise self.fail["addressed"]
        if isinstance(request, m.StartTransactionRequest):
            return request
        return msgspec.structs.replace(request, transaction_id=self.ids.get(session, -1))

    def answered(self, entry: Entry, response: m.Response) -> Sequence[Projection]:
        if "answered" in self.fail:
            raise self.fail["answered"]
        self.heard.append(f"{entry.session} {entry.operation} answered")
        if isinstance(response, m.MeterValuesResponse):
            return []
        fields: dict[str, Any] = {f"answer_{entry.sequence}": entry.operation}
        if isinstance(response, m.StartTransactionResponse):
            self.ids[entry.session] = response.transaction_id
            fields["transaction_id"] = response.transaction_id
        return [Put(SESSIONS, (entry.session,), fields, entry.sequence, str(entry.sequence))]

    def gave_up(self, entry: Entry, why: str) -> Sequence[Projection]:
        if "gave_up" in self.fail:
            raise self.fail["gave_up"]
        self.heard.append(f"{entry.session} {entry.operation} given up: {why}")
        fields = {f"given_up_{entry.sequence}": why}
        return [Put(SESSIONS, (entry.session,), fields, 1, f"given up {entry.sequence}")]


class World:
    """The parts of a box that outlive a crash (store, central system, clock), and its lanes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.storage = MemoryStorage()
        self.peer = ScriptedPeer()
        self.policy = POLICY
        self.told: list[str] = []
        self.settled: list[int] = []

    async def boot(self) -> None:
        """Makes lanes and book anew from what the store holds."""
        self.storage = type(self.storage)(contents=self.storage.contents)
        self.book = ScriptedBook()
        for document in await self.storage.find(SESSIONS):
            if "transaction_id" in document:
                self.book.ids[document["session"]] = document["transaction_id"]
        self.lane = TransactionLane(
            box="BOX-1",
            storage=self.storage,
            clock=self.clock,
            peer=self.peer,
            book=self.book,
            policy=lambda: self.policy,
            changed=self.told.append,
            settled=lambda entry: self.settled.append(entry.sequence),
            jitter=lambda: 1.0,
        )
        self.latest = LatestLane(
            box="BOX-1",
            storage=self.storage,
            clock=self.clock,
            peer=self.peer,
            policy=lambda: self.policy,
            changed=self.told.append,
            jitter=lambda: 1.0,
        )
        await self.lane.load()
        await self.latest.load()

    @asynccontextmanager
    async def running(self, *, gate: bool = True) -> AsyncIterator[None]:
        """Runs both lanes for the length of a block, then pulls the plug."""
        tasks = [asyncio.ensure_future(lane.run()) for lane in (self.lane, self.latest)]
        if gate:
            self.lane.open()
            self.latest.open()
        await settle()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)

    async def queue(self, session: str, *requests: m.Request) -> None:
        for request in requests:
            await self.storage.commit(self.lane.entry(session, request))
        self.lane.wake()
        await settle()

    async def session(self, name: str) -> dict[str, Any]:
        return await self.storage.get(SESSIONS, (name,)) or {}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make() -> Make:
    return Make()
