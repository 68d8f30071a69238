"""How fresh readings are, and what becomes of them in a message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import Session
from ocppgw.chargepoint.values import number, numbers_only, sampled, with_energy
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import Measured, Reading
from ocppgw.testing.clock import FakeClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Measurand, Unit, Phase = e.Measurand, e.UnitOfMeasure, e.Phase
PERIODIC = e.ReadingContext.SAMPLE_PERIODIC


def energy(wh, connector_id=1, at=NOON):
    value = Measured(measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, value=wh, unit=Unit.WH)
    return Reading(connector_id=connector_id, at=at, values=(value,))


def of(measurand, unit, *values):
    measured = tuple(
        Measured(measurand=measurand, value=value, unit=unit, phase=phase)
        for phase, value in values
    )
    return Reading(connector_id=1, at=NOON, values=measured)


def session(connector_id, name):
    return Session(
        session=name,
        connector_id=connector_id,
        event_id="1",
        id_tag="TAG",
        started_at=NOON,
        meter_start=100,
        checkpoint_wh=500,
        checkpoint_at=NOON,
    )


async def test_a_reading_goes_stale_after_a_minute():
    clock = FakeClock()
    readings = Readings(clock)
    readings.saw(energy(5))
    await clock.advance(60)
    assert readings.fresh(1) == energy(5)
    await clock.advance(1)
    assert readings.fresh(1) is None
    assert readings.fresh(2) is None


async def test_a_meter_that_is_read_seldom_goes_stale_later():
    clock = FakeClock()
    readings = Readings(clock)
    for wh in range(4):
        readings.saw(energy(wh))
        readings.saw(energy(wh))  # as two blocks of registers
        await clock.advance(300)
    assert readings.fresh(1) == energy(3)
    await clock.advance(600)
    assert readings.fresh(1) == energy(3)
    await clock.advance(1)
    assert readings.fresh(1) is None


def test_what_was_read_before_a_session_began_is_none_of_its_own():
    readings = Readings(FakeClock())
    readings.saw(energy(5))
    readings.session_changed(session(1, "1-1"))
    assert readings.fresh(1) is None
    readings.saw(energy(6))
    readings.session_changed(session(1, "1-1"))
    assert readings.fresh(1) == energy(6)
    readings.session_changed(session(1, "1-2"))
    assert readings.fresh(1) is None


async def test_an_outage_is_no_interval_of_reading():
    clock = FakeClock()
    readings = Readings(clock)
    for pause in (1, 1, 1, 0):
        readings.saw(energy(7))
        await clock.advance(pause)
    readings.plc_is_away()
    await clock.advance(600)
    readings.saw(energy(7))
    await clock.advance(61)
    assert readings.fresh(1) is None


async def test_a_meter_that_was_away_unnoticed_is_not_believed_for_ever():
    clock = FakeClock()
    readings = Readings(clock)
    for pause in (1, 9 * 3600, 1800):
        readings.saw(energy(7))
        await clock.advance(pause)
    assert readings.fresh(1) == energy(7)
    await clock.advance(1)
    assert readings.fresh(1) is None


def test_what_was_read_once_is_offered():
    readings = Readings(FakeClock())
    assert readings.offered == frozenset()
    readings.saw(of(Measurand.VOLTAGE, Unit.V, (None, 230)))
    readings.saw(energy(1))
    assert readings.offered == {Measurand.VOLTAGE, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER}


@pytest.mark.parametrize(
    ("read", "last"), [(None, 500), (400, 500), (500, 500), (700, 700)], ids=str
)
def test_the_last_energy_is_never_below_what_was_saved(read, last):
    readings = Readings(FakeClock())
    if read is not None:
        readings.saw(energy(read))
    assert readings.last_energy(session(1, "1-1"))[0] == last


def test_the_last_energy_of_a_session_is_none_that_was_read_before_it():
    """A PLC may count from zero in each session: what it showed last is that of the other."""
    readings = Readings(FakeClock())
    readings.saw(energy(9000))
    readings.session_changed(session(1, "1-1"))
    assert readings.last_energy(session(1, "1-1"))[0] == 500
    readings.saw(energy(700))
    readings.session_changed(session(1, "1-1"))
    assert readings.last_energy(session(1, "1-1"))[0] == 700


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_was_not_read(nonsense):
    voltage = Measured(measurand=Measurand.VOLTAGE, value=230, unit=Unit.V)
    broken = Measured(
        measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, value=nonsense, unit=Unit.WH
    )
    reading = Reading(connector_id=1, at=NOON, values=(broken, voltage))
    assert numbers_only(reading).values == (voltage,)
    assert numbers_only(energy(5)) == energy(5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(230, "230"), (1234.5678, "1234.568"), (0.1, "0.1"), (-0.0001, "0"), (1e9, "1000000000"),
     (-12.50, "-12.5"), (100.0, "100")],
)  # fmt: skip
def test_values_are_plain_numbers(value, text):
    assert number(value) == text


def test_the_whole_of_a_measurand_is_not_mixed_with_its_phases():
    phases = ((Phase.L1, 10), (Phase.L2, 11), (Phase.L3, 12))
    alone = of(Measurand.CURRENT_IMPORT, Unit.A, *phases)
    with_whole = of(Measurand.CURRENT_IMPORT, Unit.A, *phases, (None, 33))
    wanted = (Measurand.CURRENT_IMPORT,)

    assert [v.value for v in sampled(alone, wanted, PERIODIC)] == ["10", "11", "12"]
    assert [v.value for v in sampled(with_whole, wanted, PERIODIC)] == ["33"]


def test_a_measurand_wanted_twice_is_said_once_and_one_without_a_word_never():
    reading = Reading(
        connector_id=1,
        at=NOON,
        values=(
            Measured(measurand=Measurand.SOC, value=80, unit=Unit.PERCENT),
            Measured(measurand=Measurand.VOLTAGE, value=230, unit=Unit.V),
        ),
    )
    wanted = (Measurand.VOLTAGE, Measurand.SOC, Measurand.VOLTAGE, Measurand.TEMPERATURE)

    [said] = sampled(reading, wanted, PERIODIC)

    assert (said.measurand, said.value) == (Measurand.VOLTAGE, "230")


def test_the_energy_at_an_end_is_the_booked_one():
    begin = e.ReadingContext.TRANSACTION_BEGIN
    value = with_energy(4200, NOON, energy(4300), (Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,), begin)

    assert value == m.MeterValue(
        timestamp=NOON,
        sampled_value=(
            m.SampledValue(
                value="4200",
                context=begin,
                measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
                unit=Unit.WH,
            ),
        ),
    )
