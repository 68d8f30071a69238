"""Meter values of running transactions, and the energy that survives a power cut."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import Session, whole_second
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.settings import Checkpoints
from ocppgw.clock import Clock
from ocppgw.delivery import TransactionLane
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ReadingContext
from ocppgw.ocpp.model import MeterValue, MeterValuesRequest, SampledValue
from ocppgw.plc.base import Measured, Reading
from ocppgw.storage.base import Document, StorageError

log = logging.getLogger(__name__)

# A reading older than this says nothing about now.
STALE_AFTER = 60.0
ROUNDING = 1e-6


class _Pace:
    """When a running session is sampled and checkpointed next, in monotonic seconds."""

    def __init__(self, session: Session, clock: Clock) -> None:
        age = max(0.0, (clock.now() - session.started_at).total_seconds())
        self.session = session
        self.began = clock.monotonic() - age
        self.sampled = clock.monotonic()
        self.saved = clock.monotonic()
        self.warned = False

    def sample_due(self, interval: float) -> float:
        """The first multiple of the interval from the start that was not sampled yet."""
        if interval <= 0:
            return math.inf
        passed = math.floor((self.sampled - self.began) / interval + ROUNDING)
        return self.began + (passed + 1) * interval


class Metering:
    """Samples every MeterValueSampleInterval seconds from the start of a transaction.

    Readings live in memory; what is durable is the energy at start, stop, each sample,
    and every so many Wh or minutes.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        lane: TransactionLane,
        clock: Clock,
        narrator: Narrator,
        *,
        keys: Callable[[], Keys],
        checkpoint: Checkpoints,
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._lane = lane
        self._clock = clock
        self._narrator = narrator
        self._keys = keys
        self._checkpoint = checkpoint
        self._readings: dict[int, tuple[float, Reading]] = {}
        self._paces: dict[str, _Pace] = {}
        self._bell = Bell(clock)

    def saw(self, reading: Reading) -> None:
        """Keeps the newest reading of each connector."""
        self._readings[reading.connector_id] = self._clock.monotonic(), reading
        session = self._register.on(reading.connector_id)
        energy = reading.energy_wh
        if session is None or energy is None:
            return
        if energy - session.checkpoint_wh >= self._checkpoint.wh:
            self._bell.ring()
        elif energy < session.checkpoint_wh:
            self._warn_of_fall(session, energy)

    def newest(self, session: Session) -> tuple[int, datetime]:
        """The last energy that is known of a running session, and since when."""
        seen = self._readings.get(session.connector_id)
        energy = None if seen is None else seen[1].energy_wh
        if seen is None or energy is None or energy <= session.checkpoint_wh:
            return session.checkpoint_wh, session.checkpoint_at
        return energy, max(session.checkpoint_at, whole_second(seen[1].at))

    def nudge(self) -> None:
        """Sessions changed."""
        self._bell.ring()

    def interval_changed(self) -> None:
        """What the new interval would have brought before now is not made up for."""
        for pace in self._paces.values():
            pace.sampled = self._clock.monotonic()
        self._bell.ring()

    async def run(self) -> None:
        while True:
            self._bell.hush()
            self._keep_pace()
            for pace in tuple(self._paces.values()):
                await self._attend(pace)
            now = self._clock.monotonic()
            waits = [max(0.0, self._due(pace) - now) for pace in self._paces.values()]
            await self._bell.wait(min(waits, default=None))

    def _keep_pace(self) -> None:
        running = {session.session: session for session in self._register.running()}
        self._paces = {
            name: self._paces.get(name) or _Pace(session, self._clock)
            for name, session in running.items()
        }

    def _due(self, pace: _Pace) -> float:
        saved_until = pace.saved + 60 * self._checkpoint.minutes
        return min(pace.sample_due(self._keys().sample_interval), saved_until)

    async def _attend(self, pace: _Pace) -> None:
        """Does what is due for one session."""
        now = self._clock.monotonic()
        session = pace.session
        reading = self._fresh(session.connector_id)
        sampling = pace.sample_due(self._keys().sample_interval) <= now
        energy = None if reading is None else reading.energy_wh
        gained = 0 if energy is None else energy - session.checkpoint_wh
        saving = gained >= self._checkpoint.wh or pace.saved + 60 * self._checkpoint.minutes <= now
        if not (sampling or saving):
            return
        if sampling:
            pace.sampled = now
        pace.saved = now
        if reading is not None:
            try:
                await self._ledger.write(lambda: self._plan(session, reading, sampling=sampling))
            except StorageError as error:
                log.warning("%s: a meter value was not kept: %s", self._ledger.box, error)

    async def _plan(self, session: Session, reading: Reading, *, sampling: bool) -> Plan | None:
        if session.ended_at is not None or whole_second(reading.at) < session.started_at:
            return None
        plan = Plan()
        energy = reading.energy_wh
        if energy is not None and energy > session.checkpoint_wh:
            at = max(session.checkpoint_at, whole_second(reading.at))
            fields: Document = {"checkpoint_wh": energy, "checkpoint_at": at}
            plan.changes.append(self._register.put(session, "checkpoint", fields))

            def remember() -> None:
                session.checkpoint_wh, session.checkpoint_at = energy, at

            plan.done.append(remember)
        values = self._sampled(reading) if sampling and session.accepted is not False else ()
        if values:
            request = MeterValuesRequest(
                connector_id=session.connector_id,
                transaction_id=session.transaction_id,
                meter_value=(MeterValue(timestamp=whole_second(reading.at), sampled_value=values),),
            )
            plan.changes.append(self._lane.entry(session.session, request))
            plan.done.append(self._lane.wake)
        return plan

    def _sampled(self, reading: Reading) -> tuple[SampledValue, ...]:
        return tuple(
            SampledValue(
                value=_number(measured),
                context=ReadingContext.SAMPLE_PERIODIC,
                measurand=measured.measurand,
                phase=measured.phase,
                unit=measured.unit,
            )
            for wanted in self._keys().sampled_data
            for measured in reading.values
            if measured.measurand is wanted
        )

    def _fresh(self, connector_id: int) -> Reading | None:
        seen = self._readings.get(connector_id)
        if seen is None or self._clock.monotonic() - seen[0] > STALE_AFTER:
            return None
        return seen[1]

    def _warn_of_fall(self, session: Session, energy: int) -> None:
        pace = self._paces.get(session.session)
        if pace is None or pace.warned:
            return
        pace.warned = True
        what = f"the meter fell from {session.checkpoint_wh} Wh to {energy} Wh in a session"
        log.warning("%s: connector %s: %s", self._ledger.box, session.connector_id, what)
        self._narrator.say(connector(session.connector_id), what)


def _number(measured: Measured) -> str:
    """The value as text: no exponent, at most three decimals, none that say nothing."""
    text = f"{measured.value:.3f}"
    return text.rstrip("0").rstrip(".")
