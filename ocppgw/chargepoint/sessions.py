"""Starts and stops: from the PLC's event to the transaction lane, in one commit."""

from __future__ import annotations

import logging

from ocppgw.chargepoint.answers import Answer, Answers
from ocppgw.chargepoint.endings import Endings
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import Session, whole_second
from ocppgw.chargepoint.register import SessionRegister, answer_to_start
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.stop_data import StopData
from ocppgw.clock import Clock
from ocppgw.delivery import TransactionLane
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import Reason
from ocppgw.ocpp.model import StartTransactionRequest
from ocppgw.plc.base import AnswerStart, AnswerStop, StartWanted, StopWanted
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)


class Sessions:
    """Plans the commits that begin and end sessions."""

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        lane: TransactionLane,
        answers: Answers,
        reservations: Reservations,
        endings: Endings,
        stop_data: StopData,
        clock: Clock,
        narrator: Narrator,
        *,
        refused_start_wait: float,
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._lane = lane
        self._answers = answers
        self._reservations = reservations
        self._endings = endings
        self._stop_data = stop_data
        self._clock = clock
        self._narrator = narrator
        self._refused_start_wait = refused_start_wait
        self._refused: dict[str, float] = {}
        self._bell = Bell(clock)

    async def load(self) -> None:
        """Waits anew for the stops of refused starts that the PLC knows of: it may have
        stopped while nobody was there to take it."""
        told = {answer.event_id for answer in await self._answers.pending() if _is_refusal(answer)}
        for session in self._register.running():
            if session.accepted is False and session.event_id not in told:
                self._await_stop(session)

    # Events

    async def plan_start(self, plan: Plan, event: StartWanted) -> None:
        """Adds to a commit what begins a session."""
        before = self._register.on(event.connector_id)
        if before is not None:
            why = "the PLC began another session before it ended this"
            await self._endings.plan_close(plan, before, why, most=event.meter_start_wh)
        # The PLC has begun it, so it is booked even where a connector was kept for another.
        intruded = self._reservations.refuses(event.connector_id, event.id_tag)
        reservation = self._reservations.usable_by(event.connector_id, event.id_tag)
        started_at = await self._register.free_second(event.connector_id, whole_second(event.at))
        session = Session(
            session=f"{event.connector_id}-{self._ledger.number()}",
            connector_id=event.connector_id,
            event_id=event.event_id,
            id_tag=event.id_tag,
            started_at=started_at,
            meter_start=event.meter_start_wh,
            checkpoint_wh=event.meter_start_wh,
            checkpoint_at=started_at,
            flags=() if intruded is None else (f"began although {intruded}",),
        )
        request = StartTransactionRequest(
            connector_id=event.connector_id,
            id_tag=event.id_tag,
            timestamp=started_at,
            meter_start=event.meter_start_wh,
            reservation_id=None if reservation is None else reservation.reservation_id,
        )
        if reservation is not None:
            self._reservations.plan_use(plan, reservation)
        self._register.expect(session)
        plan.undo.append(lambda: self._register.forget(session))
        plan.changes.append(self._register.put(session, "start", session.fields()))
        plan.changes.append(self._lane.entry(session.session, request))
        self._stop_data.plan_begin(plan, session)
        plan.done.append(lambda: self._began(session))

    async def plan_stop(self, plan: Plan, event: StopWanted) -> None:
        """Adds to a commit what ends a session, and the PLC's answer."""
        session = self._register.on(event.connector_id)
        former = await self._former(event, session)
        if session is not None and former is None:
            await self._endings.plan_end(plan, session, event)
        elif former is None or former.meter_stop != event.meter_stop_wh:
            self._endings.plan_stray(plan, event)
        self._plan_answer(plan, _booked(event))

    async def plan_answer_again(self, plan: Plan, event: StartWanted | StopWanted) -> None:
        """Adds the answer to an event that is known already: a PLC that raises it once
        more has forgotten it. Nothing, while the answer is on its way or not known."""
        answer: Answer
        if isinstance(event, StartWanted):
            session = self._register.on(event.connector_id)
            if session is None or session.event_id != event.event_id or session.accepted is None:
                return
            answer = answer_to_start(session)
        else:
            answer = _booked(event)
        if answer not in await self._answers.pending():
            self._plan_answer(plan, answer)

    def delivered(self, answer: Answer) -> None:
        """The PLC knows: from now on it has so long to stop what was refused."""
        session = self._register.on(answer.connector_id)
        if session is None or not _is_refusal(answer) or session.event_id != answer.event_id:
            return
        self._await_stop(session)

    async def run(self) -> None:
        """Stops the refused transactions that the PLC does not stop."""
        while True:
            self._bell.hush()
            now = self._clock.monotonic()
            running = {session.session: session for session in self._register.running()}
            self._refused = {name: at for name, at in self._refused.items() if name in running}
            for name, due in tuple(self._refused.items()):
                if due <= now:
                    await self._close_refused(running[name])
            waits = [due - now for due in self._refused.values() if due > now]
            await self._bell.wait(min(waits, default=None))

    def _plan_answer(self, plan: Plan, answer: Answer) -> None:
        plan.changes.append(self._answers.put(answer))
        plan.done.append(lambda: self._answers.wake(answer.connector_id))

    # One session

    async def _former(self, event: StopWanted, running: Session | None) -> Session | None:
        """The ended session whose stop this is, by the PLC's word.

        That is not believed where the meter stands above the start of the session that
        runs: many a PLC shows the last transaction id it was given, old as it may be.
        """
        if event.transaction_id is None or event.transaction_id <= 0:
            return None
        if running is not None:
            ours = running.transaction_id == event.transaction_id
            if ours or event.meter_stop_wh > running.meter_start:
                return None
        return await self._register.former(event.transaction_id)

    def _await_stop(self, session: Session) -> None:
        """The PLC has so long to stop a session that it knows to be refused."""
        self._refused[session.session] = self._clock.monotonic() + self._refused_start_wait
        self._bell.ring()

    async def _close_refused(self, session: Session) -> None:
        async def prepare() -> Plan | None:
            if session.ended_at is not None:
                return None
            plan = Plan()
            why = "its start was refused and the PLC reported no stop"
            await self._endings.plan_close(plan, session, why, reason=Reason.DE_AUTHORIZED)
            return plan

        try:
            await self._ledger.write(prepare)
        except StorageError as error:
            log.warning("%s: a refused transaction stays open: %s", self._ledger.box, error)
            self._await_stop(session)

    # Once it is durable

    def _began(self, session: Session) -> None:
        self._register.began(session)
        self._lane.wake()
        self._narrator.say(
            connector(session.connector_id),
            f"session of {session.id_tag} began at {session.meter_start / 1000:.3f} kWh",
        )
        self._endings.tell_flags(session, session.flags)


def _is_refusal(answer: Answer) -> bool:
    return isinstance(answer, AnswerStart) and not answer.accepted


def _booked(event: StopWanted) -> AnswerStop:
    return AnswerStop(event_id=event.event_id, connector_id=event.connector_id)
