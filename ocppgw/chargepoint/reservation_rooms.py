"""The rooms of reservations, made and wired to each other."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservation_book import ReservationBook
from ocppgw.chargepoint.reservation_link import ReservationLink
from ocppgw.chargepoint.reservation_rules import ReservationRules
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.status import StatusBoard
from ocppgw.clock import Clock
from ocppgw.plc.base import Driver, Reserve


def reservations_of(
    settings: ChargeBoxSettings,
    ledger: Ledger,
    register: SessionRegister,
    driver: Driver,
    clock: Clock,
    narrator: Narrator,
    *,
    parent_of: Callable[[str], str | None],
    status: Callable[[], StatusBoard],
) -> Reservations:
    """The reservations of a charge box; ``status`` is asked for once things happen."""
    connectors = settings.connectors

    def changed(connector_id: int) -> None:
        status().forget_note(connector_id)  # what was refused for it might not be now
        status().refresh(connector_id)

    book = ReservationBook(ledger, clock, connectors=connectors)
    rules = ReservationRules(
        book,
        register,
        connectors=connectors,
        seen=lambda connector_id: status().but_for_reservations(connector_id),
        parent_of=parent_of,
        plc_is_asked=lambda: driver.supports(Reserve),
    )
    link = ReservationLink(
        book,
        ledger,
        driver,
        narrator,
        connectors=connectors,
        deadline=settings.deadlines.command,
    )
    return Reservations(
        ledger,
        book,
        rules,
        link,
        clock,
        narrator,
        connectors=connectors,
        plc_is_lost=lambda: status().plc_is_lost,
        changed=changed,
    )
