"""Reservations: kept, told to the PLC, used by the start they were made for (O-25, O-33)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.reservation_book import Reservation, ReservationBook
from ocppgw.chargepoint.reservation_link import ReservationLink
from ocppgw.chargepoint.reservation_rules import NotReserved, ReservationRules
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ReservationStatus
from ocppgw.plc.base import STATION
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)

RETRY = 10.0
# The wall clock may be set while somebody waits for it: it is looked at this often.
LOOK_EVERY = 60.0
LOOK_AGAIN = 1.0


class Reservations:
    """One reservation for each connector at most, and one for the station as a whole.

    The station's (connector 0) keeps one connector free, whichever. A reservation holds
    whether or not the PLC knows of reservations: other tags are refused here.
    """

    def __init__(
        self,
        ledger: Ledger,
        book: ReservationBook,
        rules: ReservationRules,
        link: ReservationLink,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        plc_is_lost: Callable[[], bool],
        changed: Callable[[int], None],
    ) -> None:
        """``changed`` is told of each connector whose reservation begins or ends."""
        self._ledger = ledger
        self._book = book
        self._rules = rules
        self._link = link
        self._clock = clock
        self._narrator = narrator
        self._plc_is_lost = plc_is_lost
        self._changed = changed
        self._requests = asyncio.Lock()
        self._bells = {number: Bell(clock) for number in range(connectors + 1)}

    async def load(self) -> None:
        """Learns the reservations from the store."""
        await self._book.load()

    # What the other rooms ask and tell

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of that very connector (0: of the station) that has not expired."""
        return self._book.on(connector_id)

    def usable_by(self, connector_id: int, id_tag: str) -> Reservation | None:
        """As :meth:`ReservationRules.usable_by`."""
        return self._rules.usable_by(connector_id, id_tag)

    def refuses(
        self, connector_id: int, id_tag: str, parent_id_tag: str | None = None
    ) -> str | None:
        """As :meth:`ReservationRules.refuses`."""
        return self._rules.refuses(connector_id, id_tag, parent_id_tag)

    def plan_admitted(self, plan: Plan, id_tag: str, parent_id_tag: str) -> None:
        """Adds to a commit that a tag may use what is reserved for that parent, as the
        central system just said: its start will know, whatever else is forgotten."""
        self._book.plan_admitted(plan, id_tag, parent_id_tag)

    def plan_use(self, plan: Plan, reservation: Reservation) -> None:
        """Adds to the commit of a start that its reservation is used up."""
        self._plan_end(plan, reservation, "used")

    def status_changed(self, connector_id: int) -> None:
        """The PLC or the central system changed a connector's state."""
        for number in {connector_id, STATION} & self._bells.keys():
            self._bells[number].ring()

    def plc_is_back(self) -> None:
        """The PLC may have forgotten: it is told again."""
        self._link.plc_is_back()
        for bell in self._bells.values():
            bell.ring()

    # What the central system asks

    async def reserve(self, reservation: Reservation) -> None:
        """Does what ReserveNow asks: durable, and known to the PLC, when it returns.

        Raises :class:`NotReserved`, :class:`PlcError` if the PLC does not do it, and
        ``StorageError``.
        """
        async with self._requests:
            if reservation.connector_id not in self._bells:
                why = f"there is no connector {reservation.connector_id}"
                raise NotReserved(ReservationStatus.REJECTED, why)
            await self._end_if_over(reservation.connector_id)
            self._rules.check(reservation)
            try:
                async with self._link.lock(reservation.connector_id):
                    await self._link.tell(reservation)
                    await self._hold(reservation)
            finally:
                for bell in self._bells.values():
                    bell.ring()

    async def cancel(self, reservation_id: int) -> bool:
        """Does what CancelReservation asks; whether there is such a reservation. The PLC
        is told before this returns, or later if it cannot be told now."""
        async with self._requests:
            reservation = self._book.find(reservation_id)
            if reservation is None:
                return False
            await self._end(reservation, "cancelled")
            await self._settle(reservation.connector_id)
            return True

    async def run(self) -> None:
        """Ends reservations when their time has come, and tells the PLC what it must know."""
        async with asyncio.TaskGroup() as group:
            for number in self._bells:
                group.create_task(self._serve(number))

    async def _serve(self, connector_id: int) -> None:
        bell = self._bells[connector_id]
        while True:
            bell.hush()
            open_points = await self._settle(connector_id)
            held = self._book.slot(connector_id).held
            waits = [RETRY] if open_points else []
            if held is not None:
                left = (held.expires_at - self._clock.now()).total_seconds()
                waits.append(min(max(left, LOOK_AGAIN), LOOK_EVERY))
            await bell.wait(min(waits, default=None))

    async def _settle(self, connector_id: int) -> bool:
        """Brings the store and the PLC to where they ought to be; whether something is
        still to be done that no event will bring up."""
        try:
            await self._end_if_over(connector_id)
            return await self._link.settle(connector_id)
        except StorageError as error:
            log.warning("%s: a reservation waits for the store: %s", self._ledger.box, error)
            return True

    # Beginning

    async def _hold(self, reservation: Reservation) -> None:
        """Makes it durable, if nothing came between while the PLC was told."""

        async def prepare() -> Plan:
            self._rules.check(reservation)
            plan = Plan()
            before = self._book.find(reservation.reservation_id)
            if before is not None and before.connector_id != reservation.connector_id:
                self._plan_end(plan, before, "moved")
            number = reservation.connector_id
            self._book.plan(plan, number, self._book.slot(number).holding(reservation))
            plan.done.append(lambda: self._link.told(number))
            return plan

        await self._ledger.write(prepare)
        self._narrator.say(
            connector(reservation.connector_id),
            f"reserved for {reservation.id_tag} until {reservation.expires_at:%Y-%m-%d %H:%M:%S}"
            f" UTC, reservation {reservation.reservation_id}",
        )
        self._changed(reservation.connector_id)

    # Ending

    async def _end_if_over(self, connector_id: int) -> None:
        held = self._book.slot(connector_id).held
        if held is None:
            return
        if self._book.expired(held):
            await self._end(held, "expired")
        elif not self._plc_is_lost() and self._rules.is_unusable(connector_id):
            await self._end(held, "connector is not usable")

    async def _end(self, reservation: Reservation, why: str) -> None:
        async def prepare() -> Plan | None:
            if self._book.slot(reservation.connector_id).held is not reservation:
                return None
            plan = Plan()
            self._plan_end(plan, reservation, why)
            return plan

        await self._ledger.write(prepare)

    def _plan_end(self, plan: Plan, reservation: Reservation, why: str) -> None:
        number = reservation.connector_id
        slot = self._book.slot(number).freed()
        if self._link.serves(number):
            slot = slot.forgetting(reservation.reservation_id)
        self._book.plan(plan, number, slot)
        plan.done.append(lambda: self._ended(reservation, why))

    def _ended(self, reservation: Reservation, why: str) -> None:
        number = reservation.connector_id
        self._narrator.say(
            connector(number), f"reservation {reservation.reservation_id} ended: {why}"
        )
        self._changed(number)
        self._bells[number].ring()
