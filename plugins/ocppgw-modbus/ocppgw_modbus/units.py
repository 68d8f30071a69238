"""Physical units of registers, and what each measurand is reported in."""

from __future__ import annotations

from decimal import Decimal

from ocppgw.ocpp.enums import Measurand, UnitOfMeasure

# A register's unit: the unit it is reported in, and the factor that leads there.
UNITS: dict[str, tuple[UnitOfMeasure, Decimal]] = {
    "mWh": (UnitOfMeasure.WH, Decimal("0.001")),
    "Wh": (UnitOfMeasure.WH, Decimal(1)),
    "kWh": (UnitOfMeasure.WH, Decimal(1000)),
    "MWh": (UnitOfMeasure.WH, Decimal(1000000)),
    "varh": (UnitOfMeasure.VARH, Decimal(1)),
    "kvarh": (UnitOfMeasure.VARH, Decimal(1000)),
    "mW": (UnitOfMeasure.W, Decimal("0.001")),
    "W": (UnitOfMeasure.W, Decimal(1)),
    "kW": (UnitOfMeasure.W, Decimal(1000)),
    "VA": (UnitOfMeasure.VA, Decimal(1)),
    "kVA": (UnitOfMeasure.VA, Decimal(1000)),
    "var": (UnitOfMeasure.VAR, Decimal(1)),
    "kvar": (UnitOfMeasure.VAR, Decimal(1000)),
    "mA": (UnitOfMeasure.A, Decimal("0.001")),
    "A": (UnitOfMeasure.A, Decimal(1)),
    "mV": (UnitOfMeasure.V, Decimal("0.001")),
    "V": (UnitOfMeasure.V, Decimal(1)),
    "kV": (UnitOfMeasure.V, Decimal(1000)),
    "Celsius": (UnitOfMeasure.CELSIUS, Decimal(1)),
    "K": (UnitOfMeasure.K, Decimal(1)),
    "%": (UnitOfMeasure.PERCENT, Decimal(1)),
}

# Units of times and of plain numbers: known, but not measured quantities.
OTHER_UNITS = frozenset({"s", "ms", "min", "h", "Hz"})

_FAMILIES: tuple[tuple[str, frozenset[UnitOfMeasure]], ...] = (
    ("Energy.Active", frozenset({UnitOfMeasure.WH})),
    ("Energy.Reactive", frozenset({UnitOfMeasure.VARH})),
    ("Power.Active", frozenset({UnitOfMeasure.W})),
    ("Power.Offered", frozenset({UnitOfMeasure.W})),
    ("Power.Reactive", frozenset({UnitOfMeasure.VAR})),
    ("Current", frozenset({UnitOfMeasure.A})),
    ("Voltage", frozenset({UnitOfMeasure.V})),
    ("Temperature", frozenset({UnitOfMeasure.CELSIUS, UnitOfMeasure.K})),
    ("SoC", frozenset({UnitOfMeasure.PERCENT})),
)


def allowed_units(measurand: Measurand) -> frozenset[UnitOfMeasure]:
    """The units a measurand may be reported in; empty: this driver cannot measure it
    (frequency, power factor and revolutions have no unit that OCPP names)."""
    for prefix, units in _FAMILIES:
        if measurand.value.startswith(prefix):
            return units
    return frozenset()
