"""What of a station's word can be true: its clock and its meter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2012, 1, 1, tzinfo=UTC)
"""No station spoke OCPP before; a clock that says so was never set."""


def clock_fault(said: datetime, received: datetime, tolerance: float) -> str | None:
    """Why a timestamp cannot be right, in a sentence, or ``None`` (Q17)."""
    if said < EARLIEST:
        return f"the station's clock was not set ({said:%Y-%m-%d})"
    if said > received + timedelta(seconds=tolerance):
        return f"the station's clock is ahead by {said - received}"
    return None


def energy_fault(energy: int, most: int) -> str | None:
    """Why an amount of energy, in Wh, cannot be right, or ``None``."""
    if energy < 0:
        return f"the meter went back by {-energy} Wh"
    if energy > most:
        return f"{energy} Wh is more than a session can be ({most} Wh)"
    return None
