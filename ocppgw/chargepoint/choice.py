"""Which connector a command may have, or the reason why none."""

from __future__ import annotations

from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.status import StatusBoard
from ocppgw.ocpp.enums import ChargePointStatus

UNUSABLE = {
    ChargePointStatus.UNAVAILABLE: "connector is out of service",
    ChargePointStatus.FAULTED: "connector is faulted",
}
# Where a remote start without a connector goes: a waiting car first.
INVITING = (
    ChargePointStatus.PREPARING,
    ChargePointStatus.OCCUPIED,
    ChargePointStatus.AVAILABLE,
)


class NotDone(Exception):
    """Why a command is refused, in a few words for the operator."""


class Choice:
    """Knows the connectors that a session can begin on."""

    def __init__(
        self,
        register: SessionRegister,
        status: StatusBoard,
        reservations: Reservations,
        *,
        connectors: int,
    ) -> None:
        self._register = register
        self._status = status
        self._reservations = reservations
        self._connectors = range(1, connectors + 1)

    def exists(self, connector_id: int) -> None:
        """Raises :class:`NotDone` for a connector that this station does not have."""
        if connector_id not in self._connectors:
            raise NotDone(f"there is no connector {connector_id}")

    def usable(self, connector_id: int, id_tag: str) -> None:
        """Raises :class:`NotDone` if a session of that tag cannot begin there."""
        self.exists(connector_id)
        if self._register.on(connector_id) is not None:
            raise NotDone("connector is charging")
        status = self._status.current(connector_id).status
        if status in UNUSABLE:
            raise NotDone(UNUSABLE[status])
        refused = self._reservations.refuses(connector_id, id_tag)
        if refused is not None:
            raise NotDone(refused)

    def free(self, id_tag: str) -> int:
        """The connector that fits that tag best: the one reserved for it, then by state;
        ties go to the lowest number."""
        idle = [n for n in self._connectors if self._register.on(n) is None]
        open_to_it = [n for n in idle if self._reservations.refuses(n, id_tag) is None]
        states = {number: self._status.current(number).status for number in open_to_it}
        for number, status in states.items():
            if self._reservations.on(number) is not None and status not in UNUSABLE:
                return number
        for wanted in INVITING:
            for number, status in states.items():
                if status is wanted:
                    return number
        raise NotDone("no connector is free")
