"""Meter values and checkpoints."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ocppgw.chargepoint.records import SESSIONS
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import Measured, Reading, StartWanted
from ocppgw.storage import StorageUnavailable


async def checkpoint(world):
    [document] = await world.storage.find(SESSIONS, {"done": False})
    return document["checkpoint_wh"]


async def test_samples_keep_the_interval_from_the_start(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60})
    await world.start()
    await world.clock.advance(17)
    world.plc.start(1, "TAG")
    began = world.clock.now()
    for _ in range(13):
        world.plc.charge(1, 100)
        await world.clock.advance(20)
    world.plc.stop(1)
    await world.clock.advance(300)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert [s.transaction_id for s in samples] == [1001] * 4
    ages = [(s.meter_value[0].timestamp - began).total_seconds() for s in samples]
    assert all(0 <= due - age <= 30 for due, age in zip((60, 120, 180, 240), ages, strict=True))


async def test_a_sample_says_what_was_measured(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 30})
    await world.start()
    await world.clock.advance(1)
    world.plc.start(2, "TAG")
    world.plc.charge(2, 1234.6)
    await world.clock.advance(31)
    [sample] = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert sample.connector_id == 2
    periodic = e.ReadingContext.SAMPLE_PERIODIC
    assert sample.meter_value[0].sampled_value == tuple(
        m.SampledValue(value=value, context=periodic, measurand=measurand, unit=unit)
        for value, measurand, unit in (
            ("1234.6", e.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, e.UnitOfMeasure.WH),
            ("0", e.Measurand.POWER_ACTIVE_IMPORT, e.UnitOfMeasure.W),
            ("230", e.Measurand.VOLTAGE, e.UnitOfMeasure.V),
            ("0", e.Measurand.CURRENT_IMPORT, e.UnitOfMeasure.A),
        )
    )


async def test_only_the_configured_measurands_are_reported(make_world):
    world = make_world(
        configuration={"MeterValueSampleInterval": 30, "MeterValuesSampledData": ["Voltage"]}
    )
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(35)
    [sample] = world.central.of(m.MeterValuesRequest)
    await world.stop()

    [value] = sample.meter_value[0].sampled_value
    assert value.measurand is e.Measurand.VOLTAGE


async def test_nothing_is_sampled_when_nothing_is_read(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 30})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(1)
    world.plc.go_offline()
    await world.clock.advance(600)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert len(samples) <= 2


async def test_samples_made_offline_follow_the_start_under_its_transaction(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60})
    await world.start()
    await world.clock.advance(5)
    world.central.away = True
    world.plc.start(1, "TAG")
    await world.clock.advance(200)
    world.plc.stop(1)
    await world.clock.advance(5)
    world.central.away = False
    await world.clock.advance(120)
    sent = world.central.of(
        m.StartTransactionRequest, m.MeterValuesRequest, m.StopTransactionRequest
    )
    await world.stop()

    assert [type(r).__name__[:5] for r in sent] == ["Start", "Meter", "Meter", "Meter", "StopT"]
    assert {r.transaction_id for r in sent[1:]} == {1001}


async def test_a_refused_transaction_is_not_sampled(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 10}, refused_start_wait=100)
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(90)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert samples == []


async def test_the_energy_is_saved_after_so_many_wh_and_so_many_minutes(make_world):
    world = make_world(checkpoint={"wh": 500, "minutes": 10})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(1)
    world.plc.charge(1, 499)
    await world.clock.advance(60)
    assert await checkpoint(world) == 0
    world.plc.charge(1, 1)
    await world.clock.advance(1)
    assert await checkpoint(world) == 500
    world.plc.charge(1, 7)
    await world.clock.advance(500)
    assert await checkpoint(world) == 500
    await world.clock.advance(600)
    assert await checkpoint(world) == 507
    await world.stop()


async def test_a_change_of_the_interval_acts_at_once(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 3600})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(100)
    change = m.ChangeConfigurationRequest(key="MeterValueSampleInterval", value="60")
    await world.ordered(change, 1)
    await world.clock.advance(120)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert len(samples) == 2


async def test_a_meter_that_falls_in_a_session_is_told_once(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60})
    world.plc.connectors[1].energy_wh = 800
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.plc.connectors[1].energy_wh = 5
    await world.clock.advance(200)
    saved = await checkpoint(world)
    await world.stop()

    assert saved == 800
    falls = [line for line in world.story() if "the meter fell" in line]
    assert falls == ["connector 1: the meter fell from 800 Wh to 5 Wh in a session"]


async def test_a_reading_without_energy_is_sampled_and_saves_nothing(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 20})
    world.plc.reading = lambda number: Reading(
        connector_id=number,
        at=world.clock.now(),
        values=(Measured(measurand=e.Measurand.VOLTAGE, value=229.0, unit=e.UnitOfMeasure.V),),
    )
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(25)
    [sample] = world.central.of(m.MeterValuesRequest)
    saved = await checkpoint(world)
    await world.stop()

    assert sample.meter_value[0].sampled_value[0].value == "229"
    assert saved == 0


async def test_a_restart_keeps_the_pace_of_the_samples(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 100})
    await world.start()
    began = world.clock.now()
    world.plc.start(1, "TAG")
    await world.clock.advance(130)
    await world.kill()
    await world.start()
    await world.clock.advance(75)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert len(samples) == 2
    assert samples[1].meter_value[0].timestamp - began <= timedelta(seconds=200)


@pytest.mark.parametrize("hours", [-30, 5])
async def test_a_clock_that_is_set_neither_stops_nor_doubles_the_samples(make_world, hours):
    world = make_world(configuration={"MeterValueSampleInterval": 60})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(130)
    world.clock.set_time(world.clock.now() + timedelta(hours=hours))
    world.plc.charge(1, 700)
    await world.clock.advance(180)
    samples = world.central.of(m.MeterValuesRequest)
    saved = await checkpoint(world)
    await world.stop()

    assert len(samples) == 5
    assert saved == 700


async def test_a_sample_costs_one_commit_and_nothing_is_left_at_the_end(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 60})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(90)
    before = list(world.life.trace)
    for wh in (100, 200, 300):
        world.plc.charge(1, 100)
        await world.clock.advance(60)
        assert world.central.of(m.MeterValuesRequest)[-1].meter_value[0].sampled_value[
            0
        ].value == str(wh)
    commits = [step for step in world.life.trace[len(before) :] if step.startswith("after commit")]
    left = await world.box.transactions.waiting()
    await world.stop()
    queue = world.contents.tables["box_queue"]

    assert len(commits) == 3
    assert left == []
    assert queue == {}


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf")])
async def test_an_energy_that_is_no_number_saves_nothing_and_stops_nobody(make_world, nonsense):
    world = make_world(configuration={"MeterValueSampleInterval": 20})
    plain = world.plc.reading
    world.plc.reading = lambda number: msgspec.structs.replace(
        plain(number),
        values=tuple(
            msgspec.structs.replace(one, value=nonsense)
            if one.measurand is e.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
            else one
            for one in plain(number).values
        ),
    )
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(25)
    [sample] = world.central.of(m.MeterValuesRequest)
    saved = await checkpoint(world)
    await world.stop()

    said = {value.measurand for value in sample.meter_value[0].sampled_value}
    assert e.Measurand.VOLTAGE in said
    assert e.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER not in said
    assert saved == 0


async def test_what_is_read_after_a_restart_belongs_to_the_session_that_runs(make_world):
    world = make_world(checkpoint={"wh": 1000, "minutes": 600})
    await world.start()
    await world.clock.advance(5)
    world.central.away = True
    world.plc.start(1, "FIRST")
    await world.clock.advance(5)
    await world.kill()
    world.plc.charge(1, 300)
    await world.start()
    await world.clock.advance(2)
    world.plc.go_offline()  # the meter is read before the start is answered, not after
    world.central.away = False
    await world.clock.advance(120)
    assert len(world.central.of(m.StartTransactionRequest)) == 1
    second = StartWanted(
        event_id="2", connector_id=1, at=world.clock.now(), id_tag="SECOND", meter_start_wh=350
    )
    await world.box._rooms.station.take(second)
    await world.clock.advance(2)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert (stop.transaction_id, stop.meter_stop) == (1001, 300)


async def test_a_store_that_is_away_is_not_asked_at_each_reading(make_world, caplog):
    world = make_world(connectors=1, checkpoint={"wh": 100, "minutes": 60})
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.storage.failure = StorageUnavailable("no space left on device")
    caplog.clear()
    for _ in range(120):
        world.plc.charge(1, 50)  # which is read at once
        await world.clock.advance(0.5)
    failed = [r for r in caplog.records if "was not kept" in r.message]
    world.storage.failure = None
    for _ in range(20):
        world.plc.charge(1, 50)
        await world.clock.advance(0.5)
    saved = await checkpoint(world)
    await world.stop()

    assert 3 <= len(failed) <= 8
    assert saved >= 6500
