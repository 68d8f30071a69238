"""The process ends at each of its waits in turn: afterwards everything is there once."""

from __future__ import annotations

import msgspec

from ocppgw.chargepoint.keys import Keys
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import AnswerStart, AnswerStop, AnswerTag
from ocppgw.storage import StorageUnavailable

TRANSACTION = (m.StartTransactionRequest, m.MeterValuesRequest, m.StopTransactionRequest)


async def day(world):
    """Two sessions on one connector, one on the other, in between; each with a sample."""
    plc, clock = world.plc, world.clock
    await clock.advance(1)
    plc.start(1, "A")
    await clock.advance(1)
    plc.start(2, "B")
    plc.charge(1, 1000)
    await clock.advance(30)
    plc.stop(1)
    await clock.advance(1)
    plc.start(1, "C")
    plc.charge(2, 500)
    plc.stop(2)
    await clock.advance(1)
    plc.charge(1, 300)
    plc.stop(1)
    await clock.advance(1)


async def crashing_day(make_world, ends_at):
    """The day, with an end of the process after so many waits; ``None``: without one."""
    world = make_world(configuration={"MeterValueSampleInterval": 20})
    life = await world.start(ends_at)
    await day(world)
    ended = life.over
    await world.kill()
    await world.start()
    await world.clock.advance(90)
    await world.stop()
    return world, life, ended


def assert_complete(world, where):
    central = world.central
    starts = central.of(m.StartTransactionRequest)
    stops = central.of(m.StopTransactionRequest)
    assert [(s.connector_id, s.id_tag, s.meter_start) for s in starts] == [
        (1, "A", 0),
        (2, "B", 0),
        (1, "C", 1000),
    ], where
    ids = {tag: 1001 + n for n, tag in enumerate("ABC")}
    assert [(s.transaction_id, s.meter_stop) for s in stops] == [
        (ids["A"], 1000),
        (ids["B"], 500),
        (ids["C"], 1300),
    ], where
    order = central.of(*TRANSACTION)
    for start, stop in zip(starts, stops, strict=True):
        assert order.index(start) < order.index(stop), where
    for values in central.of(m.MeterValuesRequest):
        number = ids["A"] - values.transaction_id
        began, ended = order.index(starts[-number]), order.index(stops[-number])
        assert began < order.index(values) < ended, where
    told = {(a.connector_id, a.transaction_id) for a in world.answers(AnswerStart)}
    assert told == {(1, ids["A"]), (2, ids["B"]), (1, ids["C"])}, where
    assert len({a.event_id for a in world.answers(AnswerStop)}) == 3, where
    assert world.plc.requests == [], where


async def test_a_day_without_crash(make_world):
    world, life, ended = await crashing_day(make_world, None)

    assert not ended
    assert_complete(world, "no crash")
    assert len(world.answers(AnswerStart)) == 3
    assert len(world.central.of(m.MeterValuesRequest)) >= 1
    assert life.waits > 60


async def test_an_end_at_any_wait_loses_nothing_and_doubles_nothing(make_world):
    _, life, _ = await crashing_day(make_world, None)
    for ends_at in range(life.waits):
        world, ended_life, ended = await crashing_day(make_world, ends_at)
        assert ended
        assert_complete(world, f"end at wait {ends_at}: {ended_life.trace[-1]}")


async def test_two_ends_in_a_row_neither(make_world):
    _, life, _ = await crashing_day(make_world, None)
    for first in range(0, life.waits, 9):
        for second in range(5, 60, 11):
            world = make_world(configuration={"MeterValueSampleInterval": 20})
            await world.start(first)
            await day(world)
            await world.kill()
            await world.start(second)
            await world.clock.advance(40)
            await world.kill()
            await world.start()
            await world.clock.advance(90)
            await world.stop()
            assert_complete(world, f"ends at waits {first} and {second}")


async def test_a_tag_is_answered_whenever_the_process_ends(make_world):
    ends_at, ended = 0, True
    while ended:
        world = make_world()
        life = await world.start(ends_at)
        await world.clock.advance(1)
        event_id = world.plc.present_tag(1, "GOOD")
        await world.clock.advance(1)
        ended = life.over
        await world.kill()
        await world.start()
        await world.clock.advance(60)
        await world.stop()

        assert {a.event_id for a in world.answers(AnswerTag)} == {event_id}, life.trace[-1]
        assert all(a.accepted for a in world.answers(AnswerTag)), life.trace[-1]
        ends_at += 1
    assert ends_at > 20


async def test_a_stop_that_comes_while_the_start_is_unanswered_waits_its_turn(world):
    await world.start()
    await world.clock.advance(5)
    world.central.away = True
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    world.plc.charge(1, 250)
    world.plc.stop(1)
    await world.clock.advance(5)
    await world.kill()
    world.central.away = False
    await world.start()
    await world.clock.advance(30)
    start, stop = world.central.of(m.StartTransactionRequest, m.StopTransactionRequest)
    await world.stop()

    assert (start.meter_start, stop.meter_stop, stop.transaction_id) == (0, 250, 1001)
    assert [a.transaction_id for a in world.answers(AnswerStart)] == [1001]


async def test_a_session_survives_a_restart_with_its_checkpoint(world):
    world.settings = msgspec.structs.replace(world.settings, configuration=Keys(sample_interval=60))
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.plc.charge(1, 400)
    await world.clock.advance(60)
    await world.kill()
    world.plc.connectors[1].charging = False
    await world.start()
    await world.clock.advance(10)
    world.plc.start(1, "NEXT")
    await world.clock.advance(10)
    stop = world.central.of(m.StopTransactionRequest)[0]
    await world.stop()

    assert (stop.transaction_id, stop.meter_stop, stop.reason) == (1001, 400, e.Reason.OTHER)


async def test_without_the_store_nothing_is_acknowledged(world):
    await world.start()
    await world.clock.advance(5)
    world.storage.failure = StorageUnavailable("no space left on device")
    world.plc.start(1, "TAG")
    await world.clock.advance(20)
    assert len(world.plc.requests) == 1
    assert world.central.of(m.StartTransactionRequest) == []
    world.storage.failure = None
    await world.clock.advance(90)
    starts = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert world.plc.requests == []
    assert len(starts) == 1
    assert [a.transaction_id for a in world.answers(AnswerStart)] == [1001]
