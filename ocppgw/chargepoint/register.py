"""The sessions in memory, and what the transaction lane asks and tells about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.records import SESSIONS, Session, session_of
from ocppgw.delivery import Entry
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import (
    IdTagInfo,
    MeterValuesRequest,
    Request,
    Response,
    StartTransactionRequest,
    StartTransactionResponse,
    StopTransactionRequest,
    StopTransactionResponse,
)
from ocppgw.plc.base import AnswerStart
from ocppgw.storage.base import Document, Projection, Put, Range

log = logging.getLogger(__name__)

NO_TRANSACTION = -1

A_SECOND = timedelta(seconds=1)
# Of the sessions that may have begun in a certain second no more are looked at: far more
# than these end after it only where the clock has been set back by weeks.
LOOKED_AT = 500


class SessionRegister:
    """Every session that is not done, by its name and, while it runs, by its connector.

    It is the transaction lane's :class:`ocppgw.delivery.SessionBook`.
    """

    def __init__(
        self,
        ledger: Ledger,
        answers: Answers,
        narrator: Narrator,
        *,
        said: Callable[[str, IdTagInfo], None],
    ) -> None:
        """``said`` is told what the central system says of a tag."""
        self._ledger = ledger
        self._answers = answers
        self._narrator = narrator
        self._said = said
        self._sessions: dict[str, Session] = {}
        self._running: dict[int, Session] = {}
        self._changed: list[Callable[[Session], None]] = []

    async def load(self) -> None:
        """Learns of the sessions that were not done when the process ended."""
        where = {"box": self._ledger.box, "done": False}
        for document in await self._ledger.storage.find(SESSIONS, where):
            session = session_of(document)
            self._sessions[session.session] = session
            if session.ended_at is None:
                self._running[session.connector_id] = session

    def when_changed(self, call: Callable[[Session], None]) -> None:
        """``call`` is told of each session that began, was answered or ended."""
        self._changed.append(call)

    # What the rooms ask

    def running(self) -> tuple[Session, ...]:
        """The sessions that run, by connector."""
        return tuple(self._running[number] for number in sorted(self._running))

    def on(self, connector_id: int) -> Session | None:
        """The session that runs on a connector."""
        return self._running.get(connector_id)

    def with_transaction(self, transaction_id: int) -> Session | None:
        """The running session of that transaction."""
        return next((s for s in self._running.values() if s.transaction_id == transaction_id), None)

    async def former(self, transaction_id: int) -> Session | None:
        """The newest session of that transaction that no longer runs."""
        where = {"box": self._ledger.box, "transaction_id": transaction_id}
        found = [session_of(d) for d in await self._ledger.storage.find(SESSIONS, where)]
        ended = [session for session in found if session.ended_at is not None]
        return max(ended, key=lambda session: session.started_at, default=None)

    async def free_second(self, connector_id: int, moment: datetime) -> datetime:
        """The first whole second from that one on in which no session of the connector
        began. A start is told from the repeat of another by its second (Q19): two of one
        tag within it, no energy between them, would be one and the same message."""
        where = {"box": self._ledger.box, "ended_at": Range(at_least=moment)}
        found = await self._ledger.storage.find(
            SESSIONS, where, order_by="ended_at", limit=LOOKED_AT
        )
        sessions = [session_of(document) for document in found] + list(self._running.values())
        taken = {each.started_at for each in sessions if each.connector_id == connector_id}
        while moment in taken:
            moment += A_SECOND
        return moment

    # What the sessions room does

    def expect(self, session: Session) -> None:
        """A session is about to be committed: the lane may ask for it any moment."""
        self._sessions[session.session] = session

    def forget(self, session: Session) -> None:
        """It could not be committed after all."""
        del self._sessions[session.session]

    def began(self, session: Session) -> None:
        self._running[session.connector_id] = session
        self._tell(session)

    def ended(self, session: Session) -> None:
        del self._running[session.connector_id]
        self._tell(session)

    def put(self, session: Session, part: str, fields: Document) -> Projection:
        """A change of a session's document."""
        key = (self._ledger.box, session.session)
        return Put(SESSIONS, key, fields, version=self._ledger.number(), part=part)

    # What the lane asks (SessionBook)

    def addressed(self, session: str, request: Request) -> Request:
        known = self._sessions.get(session)
        if known is None or not isinstance(request, StopTransactionRequest | MeterValuesRequest):
            return request
        transaction_id = NO_TRANSACTION if known.transaction_id is None else known.transaction_id
        return msgspec.structs.replace(request, transaction_id=transaction_id)

    def answered(self, entry: Entry, response: Response) -> Sequence[Projection]:
        self._judged(entry.request, response)
        session = self._sessions.get(entry.session)
        if session is None:
            return ()
        if isinstance(response, StartTransactionResponse):
            session.transaction_id = response.transaction_id
            session.accepted = response.id_tag_info.status is AuthorizationStatus.ACCEPTED
            return self._start_answered(session)
        if isinstance(entry.request, StopTransactionRequest):
            session.done = True
            return (self.put(session, "done", {"done": True}),)
        return ()

    def _judged(self, request: Request, response: Response) -> None:
        """Passes on what an answer says of the request's tag."""
        if not isinstance(request, StartTransactionRequest | StopTransactionRequest):
            return
        if not isinstance(response, StartTransactionResponse | StopTransactionResponse):
            return
        if request.id_tag is not None and response.id_tag_info is not None:
            self._said(request.id_tag, response.id_tag_info)

    def gave_up(self, entry: Entry, why: str) -> Sequence[Projection]:
        session = self._sessions.get(entry.session)
        if session is None or isinstance(entry.request, MeterValuesRequest):
            return ()
        flag = f"{entry.operation} was parked: {why}"
        if flag not in session.flags:  # asked again, if the parking could not be stored
            session.flags = (*session.flags, flag)
        flags = self.put(session, "flags", {"flags": list(session.flags)})
        if not isinstance(entry.request, StartTransactionRequest):
            return (flags,)
        session.transaction_id = NO_TRANSACTION
        session.accepted = False
        return (flags, *self._start_answered(session))

    def settled(self, entry: Entry) -> None:
        """What the lane made of that entry is durable now."""
        session = self._sessions.get(entry.session)
        if session is None:
            return
        if isinstance(entry.request, StartTransactionRequest):
            self._answers.wake(session.connector_id)
            verdict = "accepted" if session.accepted else "refused"
            self._narrator.say(
                f"connector {session.connector_id}",
                f"start {verdict} by the central system, transaction {session.transaction_id}",
                echo=True,
            )
            self._tell(session)
        elif session.done:
            del self._sessions[session.session]
            self._narrator.say(session.subject, "stop booked by the central system", echo=True)

    def _start_answered(self, session: Session) -> tuple[Projection, Projection]:
        answer = answer_to_start(session)
        fields: Document = {
            "transaction_id": session.transaction_id,
            "accepted": session.accepted,
        }
        return self.put(session, "answer", fields), self._answers.put(answer)

    def _tell(self, session: Session) -> None:
        for call in self._changed:
            call(session)


def answer_to_start(session: Session) -> AnswerStart:
    """What the PLC is told of a session that the central system has answered."""
    assert session.transaction_id is not None
    assert session.accepted is not None
    return AnswerStart(
        event_id=session.event_id,
        connector_id=session.connector_id,
        accepted=session.accepted,
        transaction_id=session.transaction_id,
    )
