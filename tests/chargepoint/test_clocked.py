"""Samples at moments of the clock: when, for which connectors, and what an outage leaves."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.chargepoint.clocked import Alarm
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.testing.clock import FakeClock

CLOCK, PERIODIC = e.ReadingContext.SAMPLE_CLOCK, e.ReadingContext.SAMPLE_PERIODIC


def at(hour, minute=0, second=0, day=1):
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


async def strikes(alarm, clock, seconds):
    """What an alarm strikes while the clock goes on, looked at as it asks for."""
    struck = []
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        await clock.advance(min(alarm.seconds_left, end - clock.monotonic()))
        moment = alarm.struck()
        if moment is not None:
            struck.append(moment)
    return struck


# When


async def test_moments_are_counted_from_midnight():
    clock = FakeClock(at(12, 7, 31))
    alarm = Alarm(900, clock)

    assert alarm.struck() is None
    assert await strikes(alarm, clock, 3600) == [at(12, 15), at(12, 30), at(12, 45), at(13)]


async def test_an_interval_that_does_not_divide_the_day_begins_anew_at_midnight():
    clock = FakeClock(at(20))
    alarm = Alarm(5 * 3600, clock)

    assert await strikes(alarm, clock, 12 * 3600) == [at(0, day=2), at(5, day=2)]


async def test_an_interval_longer_than_a_day_strikes_at_midnight():
    clock = FakeClock(at(20))
    alarm = Alarm(7 * 86400, clock)

    assert await strikes(alarm, clock, 86400) == [at(0, day=2)]


async def test_a_process_held_up_strikes_once_for_the_last_moment():
    clock = FakeClock(at(12))
    alarm = Alarm(60, clock)
    await clock.advance(250)

    assert alarm.struck() == at(12, 4)
    assert alarm.struck() is None
    assert await strikes(alarm, clock, 60) == [at(12, 5)]


@pytest.mark.parametrize(
    ("to", "then"),
    [
        (datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC), datetime(1970, 1, 1, 0, 15, tzinfo=UTC)),
        (at(12, 20), at(12, 30)),
        (at(12, 29, 57), at(12, 30)),
        (at(11, 58), at(12)),
        (datetime(2031, 7, 1, 3, 1, tzinfo=UTC), datetime(2031, 7, 1, 3, 15, tzinfo=UTC)),
    ],
    ids=str,
)
async def test_a_clock_that_is_set_neither_bursts_nor_stalls(to, then):
    clock = FakeClock(at(12, 1))
    alarm = Alarm(900, clock)
    await clock.advance(30)
    assert alarm.struck() is None
    clock.set_time(to)
    assert alarm.struck() is None
    left = (then - clock.now()).total_seconds()

    assert await strikes(alarm, clock, left) == [then]


async def test_a_clock_that_is_set_back_a_little_does_not_strike_twice():
    clock = FakeClock(at(12, 14, 59))
    alarm = Alarm(900, clock)
    assert await strikes(alarm, clock, 1) == [at(12, 15)]
    clock.set_time(at(12, 14, 59))
    assert alarm.struck() is None

    assert await strikes(alarm, clock, 902) == [at(12, 30)]


async def test_a_wait_is_short_enough_to_notice_a_clock_that_is_set():
    clock = FakeClock(at(12, 0, 30))
    alarm = Alarm(86400, clock)
    assert alarm.seconds_left == 60
    clock.set_time(at(23, 59, 50))
    alarm.struck()
    assert alarm.seconds_left == 10


def test_moments_have_numbers():
    clock = FakeClock(at(12))
    alarm = Alarm(900, clock)
    assert alarm.turn(at(12, 15)) == alarm.turn(at(12)) + 1


# What


def sent(world, context):
    """MeterValues of a context: connector, transaction, and the full minute, in seconds past
    noon, that a sample was taken for; the PLC is read every half a minute."""
    return [
        (
            r.connector_id,
            r.transaction_id,
            60 * math.ceil((r.meter_value[0].timestamp - at(12)).total_seconds() / 60),
        )
        for r in world.central.of(m.MeterValuesRequest)
        if r.meter_value[0].sampled_value[0].context is context
    ]


async def test_a_sample_bears_the_moment_unless_it_was_read_long_before(make_world):
    world = make_world(connectors=1, configuration={"ClockAlignedDataInterval": 60})
    await world.start()
    await world.clock.advance(56)
    world.plc.charge(1, 7)
    await world.clock.advance(60)
    samples = world.central.of(m.MeterValuesRequest)
    await world.clock.advance(10)
    world.plc.go_offline()
    await world.clock.advance(60)
    await world.stop()

    assert [r.meter_value[0].timestamp for r in samples] == [at(12, 1)]
    old = world.central.of(m.MeterValuesRequest)[1]
    assert old.meter_value[0].timestamp == at(12, 1, 30)


async def test_every_connector_is_sampled_by_the_clock_in_and_out_of_a_transaction(make_world):
    world = make_world(configuration={"ClockAlignedDataInterval": 300})
    await world.start()
    await world.clock.advance(120)
    world.plc.start(2, "TAG")
    await world.clock.advance(500)
    world.plc.stop(2)
    await world.clock.advance(300)
    samples = sent(world, CLOCK)
    of_one = [r for r in world.central.of(m.MeterValuesRequest) if r.connector_id == 2]
    await world.stop()

    assert len(samples) == 6
    assert set(samples) == {
        *((1, None, seconds) for seconds in (300, 600, 900)),
        *((2, 1001, seconds) for seconds in (300, 600)),
        (2, None, 900),
    }
    [value] = of_one[0].meter_value[0].sampled_value
    assert value.measurand is e.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


async def test_samples_of_both_kinds_at_one_moment_are_two_messages(make_world):
    world = make_world(
        configuration={"ClockAlignedDataInterval": 60, "MeterValueSampleInterval": 60}
    )
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(65)
    samples = [r for r in world.central.of(m.MeterValuesRequest) if r.connector_id == 1]
    await world.stop()

    contexts = [r.meter_value[0].sampled_value[0].context for r in samples]
    assert sorted(contexts, key=str) == [CLOCK, PERIODIC]
    assert [r.transaction_id for r in samples] == [1001, 1001]


async def test_the_main_meter_is_sampled_where_it_is_read(make_world):
    world = make_world(configuration={"ClockAlignedDataInterval": 60})
    connector_0 = world.plc.connectors[1]
    world.plc.connectors[0] = connector_0
    await world.start()
    await world.clock.advance(65)
    samples = sent(world, CLOCK)
    await world.stop()

    assert sorted(samples) == [(0, None, 60), (1, None, 60), (2, None, 60)]


async def test_without_sample_on_transaction_idle_connectors_are_sampled_too(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60, "SampleOnTransaction": False})
    await world.start()
    await world.clock.advance(90)
    world.plc.start(1, "TAG")
    await world.clock.advance(65)
    samples = sent(world, PERIODIC)
    await world.stop()

    idle = [(1, None, 60), (2, None, 60), (2, None, 120)]
    assert sorted(s for s in samples if s[1] is None) == idle
    [(connector_id, transaction_id, seconds)] = [s for s in samples if s[1] is not None]
    assert (connector_id, transaction_id) == (1, 1001)
    assert 120 <= seconds <= 150  # a minute from its start


async def test_samples_of_a_transaction_may_follow_the_clock(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60}, samples_from="clock")
    await world.start()
    await world.clock.advance(100)
    world.plc.start(1, "TAG")
    await world.clock.advance(85)
    samples = sent(world, PERIODIC)
    await world.stop()

    assert samples == [(1, 1001, 120), (1, 1001, 180)]


async def test_a_refused_transaction_is_sampled_as_none(make_world):
    world = make_world(configuration={"ClockAlignedDataInterval": 60}, refused_start_wait=100)
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(65)
    samples = sent(world, CLOCK)
    await world.stop()

    assert sorted(samples) == [(1, None, 60), (2, None, 60)]


async def test_nothing_fresh_or_nothing_wanted_is_no_message(make_world):
    world = make_world(
        configuration={"ClockAlignedDataInterval": 300, "MeterValuesAlignedData": ["Temperature"]}
    )
    await world.start()
    await world.clock.advance(305)
    world.plc.go_offline()
    change = m.ChangeConfigurationRequest(key="MeterValuesAlignedData", value="Voltage")
    await world.ordered(change, 1)
    await world.clock.advance(900)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert samples == []


async def test_the_newest_values_of_idle_connectors_survive_an_outage_and_a_restart(make_world):
    world = make_world(
        connectors=1, configuration={"ClockAlignedDataInterval": 60}, idle_values_kept=5
    )
    await world.start()
    await world.clock.advance(5)
    world.central.away = True
    await world.clock.advance(600)
    await world.kill()
    world.central.away = False
    await world.start()
    await world.clock.advance(30)
    samples = sent(world, CLOCK)
    await world.stop()

    assert samples == [(1, None, second) for second in (360, 420, 480, 540, 600)]


async def test_idle_values_that_are_not_accepted_hold_up_no_transaction(make_world):
    world = make_world(configuration={"ClockAlignedDataInterval": 60})
    world.central.faults[m.MeterValuesRequest] = 1000
    await world.start()
    await world.clock.advance(65)
    world.plc.start(1, "TAG")
    await world.clock.advance(1)
    starts = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert len(starts) == 1
    assert world.box is None


@pytest.mark.parametrize("jump", [timedelta(days=-20000), timedelta(hours=-2), timedelta(hours=7)])
async def test_a_clock_that_is_set_goes_on_sampling(make_world, jump):
    world = make_world(connectors=1, configuration={"ClockAlignedDataInterval": 300})
    await world.start()
    await world.clock.advance(30)
    world.clock.set_time(world.clock.now() + jump)
    await world.clock.advance(330)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert len(samples) == 1


async def test_a_change_of_the_clock_s_interval_acts_at_once(make_world):
    world = make_world(connectors=1)
    await world.start()
    await world.clock.advance(30)
    change = m.ChangeConfigurationRequest(key="ClockAlignedDataInterval", value="60")
    await world.ordered(change, 100)
    stop = m.ChangeConfigurationRequest(key="ClockAlignedDataInterval", value="0")
    await world.ordered(stop, 300)
    samples = sent(world, CLOCK)
    await world.stop()

    assert samples == [(1, None, 60), (1, None, 120)]
