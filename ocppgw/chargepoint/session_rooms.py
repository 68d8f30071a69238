"""The rooms of sessions, made and wired to each other."""

from __future__ import annotations

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.endings import Endings
from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.meter_rooms import MeterRooms
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.sessions import Sessions
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.clock import Clock
from ocppgw.delivery import TransactionLane


def sessions_of(
    settings: ChargeBoxSettings,
    ledger: Ledger,
    register: SessionRegister,
    transactions: TransactionLane,
    answers: Answers,
    reservations: Reservations,
    meters: MeterRooms,
    clock: Clock,
    narrator: Narrator,
) -> Sessions:
    """The sessions of a charge box: how they begin, and how they end."""
    endings = Endings(ledger, register, transactions, meters.readings, meters.stop_data, narrator)
    return Sessions(
        ledger,
        register,
        transactions,
        answers,
        reservations,
        endings,
        meters.stop_data,
        clock,
        narrator,
        refused_start_wait=settings.refused_start_wait,
    )
