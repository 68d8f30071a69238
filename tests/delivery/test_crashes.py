"""The plug is pulled after each turn of the loop: nothing is lost, nothing out of order."""

from __future__ import annotations

import asyncio

from ocppgw.ocpp import model as m
from ocppgw.testing.clock import settle


def once(sent: list[str]) -> list[str]:
    """What was sent, each message where it came first."""
    return list(dict.fromkeys(sent))


async def run_for(world, turns):
    """Runs the lane for that many turns of the loop, then ends it; whether it was busy."""
    task = asyncio.ensure_future(world.lane.run())
    world.lane.open()
    for _ in range(turns):
        await asyncio.sleep(0)
    busy = world.lane.pending > 0
    task.cancel()
    await asyncio.wait([task])
    return busy


async def day(new_world, make, turns):
    """A day's messages, with the plug pulled after so many turns, again and again."""
    world = new_world()
    await world.boot()
    await world.queue("A", make.start(1), make.values(150), make.stop())
    await world.queue("B", make.start(2), make.stop())
    restarts = 0
    while await run_for(world, turns + restarts):
        restarts += 1
        await world.boot()
    return world, restarts


async def test_pulled_at_any_moment_each_message_counts_once(world, make):
    seen = set()
    for turns in range(1, 60):
        after, restarts = await day(type(world), make, turns)
        seen.add(restarts)
        assert once(after.peer.sent) == [
            "Start 1",
            "Values 150 of 1000",
            "Stop 1000",
            "Start 2",
            "Stop 1001",
        ]
        assert await after.lane.waiting() == []
        assert (await after.session("A"))["answer_3"] == "StopTransaction"
        assert (await after.session("B"))["transaction_id"] == 1001
    assert max(seen) > 3
    assert 0 in seen


async def test_pulled_at_any_moment_a_refused_message_is_parked_once(world, make):
    for turns in range(1, 40):
        after = type(world)()
        await after.boot()
        await after.queue("A", make.start(1), make.stop())
        after.peer.refused[m.StartTransactionRequest] = make.fault()
        restarts = 0
        while await run_for(after, turns + restarts):
            restarts += 1
            await after.clock.advance(120)
            await after.boot()
        [parked] = await after.lane.parked()
        assert parked.sequence == 1
        assert parked.attempts == 3
        assert once(after.peer.sent) == ["Start 1", "Stop -1"]
        assert (await after.session("A"))["given_up_1"] == "fault InternalError"


async def test_a_sequence_never_comes_again(world, make):
    used = []
    for _ in range(5):
        await world.boot()
        async with world.running():
            await world.queue("A", make.start(1), make.stop())
        used += world.settled
        world.settled.clear()
    assert used == list(range(1, 11))


async def test_cancelled_in_any_wait_the_lane_ends(world, make):
    await world.boot()
    waits = [
        ([], False),  # shut
        ([], True),  # nothing to send
        (make.cut_off(1), True),  # backing off
        ([make.fault()], True),  # holding back a refused message
    ]
    for script, gate in waits:
        world.peer.script = script
        async with world.running(gate=gate):
            if script:
                await world.queue("A", make.start(1))
            await settle()
        assert world.clock.sleeping == [] or script
