"""From a meter's reading to the values of a message (O-37)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

import msgspec

from ocppgw.ocpp import v15
from ocppgw.ocpp.enums import Measurand, ReadingContext, UnitOfMeasure
from ocppgw.ocpp.model import MeterValue, SampledValue
from ocppgw.plc.base import Measured, Reading

# What the version that a charge box speaks has a word for.
SAYABLE = frozenset(v15.MEASURAND.meaning().values())

ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


def numbers_only(reading: Reading) -> Reading:
    """The reading without what is no number, a device's way to say that it has none."""
    values = tuple(one for one in reading.values if math.isfinite(one.value))
    if len(values) == len(reading.values):
        return reading
    return msgspec.structs.replace(reading, values=values)


def sampled(
    reading: Reading, wanted: Iterable[Measurand], context: ReadingContext
) -> tuple[SampledValue, ...]:
    """The measurands that are wanted and were read, in the order wanted.

    OCPP 1.5 has no word for a phase: where the whole of a measurand was read, its phases
    are left out, since nobody could tell them from it.
    """
    return tuple(
        SampledValue(
            value=number(measured.value),
            context=context,
            measurand=measured.measurand,
            phase=measured.phase,
            unit=measured.unit,
        )
        for measurand in dict.fromkeys(wanted)
        if measurand in SAYABLE
        for measured in _whole_or_phases(reading, measurand)
    )


def with_energy(
    energy_wh: int,
    at: datetime,
    reading: Reading | None,
    wanted: Iterable[Measurand],
    context: ReadingContext,
) -> MeterValue:
    """The values at a transaction's begin or end: its energy, as it is booked, and what
    else is wanted of a reading."""
    energy = SampledValue(
        value=str(energy_wh), context=context, measurand=ENERGY, unit=UnitOfMeasure.WH
    )
    others = [measurand for measurand in wanted if measurand is not ENERGY]
    read = () if reading is None else sampled(reading, others, context)
    return MeterValue(timestamp=at, sampled_value=(energy, *read))


def number(value: float) -> str:
    """The value as text: no exponent, at most three decimals, none that say nothing."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _whole_or_phases(reading: Reading, measurand: Measurand) -> list[Measured]:
    read = [measured for measured in reading.values if measured.measurand is measurand]
    return [measured for measured in read if measured.phase is None] or read
