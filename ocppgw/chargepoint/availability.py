"""Connectors in and out of service: now, or when the running transaction ends (O-23)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import AVAILABILITY, Session
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import AvailabilityStatus
from ocppgw.plc.base import Driver, PlcError, PlcUnsupported, SetAvailability
from ocppgw.storage.base import Projection, Put, StorageError

log = logging.getLogger(__name__)

RETRY = 10.0


class Availability:
    """What the central system wants of each connector, and what the PLC was told.

    Connector 0 is the station: it stands for all connectors and has a state of its own,
    which the PLC is not told. ``wanted`` survives a restart; the PLC is told again
    whenever it comes back.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        driver: Driver,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        deadline: float,
        changed: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._driver = driver
        self._clock = clock
        self._narrator = narrator
        self._connectors = range(1, connectors + 1)
        self._deadline = deadline
        self._changed = changed
        self._wanted: dict[int, bool] = {}
        self._in_force: dict[int, bool] = {}
        self._untold: set[int] = set()
        self._lock = asyncio.Lock()
        self._bell = Bell(clock)

    async def load(self) -> None:
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(AVAILABILITY, where):
            connector_id = document["connector_id"]
            self._wanted[connector_id] = document["wanted"]
            self._in_force[connector_id] = document["in_force"]

    def in_service(self, connector_id: int) -> bool:
        """Whether a connector (0: the station) may be used, as far as the central system
        has a say in it."""
        return self._in_force.get(connector_id, True)

    def takes_tags(self, connector_id: int) -> bool:
        """Whether a tag may be presented there: at a connector in service, or at the
        station's own reader while any connector is."""
        numbers = (connector_id,) if connector_id else self._connectors
        return any(self.in_service(number) for number in numbers)

    def plc_is_back(self) -> None:
        """The PLC may have forgotten: it is told again."""
        self._untold.update(n for n in self._connectors if n in self._in_force)
        self._bell.ring()

    def session_changed(self, session: Session) -> None:
        """A transaction that something was waiting for may have ended."""
        self._bell.ring()

    async def change(self, connector_id: int, *, operative: bool) -> AvailabilityStatus:
        """Does what ChangeAvailability asks; raises :class:`PlcError` if the PLC does not.

        Of several connectors the first that the PLC does not change ends it; those
        before stay changed.
        """
        async with self._lock:
            if connector_id:
                return await self._change_one(connector_id, operative=operative)
            answers = [await self._change_one(n, operative=operative) for n in self._connectors]
            scheduled = AvailabilityStatus.SCHEDULED in answers
            await self._store(0, wanted=operative, in_force=operative or scheduled)
            return AvailabilityStatus.SCHEDULED if scheduled else AvailabilityStatus.ACCEPTED

    async def run(self) -> None:
        """Does what was scheduled, and tells the PLC again what it may have forgotten."""
        while True:
            self._bell.hush()
            try:
                open_points = await self._settle()
            except StorageError as error:
                log.warning("%s: availability waits for the store: %s", self._ledger.box, error)
                open_points = True
            await self._bell.wait(RETRY if open_points else None)

    async def _settle(self) -> bool:
        """Whether something is still to be done that no event will bring up."""
        failed = False
        async with self._lock:
            for connector_id in self._due():
                try:
                    await self._apply(connector_id, operative=self._wanted[connector_id])
                except PlcError as error:
                    log.warning("%s: connector %s: %s", self._ledger.box, connector_id, error)
                    failed = failed or not isinstance(error, PlcUnsupported)
            await self._settle_station()
        return failed

    def _due(self) -> list[int]:
        return [
            number
            for number in self._connectors
            if number in self._wanted
            and (number in self._untold or self._wanted[number] != self._in_force[number])
            and (self._wanted[number] or self._register.on(number) is None)
        ]

    async def _settle_station(self) -> None:
        """The station is out of service once its last connector is."""
        if self._wanted.get(0) == self._in_force.get(0):
            return
        if all(not self.in_service(number) for number in self._connectors):
            await self._store(0, wanted=False, in_force=False)

    async def _change_one(self, connector_id: int, *, operative: bool) -> AvailabilityStatus:
        if not operative and self._register.on(connector_id) is not None:
            if not self._driver.supports(SetAvailability):
                raise PlcUnsupported("the PLC has no way to take a connector out of service")
            await self._store(connector_id, wanted=False, in_force=self.in_service(connector_id))
            self._narrator.say(
                connector(connector_id), "goes out of service when its transaction ends"
            )
            return AvailabilityStatus.SCHEDULED
        if self.in_service(connector_id) != operative:
            await self._apply(connector_id, operative=operative)
        elif self._wanted.get(connector_id, operative) != operative:
            await self._store(connector_id, wanted=operative, in_force=operative)
        return AvailabilityStatus.ACCEPTED

    async def _apply(self, connector_id: int, *, operative: bool) -> None:
        command = SetAvailability(connector_id=connector_id, available=operative)
        await self._driver.execute(command, self._deadline)
        self._untold.discard(connector_id)
        await self._store(connector_id, wanted=operative, in_force=operative)

    async def _store(self, connector_id: int, *, wanted: bool, in_force: bool) -> None:
        was = self.in_service(connector_id)

        async def prepare() -> Plan:
            plan = Plan(self._put(connector_id, wanted=wanted, in_force=in_force))
            plan.done.append(lambda: self._remember(connector_id, wanted, in_force))
            return plan

        await self._ledger.write(prepare)
        if was != in_force:
            self._narrator.say(
                connector(connector_id), "in service" if in_force else "out of service"
            )
        self._changed(connector_id)

    def _remember(self, connector_id: int, wanted: bool, in_force: bool) -> None:
        self._wanted[connector_id] = wanted
        self._in_force[connector_id] = in_force

    def _put(self, connector_id: int, *, wanted: bool, in_force: bool) -> Projection:
        fields = {"wanted": wanted, "in_force": in_force}
        key = (self._ledger.box, connector_id)
        return Put(AVAILABILITY, key, fields, version=self._ledger.number())
