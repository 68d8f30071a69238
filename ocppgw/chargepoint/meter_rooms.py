"""The rooms that read meters and report them, made and wired to each other."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.clocked import ClockedMetering
from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.metering import Metering
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import Session
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.sampling import Sampler
from ocppgw.chargepoint.settings import ChargeBoxSettings, SamplesFrom
from ocppgw.chargepoint.stop_data import StopData
from ocppgw.clock import Clock
from ocppgw.delivery import LatestLane, TransactionLane


class MeterRooms:
    """Readings, what is made of them, and the two loops that sample them."""

    def __init__(
        self,
        settings: ChargeBoxSettings,
        ledger: Ledger,
        register: SessionRegister,
        transactions: TransactionLane,
        latest: LatestLane,
        clock: Clock,
        narrator: Narrator,
        *,
        keys: Callable[[], Keys],
    ) -> None:
        self._keys = keys
        self._register = register
        self._samples_from = settings.samples_from
        self.readings = Readings(clock)
        self.stop_data = StopData(ledger, self.readings, keys=keys, limit=settings.stop_data_limit)
        sampler = Sampler(
            ledger,
            register,
            self.readings,
            transactions,
            latest,
            self.stop_data,
            keys=keys,
            kept=settings.idle_values_kept,
        )
        self.metering = Metering(
            ledger,
            register,
            self.readings,
            sampler,
            clock,
            narrator,
            interval=self._interval,
            checkpoint=settings.checkpoint,
        )
        self.clocked = ClockedMetering(
            register,
            sampler,
            clock,
            connectors=settings.connectors,
            keys=keys,
            samples_from=settings.samples_from,
        )

    async def load(self) -> None:
        """Learns what was collected of the sessions that run, and that they do: what is
        read from now on is theirs. After the register."""
        await self.stop_data.load()
        for session in self._register.running():
            self.readings.session_changed(session)

    def session_changed(self, session: Session) -> None:
        """One began, was answered or ended."""
        self.readings.session_changed(session)
        self.metering.nudge()

    def keys_changed(self) -> None:
        """Intervals may be others."""
        self.metering.keys_changed()
        self.clocked.keys_changed()

    def _interval(self) -> float:
        """Seconds between the samples counted from a transaction's start, 0 for none."""
        by_clock = self._samples_from is SamplesFrom.CLOCK
        return 0 if by_clock else self._keys().sample_interval
