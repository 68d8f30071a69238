"""Meter values that were answered cost no flush of their own, and harm nobody meanwhile."""

from __future__ import annotations

import asyncio

from ocppgw.delivery.leftovers import MOST
from ocppgw.delivery.queue import ENTRIES
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import settle
from ocppgw.testing.storage import MemoryStorage


class Counting(MemoryStorage):
    """Counts commits; reads of the queue can be held after they were done."""

    commits = 0
    gate: asyncio.Event | None = None

    async def commit(self, *changes):
        self.commits += 1
        await super().commit(*changes)

    async def find(self, collection, where=None, **how):
        found = await super().find(collection, where, **how)
        if self.gate is not None and collection is ENTRIES:
            await self.gate.wait()
        return found


async def begin(world):
    """A new life on a store that counts."""
    world.storage = Counting(contents=world.storage.contents)
    await world.boot()


async def in_store(world):
    return [document["sequence"] for document in await world.storage.find(ENTRIES)]


async def test_an_answered_value_leaves_with_the_next_commit_of_the_lane(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.start())
        before = world.storage.commits
        await world.queue("A", make.values(150))
        assert world.storage.commits == before + 1  # its place in the queue
        assert await in_store(world) == [2]
        assert (world.lane.pending, await world.lane.waiting()) == (0, [])
        await world.clock.advance(3600)
        await world.queue("A", make.stop())
        assert await in_store(world) == []
    assert world.peer.sent == ["Start 1", "Values 150 of 1000", "Stop 1000"]
    assert world.settled == [1, 2, 3]


async def test_starts_and_stops_are_removed_at_once(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.start())
        assert await in_store(world) == []
        await world.queue("A", make.stop())
        assert await in_store(world) == []


async def test_a_value_whose_answer_changes_something_is_removed_at_once(world, make):
    await begin(world)
    answered = world.book.answered
    world.book.answered = lambda entry, _: answered(entry, world.peer.answer(make.start()))
    async with world.running():
        await world.queue("A", make.values(150))
        assert await in_store(world) == []


async def test_killed_before_it_is_removed_a_value_is_sent_again_identical(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.start(), make.values(150))
    await begin(world)
    async with world.running():
        assert world.peer.sent == ["Start 1"] + ["Values 150 of 1000"] * 2
        assert world.peer.requests[1] == world.peer.requests[2]
        await world.queue("A", make.stop())
        assert await in_store(world) == []


async def test_no_more_than_some_are_left_to_a_crash(world, make):
    await begin(world)
    world.lane.shut()
    count = 3 * MOST + 1
    await world.storage.commit(*[world.lane.entry("A", make.values(wh)) for wh in range(count)])
    async with world.running():
        await settle(count * 20)
        assert len(world.peer.sent) == count
        assert world.storage.commits == 1 + 3
        assert await in_store(world) == [count]


async def test_a_commit_of_others_takes_them_along(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.values(1), make.values(2))
        removal = world.lane.removal()
        await world.queue("A", make.values(3))
        await world.storage.commit(*removal.changes)
        removal.written()
        assert await in_store(world) == [3]
        assert len(world.lane.removal().changes) == 2  # the mark, and the third
    assert len(world.peer.sent) == 3


async def test_one_that_is_removed_while_the_lane_looks_is_not_sent_again(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.values(1))
        world.storage.gate = asyncio.Event()
        world.lane.wake()
        await settle()  # the lane has read the first, and does not know yet
        removal = world.lane.removal()
        await world.storage.commit(*removal.changes)
        removal.written()
        world.storage.gate.set()
        await settle()
    assert world.peer.sent == ["Values 1 of -1"]
    assert world.lane.pending == 0


async def test_what_is_left_does_not_hide_a_message_put_back_before_it(world, make):
    await begin(world)
    world.peer.script = [make.fault()] * 3
    async with world.running():
        await world.queue("A", make.start(), make.values(1), make.values(2))
        await world.clock.advance(180)
        await world.queue("A", make.values(3))
        await world.lane.send_again(1)
        await settle()
    assert world.peer.sent[-2:] == ["Values 3 of -1", "Start 1"]


async def test_at_an_orderly_end_nothing_is_left(world, make):
    await begin(world)
    async with world.running():
        await world.queue("A", make.values(1), make.values(2))
    await world.lane.finish()
    assert await in_store(world) == []
    commits = world.storage.commits
    await world.lane.finish()
    assert world.storage.commits == commits
    await world.boot()
    async with world.running():
        await world.queue("B", make.start())
    assert world.peer.sent == ["Values 1 of -1", "Values 2 of -1", "Start 1"]
    assert world.settled[-1] == 3  # the sequence of what is gone does not come again


async def test_a_store_that_is_away_does_not_hold_up_the_end(world, make, caplog):
    caplog.set_level("INFO")
    await begin(world)
    async with world.running():
        await world.queue("A", make.values(1))
    world.storage.failure = StorageUnavailable("the disk is full")
    await world.lane.finish()
    world.storage.failure = None
    assert await in_store(world) == [1]
    assert "will be sent again: the disk is full" in caplog.text


async def test_a_commit_that_failed_leaves_them_for_the_next(world, make):
    await begin(world)

    async def store_goes_away():
        world.storage.failure = StorageUnavailable("the disk is full")

    async with world.running():
        await world.queue("A", make.start(), make.values(1))
        world.peer.script = [store_goes_away]
        await world.queue("A", make.stop())
        await world.clock.advance(10)
        world.storage.failure = None
        await world.clock.advance(60)
        assert await in_store(world) == []
    assert world.peer.sent == ["Start 1", "Values 1 of 1000", "Stop 1000"]
