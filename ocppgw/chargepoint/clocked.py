"""The meter loops that follow the clock (O-35): aligned samples, and the original's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.sampling import Due, Sampler
from ocppgw.chargepoint.settings import SamplesFrom
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ReadingContext

A_DAY = timedelta(days=1)
# The wall clock is looked at so often at least, in seconds, since it may be set.
LONGEST_WAIT = 60.0
# Seconds by which it may run off the monotonic clock between two looks without being set.
STEP = 2.0


class Alarm:
    """Strikes at every multiple of so many seconds, counted from midnight UTC, once.

    A clock that is set strikes nothing for what it leapt over, and goes on with the
    first multiple after the time it was set to; so does a process that was held up over
    several.
    """

    def __init__(self, interval: int, clock: Clock) -> None:
        self.interval = interval
        self._clock = clock
        self._looked = (clock.now(), clock.monotonic())
        self._following = self._after(clock.now())

    def struck(self) -> datetime | None:
        """The moment that has come since the last look."""
        (then, before), self._looked = self._looked, (self._clock.now(), self._clock.monotonic())
        now, monotonic = self._looked
        if abs((now - then).total_seconds() - (monotonic - before)) > STEP:
            self._following = self._after(now)
        if now < self._following:
            return None
        moment = self._at_or_before(now)
        self._following = self._after(moment)
        return moment

    @property
    def seconds_left(self) -> float:
        """Until it is worth a look again."""
        left = (self._following - self._clock.now()).total_seconds()
        return min(max(0.0, left), LONGEST_WAIT)

    def turn(self, moment: datetime) -> int:
        """The number of a moment among all of this interval."""
        return int(moment.timestamp()) // self.interval

    def _at_or_before(self, now: datetime) -> datetime:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        passed = (now - midnight) // timedelta(seconds=self.interval)
        return midnight + timedelta(seconds=passed * self.interval)

    def _after(self, now: datetime) -> datetime:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return min(self._at_or_before(now) + timedelta(seconds=self.interval), midnight + A_DAY)


class ClockedMetering:
    """Samples connectors at moments of the clock, in or out of a transaction.

    * every ClockAlignedDataInterval seconds each connector, and the main meter
      (connector 0) where it is read, with the aligned set;
    * every MeterValueSampleInterval seconds, with the sampled set, those without a
      transaction unless SampleOnTransaction is set, and those with one if samples are to
      follow the clock.
    """

    def __init__(
        self,
        register: SessionRegister,
        sampler: Sampler,
        clock: Clock,
        *,
        connectors: int,
        keys: Callable[[], Keys],
        samples_from: SamplesFrom,
    ) -> None:
        self._register = register
        self._sampler = sampler
        self._clock = clock
        self._connectors = range(connectors + 1)
        self._keys = keys
        self._in_transactions = samples_from is SamplesFrom.CLOCK
        self._alarms: dict[ReadingContext, Alarm] = {}
        self._bell = Bell(clock)

    def keys_changed(self) -> None:
        """An interval may be another."""
        self._bell.ring()

    async def run(self) -> None:
        while True:
            self._bell.hush()
            self._set_alarms()
            for context, alarm in self._alarms.items():
                moment = alarm.struck()
                if moment is not None:
                    await self._sampler.take(self._due(context), moment, alarm.turn(moment))
            waits = [alarm.seconds_left for alarm in self._alarms.values()]
            await self._bell.wait(min(waits, default=None))

    def _set_alarms(self) -> None:
        keys = self._keys()
        by_clock = self._in_transactions or not keys.sample_on_transaction
        intervals = {
            ReadingContext.SAMPLE_CLOCK: keys.aligned_interval,
            ReadingContext.SAMPLE_PERIODIC: keys.sample_interval if by_clock else 0,
        }
        known, self._alarms = self._alarms, {}
        for context, interval in intervals.items():
            if interval <= 0:
                continue
            alarm = known.get(context)
            if alarm is None or alarm.interval != interval:
                alarm = Alarm(interval, self._clock)
            self._alarms[context] = alarm

    def _due(self, context: ReadingContext) -> Due:
        return {number: (context,) for number in self._connectors if self._wants(number, context)}

    def _wants(self, connector_id: int, context: ReadingContext) -> bool:
        if context is ReadingContext.SAMPLE_CLOCK:
            return True
        session = self._register.on(connector_id)
        if session is not None and session.accepted is not False:
            return self._in_transactions
        return not self._keys().sample_on_transaction
