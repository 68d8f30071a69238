"""Reservations: kept, told to the PLC, used by the start they were made for (O-25, O-33)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservation_book import Reservation, ReservationBook
from ocppgw.chargepoint.reservation_link import ReservationLink
from ocppgw.chargepoint.tag_store import same_tag
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ChargePointStatus, ReservationStatus
from ocppgw.plc.base import ConnectorStatus
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)

RETRY = 10.0
# The wall clock may be set while somebody waits for it: it is looked at this often.
LOOK_EVERY = 60.0
STATION = 0

UNUSABLE = {
    ChargePointStatus.FAULTED: (ReservationStatus.FAULTED, "connector is faulted"),
    ChargePointStatus.UNAVAILABLE: (ReservationStatus.UNAVAILABLE, "connector is out of service"),
}


class NotReserved(Exception):
    """Why ReserveNow is not done: OCPP's word, and a few words for the operator."""

    def __init__(self, status: ReservationStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Reservations:
    """One reservation for each connector at most, and one for the station as a whole.

    The station's (connector 0) keeps one connector free, whichever. A reservation holds
    whether or not the PLC knows of reservations: other tags are refused here.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        book: ReservationBook,
        link: ReservationLink,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        seen: Callable[[int], ConnectorStatus],
        plc_is_lost: Callable[[], bool],
        parent_of: Callable[[str], str | None],
        changed: Callable[[int], None],
    ) -> None:
        """``seen`` gives the state of a connector without its reservation; ``changed`` is
        told when one begins or ends."""
        self._ledger = ledger
        self._register = register
        self._book = book
        self._link = link
        self._clock = clock
        self._narrator = narrator
        self._connectors = range(1, connectors + 1)
        self._seen = seen
        self._plc_is_lost = plc_is_lost
        self._parent_of = parent_of
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
        """The reservation that a session of this tag on this connector makes use of."""
        found = (self.on(number) for number in (connector_id, STATION))
        return next((r for r in found if r is not None and self._is_for(r, id_tag)), None)

    def refuses(
        self, connector_id: int, id_tag: str, parent_id_tag: str | None = None
    ) -> str | None:
        """Why this tag may not begin a session there, in a few words: it is kept for
        another's. Connector 0, the station's own reader, is refused what all refuse.
        ``parent_id_tag`` is the tag's parent, where the caller was just told of one."""
        if connector_id in self._connectors:
            return self._refuses(connector_id, id_tag, parent_id_tag)
        idle = [n for n in self._connectors if self._register.on(n) is None]
        reasons = [self._refuses(number, id_tag, parent_id_tag) for number in idle]
        return reasons[0] if reasons and None not in reasons else None

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
            self._check(reservation)
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
            await self._link.settle(reservation.connector_id)
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
            try:
                await self._end_if_over(connector_id)
                open_points = await self._link.settle(connector_id)
            except StorageError as error:
                log.warning("%s: a reservation waits for the store: %s", self._ledger.box, error)
                open_points = True
            held = self._book.on(connector_id)
            waits = [RETRY] if open_points else []
            if held is not None:
                left = (held.expires_at - self._clock.now()).total_seconds()
                waits.append(min(LOOK_EVERY, left))
            await bell.wait(min(waits, default=None))

    # Beginning

    def _check(self, wanted: Reservation) -> None:
        """Raises :class:`NotReserved` for what cannot be reserved as things stand."""
        number = wanted.connector_id
        if self._book.expired(wanted):
            raise NotReserved(ReservationStatus.REJECTED, "it has expired already")
        held = self.on(number)
        if held is not None and held.reservation_id != wanted.reservation_id:
            raise NotReserved(ReservationStatus.OCCUPIED, "reserved already")
        if number == STATION:
            self._check_station(wanted)
            return
        status = self._seen(number).status
        if status in UNUSABLE:
            raise NotReserved(*UNUSABLE[status])
        if self._register.on(number) is not None or (held is None and not self._is_free(status)):
            raise NotReserved(ReservationStatus.OCCUPIED, "connector is in use")
        whole = self.on(STATION)
        keeps_one = whole is not None and whole.reservation_id != wanted.reservation_id
        if keeps_one and not self._spare(but=number, moving=wanted.reservation_id):
            raise NotReserved(ReservationStatus.OCCUPIED, "the last free one is reserved")

    def _check_station(self, wanted: Reservation) -> None:
        if self._spare(moving=wanted.reservation_id):
            return
        for status, answer in UNUSABLE.items():
            if all(self._seen(number).status is status for number in self._connectors):
                raise NotReserved(*answer)
        raise NotReserved(ReservationStatus.OCCUPIED, "no connector is free")

    async def _hold(self, reservation: Reservation) -> None:
        """Makes it durable, if nothing came between while the PLC was told."""

        async def prepare() -> Plan:
            self._check(reservation)
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
        elif not self._plc_is_lost() and self._is_unusable(connector_id):
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

    # How things stand

    def _is_for(self, reservation: Reservation, id_tag: str, parent: str | None = None) -> bool:
        if same_tag(reservation.id_tag, id_tag):
            return True
        parent, wanted = parent or self._parent_of(id_tag), reservation.parent_id_tag
        return parent is not None and wanted is not None and same_tag(parent, wanted)

    def _refuses(self, connector_id: int, id_tag: str, parent: str | None) -> str | None:
        if self._register.on(connector_id) is not None:
            return None
        own = self.on(connector_id)
        if own is not None:
            theirs = self._is_for(own, id_tag, parent)
            return None if theirs else "connector is reserved for another"
        whole = self.on(STATION)
        if whole is None or self._is_for(whole, id_tag, parent) or self._spare(but=connector_id):
            return None
        return "the last free connector is reserved"

    def _spare(self, *, but: int | None = None, moving: int | None = None) -> bool:
        """Whether a connector, other than ``but``, is free and not reserved by itself."""
        for number in self._connectors:
            own = self.on(number)
            reserved = own is not None and own.reservation_id != moving
            busy = number == but or reserved or self._register.on(number) is not None
            if not busy and self._is_free(self._seen(number).status):
                return True
        return False

    def _is_free(self, status: ChargePointStatus) -> bool:
        """A PLC that says Reserved without us may not have heard yet that it is over, and
        is asked; one that has no reservations of ours means another's."""
        asked = self._link.serves(self._connectors[0])
        return status is ChargePointStatus.AVAILABLE or (
            asked and status is ChargePointStatus.RESERVED
        )

    def _is_unusable(self, connector_id: int) -> bool:
        numbers = self._connectors if connector_id == STATION else (connector_id,)
        return all(self._seen(number).status in UNUSABLE for number in numbers)
