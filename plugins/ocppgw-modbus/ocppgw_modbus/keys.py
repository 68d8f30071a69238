"""Configuration keys that the PLC reads from registers (O-27)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from ocppgw.plc import Configure, PlcRefused, PlcUnsupported
from ocppgw_modbus.bound import FLOATS, TEXTS, BoundCommand, Point
from ocppgw_modbus.section import Section
from ocppgw_modbus.spec import Type

# OCPP's keys are in seconds, where they are times; so many seconds is each of these.
SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}
MOST_DIGITS = 300  # an f64 holds no more; and 1e999999999 is not to be worked with
YES_OR_NO = {"true": "1", "false": "0"}


def registers_of(
    section: Section, keys: Mapping[str, str], where: tuple[str | int, ...]
) -> dict[str, Point]:
    """The register of each key, which must be able to hold one value."""
    found = {}
    for key, register in keys.items():
        point = section.point(register, (*where, key), written=True)
        if point is not None and (point.phases > 1 or point.type is Type.BYTES):
            text = "cannot hold a key, expected a single number, a bool, or ascii"
            section.problem((*where, key), f"{point.name} {text}")
        elif point is not None:
            found[key] = point
    return found


def write_of(command: Configure, bound: BoundCommand) -> tuple[Point, float | str]:
    """Where a key is written, and as what.

    Raises :class:`PlcUnsupported` for a key without a register, and :class:`PlcRefused`
    for a value that the register cannot say.
    """
    point = bound.keys.get(command.key)
    if point is None:
        raise PlcUnsupported(f"the map has no register for the key {command.key}")
    return point, _value(point, command)


def _value(point: Point, command: Configure) -> float | str:
    text = command.value.strip()
    if point.type in TEXTS:
        return text
    try:
        written = Decimal(YES_OR_NO.get(text.lower(), text))
        if written.is_finite() and abs(written.adjusted()) > MOST_DIGITS:
            raise _unsayable(point, command, "no register holds such a number")
        said = Fraction(written)
    except (ArithmeticError, ValueError):
        raise _unsayable(point, command, "expected a number") from None
    number = said / SECONDS.get(point.unit or "", 1)
    if point.type is Type.BOOL and number not in (0, 1):
        raise _unsayable(point, command, "expected true or false")
    raw = (number - Fraction(point.offset)) / Fraction(point.scale)
    if point.type not in FLOATS and raw.denominator != 1:
        step = f"{float(point.scale):g} {point.unit or ''}".strip()
        raise _unsayable(point, command, f"it goes in steps of {step}")
    return int(number) if number.denominator == 1 else float(number)


def _unsayable(point: Point, command: Configure, why: str) -> PlcRefused:
    return PlcRefused(f"{command.key}: {point} cannot say {command.value!r}: {why}")
