"""Reservations: kept, told to the PLC, used by the start they were made for (O-25, O-33)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ChargePointStatus, CommandStatus, ReservationStatus
from ocppgw.plc.base import Driver


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A connector (0: any one) kept for a tag, or a tag of its parent's, until it expires."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None = None
    expires_at: datetime


class Reservations:
    """One reservation for each connector at most, and one for the station as a whole."""

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
        status_of: Callable[[int], ChargePointStatus],
        parent_of: Callable[[str], str | None],
        changed: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._driver = driver
        self._clock = clock
        self._narrator = narrator
        self._connectors = range(1, connectors + 1)
        self._deadline = deadline
        self._status_of = status_of
        self._parent_of = parent_of
        self._changed = changed
        self._bell = Bell(clock)

    async def load(self) -> None:
        """Learns the reservations from the store."""

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of that very connector (0: of the station) that has not expired."""
        return None

    def usable_by(self, connector_id: int, id_tag: str) -> Reservation | None:
        """The reservation that a session of this tag on this connector makes use of."""
        return None

    def refuses(self, connector_id: int, id_tag: str) -> str | None:
        """Why this tag may not charge there, in a few words: it is kept for another's."""
        return None

    def plan_use(self, plan: Plan, reservation: Reservation) -> None:
        """Adds to the commit of a start that its reservation is used up."""

    def status_changed(self, connector_id: int) -> None:
        """The PLC or the central system changed a connector's state."""
        self._bell.ring()

    def plc_is_back(self) -> None:
        """The PLC may have forgotten: it is told again."""
        self._bell.ring()

    async def reserve(self, reservation: Reservation) -> ReservationStatus:
        """Does what ReserveNow asks; raises :class:`PlcError` if the PLC does not."""
        return ReservationStatus.REJECTED

    async def cancel(self, reservation_id: int) -> CommandStatus:
        """Does what CancelReservation asks."""
        return CommandStatus.REJECTED

    async def run(self) -> None:
        """Ends reservations when they expire, and tells the PLC what it must know."""
        while True:
            self._bell.hush()
            await self._bell.wait()
