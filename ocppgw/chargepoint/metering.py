"""The samples of running transactions, and the energy that survives a power cut."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import Session
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.sampling import Sampler
from ocppgw.chargepoint.settings import Checkpoints
from ocppgw.chargepoint.values import numbers_only
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ReadingContext
from ocppgw.plc.base import Reading

log = logging.getLogger(__name__)

ROUNDING = 1e-6
# Seconds that a store which did not take an energy is left alone.
STORE_RETRY = 10.0
PERIODIC = (ReadingContext.SAMPLE_PERIODIC,)


class _Pace:
    """When a running session is sampled and checkpointed next, in monotonic seconds."""

    def __init__(self, session: Session, clock: Clock) -> None:
        age = max(0.0, (clock.now() - session.started_at).total_seconds())
        self.session = session
        self.began = clock.monotonic() - age
        self.sampled = clock.monotonic()
        self.saved = clock.monotonic()
        self.not_before = clock.monotonic()
        self.warned = False

    def sample_due(self, interval: float) -> float:
        """The first multiple of the interval from the start that was not sampled yet."""
        if interval <= 0:
            return math.inf
        passed = math.floor((self.sampled - self.began) / interval + ROUNDING)
        return self.began + (passed + 1) * interval


class Metering:
    """Samples every so many seconds from the start of a transaction.

    Readings live in memory; what is durable is the energy at start, stop, each sample,
    and every so many Wh or minutes.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        readings: Readings,
        sampler: Sampler,
        clock: Clock,
        narrator: Narrator,
        *,
        interval: Callable[[], float],
        checkpoint: Checkpoints,
    ) -> None:
        """``interval`` is in seconds, 0 for no samples."""
        self._ledger = ledger
        self._register = register
        self._readings = readings
        self._sampler = sampler
        self._clock = clock
        self._narrator = narrator
        self._interval = interval
        self._last_interval = interval()
        self._checkpoint = checkpoint
        self._paces: dict[str, _Pace] = {}
        self._bell = Bell(clock)

    def saw(self, reading: Reading) -> None:
        """Keeps the newest reading of each connector."""
        reading = numbers_only(reading)
        self._readings.saw(reading)
        session = self._register.on(reading.connector_id)
        energy = reading.energy_wh
        if session is None or energy is None:
            return
        if energy - session.checkpoint_wh >= self._checkpoint.wh:
            self._bell.ring()
        elif energy < session.checkpoint_wh:
            self._warn_of_fall(session, energy)

    def plc_is_away(self) -> None:
        """The driver reads nothing for a while."""
        self._readings.plc_is_away()

    def nudge(self) -> None:
        """Sessions changed."""
        self._bell.ring()

    def keys_changed(self) -> None:
        """What a new interval would have brought before now is not made up for."""
        if self._interval() == self._last_interval:
            return
        self._last_interval = self._interval()
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
        return min(pace.sample_due(self._interval()), saved_until)

    async def _attend(self, pace: _Pace) -> None:
        """Does what is due for one session."""
        now = self._clock.monotonic()
        session = pace.session
        reading = self._readings.fresh(session.connector_id)
        sampling = pace.sample_due(self._interval()) <= now
        energy = None if reading is None else reading.energy_wh
        gained = 0 if energy is None else energy - session.checkpoint_wh
        much = gained >= self._checkpoint.wh and pace.not_before <= now
        saving = much or pace.saved + 60 * self._checkpoint.minutes <= now
        if not (sampling or saving):
            return
        if sampling:
            pace.sampled = now
        pace.saved = now
        due = {session.connector_id: PERIODIC if sampling else ()}
        if not await self._sampler.take(due):
            pace.not_before = now + STORE_RETRY

    def _warn_of_fall(self, session: Session, energy: int) -> None:
        pace = self._paces.get(session.session)
        if pace is None or pace.warned:
            return
        pace.warned = True
        what = f"the meter fell from {session.checkpoint_wh} Wh to {energy} Wh in a session"
        log.warning("%s: connector %s: %s", self._ledger.box, session.connector_id, what)
        self._narrator.say(connector(session.connector_id), what)
