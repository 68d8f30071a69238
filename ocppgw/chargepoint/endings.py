"""How sessions end: what the stop says, and what it says where none was reported."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import Session, whole_second
from ocppgw.chargepoint.register import NO_TRANSACTION, SessionRegister
from ocppgw.chargepoint.stop_data import StopData
from ocppgw.delivery import TransactionLane
from ocppgw.ocpp.enums import Reason
from ocppgw.ocpp.model import StopTransactionRequest
from ocppgw.plc.base import StopWanted
from ocppgw.storage.base import Document

log = logging.getLogger(__name__)

# An end that is so much before its begin is worth a word; sooner, the begin was moved to
# a second of its own.
CLOCKS_DIFFER = timedelta(minutes=1)

# The queue's name for what belongs to no session of ours.
NO_SESSION = ""


class Endings:
    """Plans the commits that end sessions: their documents, and the messages."""

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        lane: TransactionLane,
        readings: Readings,
        stop_data: StopData,
        narrator: Narrator,
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._lane = lane
        self._readings = readings
        self._stop_data = stop_data
        self._narrator = narrator

    async def plan_end(self, plan: Plan, session: Session, event: StopWanted) -> None:
        flags = []
        known = session.transaction_id
        if event.transaction_id not in {None, known}:
            flags.append(f"the PLC ended it as transaction {event.transaction_id}")
        if event.meter_stop_wh < session.meter_start:
            flags.append(
                f"meter stop {event.meter_stop_wh} Wh is below meter start {session.meter_start} Wh"
            )
        ended_at = whole_second(event.at)
        if session.started_at - ended_at > CLOCKS_DIFFER:
            flags.append(f"by the clock it ended before it began, {ended_at:%Y-%m-%d %H:%M:%S}")
        request = StopTransactionRequest(
            transaction_id=NO_TRANSACTION if known is None else known,
            id_tag=event.id_tag,
            timestamp=max(ended_at, session.started_at),
            meter_stop=event.meter_stop_wh,
            reason=event.reason,
        )
        await self._plan_stop_of(plan, session, request, flags, read=True)

    async def plan_close(
        self,
        plan: Plan,
        session: Session,
        why: str,
        *,
        reason: Reason = Reason.OTHER,
        most: int | None = None,
    ) -> None:
        """Ends a session whose stop was never reported, with what was read of it; a
        reading above ``most`` is none of its own."""
        energy, at = self._readings.last_energy(session)
        if most is not None and energy > most:
            energy = max(most, session.checkpoint_wh)
        known = session.transaction_id
        request = StopTransactionRequest(
            transaction_id=NO_TRANSACTION if known is None else known,
            timestamp=at,
            meter_stop=energy,
            reason=reason,
        )
        flag = f"stopped at its last reading: {why}"
        await self._plan_stop_of(plan, session, request, [flag], read=False)

    async def _plan_stop_of(
        self,
        plan: Plan,
        session: Session,
        request: StopTransactionRequest,
        flags: list[str],
        *,
        read: bool,
    ) -> None:
        """``read`` says whether what is read now belongs to that stop."""
        end: Document = {"ended_at": request.timestamp, "meter_stop": request.meter_stop}
        plan.changes.append(self._register.put(session, "end", end))
        all_flags = (*session.flags, *flags)
        if flags:
            marked = self._register.put(session, "flags", {"flags": list(all_flags)})
            plan.changes.append(marked)
        data = await self._stop_data.plan_end(
            plan, session, request.timestamp, request.meter_stop, read=read
        )
        request = msgspec.structs.replace(request, transaction_data=data)
        plan.changes.append(self._lane.entry(session.session, request))
        plan.done.append(
            lambda: self._ended(session, request.timestamp, request.meter_stop, all_flags)
        )

    def plan_stray(self, plan: Plan, event: StopWanted) -> None:
        """A stop without a session of ours is reported all the same."""
        known = event.transaction_id
        request = StopTransactionRequest(
            transaction_id=NO_TRANSACTION if known is None else known,
            id_tag=event.id_tag,
            timestamp=whole_second(event.at),
            meter_stop=event.meter_stop_wh,
            reason=event.reason,
        )
        plan.changes.append(self._lane.entry(NO_SESSION, request))
        plan.done.append(lambda: self._stray(event, request))

    def tell_flags(self, session: Session, flags: tuple[str, ...]) -> None:
        for flag in flags:
            log.warning("%s: %s: %s", self._ledger.box, session.subject, flag)
            self._narrator.say(session.subject, flag)

    # Once it is durable

    def _ended(
        self, session: Session, ended_at: datetime, meter_stop: int, flags: tuple[str, ...]
    ) -> None:
        new_flags = flags[len(session.flags) :]
        session.ended_at = ended_at
        session.meter_stop = meter_stop
        session.flags = flags
        self._register.ended(session)
        self._lane.wake()
        self._narrator.say(
            connector(session.connector_id),
            f"session of {session.id_tag} ended at {meter_stop / 1000:.3f} kWh, "
            f"{(meter_stop - session.meter_start) / 1000:.3f} kWh charged",
        )
        self.tell_flags(session, new_flags)

    def _stray(self, event: StopWanted, request: StopTransactionRequest) -> None:
        self._lane.wake()
        what = (
            f"the PLC stopped at {event.meter_stop_wh} Wh a session that is not known; "
            f"reported as transaction {request.transaction_id}"
        )
        log.warning("%s: connector %s: %s", self._ledger.box, event.connector_id, what)
        self._narrator.say(connector(event.connector_id), what)
