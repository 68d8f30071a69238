"""Sessions that follow each other within a second, or for which the clock is set back."""

from __future__ import annotations

from datetime import timedelta

from ocppgw.ocpp import model as m


async def flap(world, connector_id=1, tag="TAG"):
    """A session without energy: a contactor that dropped out, or a car that thought twice."""
    world.plc.start(connector_id, tag)
    await world.clock.advance(0.3)
    world.plc.stop(connector_id)
    await world.clock.advance(0.3)


async def test_two_sessions_of_a_tag_in_one_second_are_two_starts(world):
    await world.start()
    await world.clock.advance(10)
    await flap(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(60)
    world.plc.charge(1, 4200)
    world.plc.stop(1)
    await world.clock.advance(60)
    starts = world.central.of(m.StartTransactionRequest)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert len(starts) == 2
    assert [stop.transaction_id for stop in stops] == [1001, 1002]
    assert stops[1].meter_stop - starts[1].meter_start == 4200
    assert all(a.timestamp <= b.timestamp for a, b in zip(starts, stops, strict=True))


async def test_also_if_the_process_ended_in_between_and_for_many(world):
    await world.start()
    await world.clock.advance(10)
    for _ in range(5):
        await flap(world)
        await world.kill()
        await world.start()
        await world.clock.advance(0.1)
    await world.clock.advance(60)
    starts = world.central.of(m.StartTransactionRequest)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    begun = [start.timestamp for start in starts]
    assert [later - begun[0] for later in begun] == [timedelta(seconds=n) for n in range(5)]
    assert sorted(stop.transaction_id for stop in stops) == [1001, 1002, 1003, 1004, 1005]
    assert all(a.timestamp <= b.timestamp for a, b in zip(starts, stops, strict=True))


async def test_the_connectors_do_not_mind_each_other(world):
    await world.start()
    await world.clock.advance(10)
    world.plc.start(1, "A")
    world.plc.start(2, "B")
    await world.clock.advance(1)
    starts = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert starts[0].timestamp == starts[1].timestamp


async def test_a_second_that_comes_again_is_not_taken_twice(world):
    """The clock of a gateway without a battery stands at the same time at each start."""
    await world.start()
    await world.clock.advance(10)
    began = world.clock.now()
    await flap(world)
    await world.clock.advance(3600)
    await flap(world)
    world.clock.set_time(began)
    await flap(world)
    await world.clock.advance(60)
    starts = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert [(start.timestamp - began).total_seconds() // 1 for start in starts] == [0, 3600, 1]


async def test_a_session_that_the_clock_was_set_back_in_does_not_end_before_it_began(world):
    await world.start()
    await world.clock.advance(10)
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.clock.set_time(world.clock.now() - timedelta(hours=2))
    await world.clock.advance(600)
    world.plc.charge(1, 500)
    world.plc.stop(1)
    await world.clock.advance(10)
    [start] = world.central.of(m.StartTransactionRequest)
    [stop] = world.central.of(m.StopTransactionRequest)
    story = world.story()
    await world.stop()

    assert stop.timestamp == start.timestamp
    assert stop.meter_stop == 500
    told = "by the clock it ended before it began, 2026-01-01 10:10:20"
    assert any(told in line for line in story)
