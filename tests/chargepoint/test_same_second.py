"""Sessions that follow each other within a second."""

from __future__ import annotations

import pytest

from ocppgw.ocpp import model as m


@pytest.mark.xfail(strict=True, reason="both starts are the same message: one transaction for two")
async def test_two_sessions_of_a_tag_in_one_second_are_two_starts(world):
    """The first had no energy: a contactor that dropped out, or a car that thought twice."""
    await world.start()
    await world.clock.advance(10)
    world.plc.start(1, "TAG")
    await world.clock.advance(0.3)
    world.plc.stop(1)
    await world.clock.advance(0.3)
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
