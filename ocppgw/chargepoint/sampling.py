"""Samples: from a reading to MeterValues, to transactionData and to the saved energy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import Session, whole_second
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.stop_data import StopData
from ocppgw.chargepoint.values import sampled
from ocppgw.delivery import LatestLane, TransactionLane
from ocppgw.ocpp.enums import Measurand, ReadingContext
from ocppgw.ocpp.model import MeterValue, MeterValuesRequest
from ocppgw.plc.base import Reading
from ocppgw.storage.base import Document, StorageError

log = logging.getLogger(__name__)

# By connector: the contexts in which it is sampled, perhaps none.
Due: TypeAlias = Mapping[int, tuple[ReadingContext, ...]]

# A reading so close to the moment it was wanted for bears that moment's time.
SAME_MOMENT = timedelta(seconds=5)


class Sampler:
    """Makes samples durable, with the energy of the sessions they belong to.

    Those of a transaction go into the transaction lane, in order with its start and
    stop. Those of a connector without one are no billing: they go into the latest-only
    lane, under ``kept`` names a connector and context that come round again, so that an
    outage leaves the newest of them, and one that the central system does not accept
    holds up nothing.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        readings: Readings,
        transactions: TransactionLane,
        latest: LatestLane,
        stop_data: StopData,
        *,
        keys: Callable[[], Keys],
        kept: int,
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._readings = readings
        self._transactions = transactions
        self._latest = latest
        self._stop_data = stop_data
        self._keys = keys
        self._kept = kept

    async def take(self, due: Due, at: datetime | None = None, turn: int = 0) -> bool:
        """Samples connectors in one commit, and saves the energy of their sessions; whether
        the store took it.

        ``at`` is the moment of the clock that they are sampled for, the ``turn``-th of
        its kind; without it only transactions are sampled.
        """

        async def prepare() -> Plan:
            plan = Plan()
            for connector_id, contexts in due.items():
                reading = self._readings.fresh(connector_id)
                if reading is not None:
                    self._plan(plan, reading, contexts, at, turn)
            return plan

        try:
            await self._ledger.write(prepare)
        except StorageError as error:
            log.warning("%s: a meter value was not kept: %s", self._ledger.box, error)
            return False
        return True

    def _plan(
        self,
        plan: Plan,
        reading: Reading,
        contexts: tuple[ReadingContext, ...],
        at: datetime | None,
        turn: int,
    ) -> None:
        session = self._register.on(reading.connector_id)
        stamp = whole_second(reading.at)
        if session is not None:
            self._plan_checkpoint(plan, session, reading)
        if at is not None and abs(reading.at - at) <= SAME_MOMENT:
            stamp = at
        for context in contexts:
            if session is not None and session.accepted is not False:
                self._plan_session(plan, session, reading, context, stamp)
            elif at is not None:
                self._plan_idle(plan, reading, context, stamp, turn)

    def _plan_checkpoint(self, plan: Plan, session: Session, reading: Reading) -> None:
        energy = reading.energy_wh
        if energy is None or energy <= session.checkpoint_wh:
            return
        at = max(session.checkpoint_at, whole_second(reading.at))
        fields: Document = {"checkpoint_wh": energy, "checkpoint_at": at}
        plan.changes.append(self._register.put(session, "checkpoint", fields))

        def remember() -> None:
            session.checkpoint_wh, session.checkpoint_at = energy, at

        plan.done.append(remember)

    def _plan_session(
        self,
        plan: Plan,
        session: Session,
        reading: Reading,
        context: ReadingContext,
        stamp: datetime,
    ) -> None:
        reported, collected = self._sets(context)
        if values := sampled(reading, reported, context):
            request = MeterValuesRequest(
                connector_id=session.connector_id,
                transaction_id=session.transaction_id,
                meter_value=(MeterValue(timestamp=stamp, sampled_value=values),),
            )
            plan.changes.append(self._transactions.entry(session.session, request))
            plan.done.append(self._transactions.wake)
        if values := sampled(reading, collected, context):
            value = MeterValue(timestamp=stamp, sampled_value=values)
            self._stop_data.plan_sample(plan, session, value, context)

    def _plan_idle(
        self, plan: Plan, reading: Reading, context: ReadingContext, stamp: datetime, turn: int
    ) -> None:
        values = sampled(reading, self._sets(context)[0], context)
        if not values:
            return
        connector_id = reading.connector_id
        request = MeterValuesRequest(
            connector_id=connector_id,
            meter_value=(MeterValue(timestamp=stamp, sampled_value=values),),
        )
        name = f"values.{connector_id}.{context.value}.{turn % self._kept}"
        plan.changes.append(self._latest.put(name, request))
        plan.done.append(self._latest.wake)

    def _sets(self, context: ReadingContext) -> tuple[tuple[Measurand, ...], ...]:
        """What MeterValues report in that context, and what StopTransaction does."""
        keys = self._keys()
        if context is ReadingContext.SAMPLE_CLOCK:
            return keys.aligned_data, keys.stop_aligned_data
        return keys.sampled_data, keys.stop_sampled_data
