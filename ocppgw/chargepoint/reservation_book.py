"""Reservations as the store holds them: a slot for each connector, one for the station."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import RESERVATIONS
from ocppgw.chargepoint.tag_store import same_tag
from ocppgw.clock import Clock
from ocppgw.storage.base import Document, Put

# Tags of a group that are remembered for a reservation; whoever comes after them pushes
# out the one that came first.
ADMITTED = 16


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A connector (0: any one) kept for a tag, or a tag of its parent's, until it expires."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None = None
    expires_at: datetime


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What is reserved there, and the ids that the PLC still has to be told to forget.

    ``admitted`` are the tags of which the central system said, since then, that they are
    of the reservation's parent.
    """

    held: Reservation | None = None
    forget: tuple[int, ...] = ()
    admitted: tuple[str, ...] = ()

    def admitting(self, id_tag: str) -> Slot:
        """The slot once that tag may use its reservation."""
        return msgspec.structs.replace(self, admitted=(*self.admitted, id_tag)[-ADMITTED:])

    def admits(self, id_tag: str) -> bool:
        """Whether that tag may use its reservation, as a tag of its parent's."""
        return any(same_tag(one, id_tag) for one in self.admitted)

    def holding(self, reservation: Reservation) -> Slot:
        """The slot once that reservation is the one it holds."""
        left = tuple(n for n in self.forget if n != reservation.reservation_id)
        return Slot(held=reservation, forget=left)

    def forgetting(self, reservation_id: int) -> Slot:
        """The slot once the PLC, which may know of that id, is to forget it."""
        left = (n for n in self.forget if n != reservation_id)
        return msgspec.structs.replace(self, forget=(*left, reservation_id))

    def forgot(self, reservation_id: int) -> Slot:
        """The slot once the PLC knows nothing of that id."""
        left = tuple(n for n in self.forget if n != reservation_id)
        return msgspec.structs.replace(self, forget=left)

    def freed(self) -> Slot:
        """The slot without its reservation."""
        return Slot(forget=self.forget)


class ReservationBook:
    """The slots; memory follows the store."""

    def __init__(self, ledger: Ledger, clock: Clock, *, connectors: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._slots = {number: Slot() for number in range(connectors + 1)}

    async def load(self) -> None:
        """Learns the slots from the store; those of connectors that are gone are passed over."""
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(RESERVATIONS, where):
            if document["connector_id"] in self._slots:
                self._slots[document["connector_id"]] = _slot_of(document)

    def slot(self, connector_id: int) -> Slot:
        """The slot of a connector of this box (0: of the station)."""
        return self._slots[connector_id]

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of that very connector that has not expired."""
        held = self._slots.get(connector_id, Slot()).held
        return None if held is None or self.expired(held) else held

    def expired(self, reservation: Reservation) -> bool:
        """Whether its time is over, by the machine's clock."""
        return reservation.expires_at <= self._clock.now()

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation of that id that has not expired."""
        held = (self.on(number) for number in self._slots)
        return next((r for r in held if r is not None and r.reservation_id == reservation_id), None)

    def plan_admitted(self, plan: Plan, id_tag: str, parent_id_tag: str) -> None:
        """Adds to a commit that a tag of that parent's may use what is reserved for it."""
        for number, slot in self._slots.items():
            held = self.on(number)
            if held is None or held.parent_id_tag is None or slot.admits(id_tag):
                continue
            if same_tag(held.parent_id_tag, parent_id_tag) and not same_tag(held.id_tag, id_tag):
                self.plan(plan, number, slot.admitting(id_tag))

    def plan(self, plan: Plan, connector_id: int, slot: Slot) -> None:
        """Adds to a commit what becomes of a slot."""
        held: Document = {}
        if slot.held is not None:
            fields = msgspec.structs.asdict(slot.held)
            held = {name: value for name, value in fields.items() if value is not None}
        fields = {"held": held, "forget": list(slot.forget), "admitted": list(slot.admitted)}
        key = (self._ledger.box, connector_id)
        plan.changes.append(Put(RESERVATIONS, key, fields, version=self._ledger.number()))
        plan.done.append(lambda: self._slots.update({connector_id: slot}))


def _slot_of(document: Document) -> Slot:
    held = msgspec.convert(document["held"], Reservation) if document["held"] else None
    admitted = tuple(document.get("admitted", ()))
    return Slot(held=held, forget=tuple(document["forget"]), admitted=admitted)
