"""The lanes on the store they run on in earnest."""

from __future__ import annotations

import asyncio

from ocppgw.delivery import TransactionLane
from ocppgw.delivery.leftovers import MOST
from ocppgw.storage import Collection
from ocppgw.storage.file import FileOptions, open_file

SESSIONS = Collection("sessions", ("session",))


async def until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


async def test_entries_go_in_order_over_restarts(world, make, tmp_path):
    collections = [*TransactionLane.COLLECTIONS, SESSIONS]
    await world.boot()
    for restart in range(3):
        storage = await open_file(FileOptions(path=tmp_path / "box.db"), collections)
        lane = TransactionLane(
            box="BOX-1",
            storage=storage,
            clock=world.clock,
            peer=world.peer,
            book=world.book,
            policy=lambda: world.policy,
            changed=world.told.append,
        )
        await lane.load()
        lane.open()
        first = restart * 40
        running = asyncio.ensure_future(lane.run())
        for wh in range(first, first + 40):
            await storage.commit(lane.entry("A", make.values(wh)))
            lane.wake()
        await until(lambda wanted=first + 25: len(world.peer.sent) >= wanted)
        running.cancel()
        await asyncio.wait([running])
        await storage.close()
    sent = [int(text.split()[1]) for text in world.peer.sent]
    assert list(dict.fromkeys(sent)) == list(range(max(sent) + 1))
    # What the end of a life has cut off from its removal comes again, and no more.
    assert len(sent) - len(set(sent)) <= 2 * MOST
