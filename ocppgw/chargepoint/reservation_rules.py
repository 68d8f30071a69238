"""What may be reserved, and whom a reservation keeps away: questions, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservation_book import Reservation, ReservationBook
from ocppgw.chargepoint.tag_store import same_tag
from ocppgw.ocpp.enums import ChargePointStatus, ReservationStatus
from ocppgw.plc.base import STATION, ConnectorStatus

UNUSABLE = {
    ChargePointStatus.FAULTED: (ReservationStatus.FAULTED, "connector is faulted"),
    ChargePointStatus.UNAVAILABLE: (ReservationStatus.UNAVAILABLE, "connector is out of service"),
}


class NotReserved(Exception):
    """Why ReserveNow is not done: OCPP's word, and a few words for the operator."""

    def __init__(self, status: ReservationStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class ReservationRules:
    """Knows how things stand on all connectors at once.

    The station's reservation (connector 0) keeps one connector free, whichever.
    """

    def __init__(
        self,
        book: ReservationBook,
        register: SessionRegister,
        *,
        connectors: int,
        seen: Callable[[int], ConnectorStatus],
        parent_of: Callable[[str], str | None],
        plc_is_asked: Callable[[], bool],
    ) -> None:
        """``seen`` gives the state of a connector without its reservation; ``plc_is_asked``
        says whether the PLC is told of reservations."""
        self._book = book
        self._register = register
        self._connectors = range(1, connectors + 1)
        self._seen = seen
        self._parent_of = parent_of
        self._plc_is_asked = plc_is_asked

    def usable_by(self, connector_id: int, id_tag: str) -> Reservation | None:
        """The reservation that a session of this tag on this connector makes use of."""
        found = (self._book.on(number) for number in (connector_id, STATION))
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

    def check(self, wanted: Reservation) -> None:
        """Raises :class:`NotReserved` for what cannot be reserved as things stand."""
        number = wanted.connector_id
        if self._book.expired(wanted):
            raise NotReserved(ReservationStatus.REJECTED, "it has expired already")
        held = self._book.on(number)
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
        whole = self._book.on(STATION)
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

    def _is_for(self, reservation: Reservation, id_tag: str, parent: str | None = None) -> bool:
        slot = self._book.slot(reservation.connector_id)
        if same_tag(reservation.id_tag, id_tag) or slot.admits(id_tag):
            return True
        parent, wanted = parent or self._parent_of(id_tag), reservation.parent_id_tag
        return parent is not None and wanted is not None and same_tag(parent, wanted)

    def _refuses(self, connector_id: int, id_tag: str, parent: str | None) -> str | None:
        if self._register.on(connector_id) is not None:
            return None
        own = self._book.on(connector_id)
        if own is not None:
            theirs = self._is_for(own, id_tag, parent)
            return None if theirs else "connector is reserved for another"
        whole = self._book.on(STATION)
        if whole is None or self._is_for(whole, id_tag, parent) or self._spare(but=connector_id):
            return None
        return "the last free connector is reserved"

    def _spare(self, *, but: int | None = None, moving: int | None = None) -> bool:
        """Whether a connector, other than ``but``, is free and not reserved by itself."""
        for number in self._connectors:
            own = self._book.on(number)
            reserved = own is not None and own.reservation_id != moving
            busy = number == but or reserved or self._register.on(number) is not None
            if not busy and self._is_free(self._seen(number).status):
                return True
        return False

    def _is_free(self, status: ChargePointStatus) -> bool:
        """A PLC that says Reserved without us may not have heard yet that it is over, and
        is asked; one that has no reservations of ours means another's."""
        if status is ChargePointStatus.RESERVED:
            return self._plc_is_asked()
        return status is ChargePointStatus.AVAILABLE

    def is_unusable(self, connector_id: int) -> bool:
        """Whether no session can begin there, nor could: faulted or out of service."""
        numbers = self._connectors if connector_id == STATION else (connector_id,)
        return all(self._seen(number).status in UNUSABLE for number in numbers)
