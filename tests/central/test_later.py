"""What need not be waited for is stored soon, merged, and not lost while the store is away."""

import logging

from ocppgw.central.later import Later
from ocppgw.central.seldom import MOST, Seldom
from ocppgw.storage import Collection, Delete, Ensure, Put, StorageUnavailable
from ocppgw.testing.clock import FakeClock
from ocppgw.testing.storage import MemoryStorage

THINGS = Collection("things", ("id",))


def put(version, part="a", key="x", **fields):
    return Put(THINGS, (key,), fields, version, part)


class Counting(MemoryStorage):
    commits = 0

    async def commit(self, *changes):
        self.commits += 1
        await super().commit(*changes)


def made(gather=lambda: ()):
    storage = Counting([THINGS])
    return storage, Later(storage, FakeClock(), gather)


async def test_puts_of_one_part_are_merged_and_stored_at_once():
    storage, later = made()
    later.add(put(1, one=1, two=1))
    later.add(put(2, two=2))
    later.add(put(1, two=0, three=3))  # late
    later.add(put(1, part="b", four=4))

    await later.flush()

    assert storage.commits == 1
    assert await storage.find(THINGS) == [{"id": "x", "one": 1, "two": 2, "three": 3, "four": 4}]


async def test_the_first_ensure_counts_and_a_delete_deletes():
    storage, later = made()
    later.add(Ensure(THINGS, {"id": "x", "n": 1}))
    later.add(Ensure(THINGS, {"id": "x", "n": 2}))
    await later.flush()
    assert await storage.find(THINGS) == [{"id": "x", "n": 1}]

    later.add(Delete(THINGS, ("x",)))
    await later.flush()

    assert await storage.find(THINGS) == []


async def test_while_the_store_is_away_nothing_is_lost_and_newer_wins(caplog):
    storage, later = made()
    later.add(put(1, n=1, m=1))
    storage.failure = StorageUnavailable("away")
    await later.flush()
    later.add(put(2, n=2))
    await later.flush()
    storage.failure = None

    await later.flush()

    assert await storage.find(THINGS) == [{"id": "x", "n": 2, "m": 1}]
    assert len(caplog.records) == 1


async def test_what_could_not_be_stored_comes_before_what_came_meanwhile():
    """Both wait when the store fails: the change in flight and a newer one."""
    storage, later = made()

    async def fails(*changes):
        later.add(put(2, n=2))
        raise StorageUnavailable("away")

    later.add(put(1, n=1, m=1))
    storage.commit = fails
    await later.flush()
    del storage.commit

    await later.flush()

    assert await storage.find(THINGS) == [{"id": "x", "n": 2, "m": 1}]


async def test_many_are_stored_in_batches(monkeypatch):
    monkeypatch.setattr("ocppgw.central.later.BATCH", 10)
    storage, later = made()
    for number in range(25):
        later.add(put(1, key=f"{number:02}", n=number))

    await later.flush()

    assert storage.commits == 3
    assert len(await storage.find(THINGS)) == 25


async def test_what_does_not_fit_is_lost_aloud(monkeypatch, caplog):
    monkeypatch.setattr("ocppgw.central.later.MOST", 2)
    storage, later = made()
    for number in range(5):
        later.add(put(1, key=str(number), n=number))
    later.add(put(2, key="0", n=7))

    await later.flush()

    assert [d["n"] for d in await storage.find(THINGS)] == [7, 1]
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


async def test_gathered_changes_are_stored_each_second_and_at_the_end():
    told = [[put(1, n=1)], [put(2, n=2)]]
    storage = Counting([THINGS])
    clock = FakeClock()
    later = Later(storage, clock, lambda: told.pop(0) if told else [])
    later.start()
    await clock.advance(1)
    assert await storage.find(THINGS) == [{"id": "x", "n": 1}]

    await later.stop()

    assert await storage.find(THINGS) == [{"id": "x", "n": 2}]
    assert storage.commits == 2
    await later.stop()


async def test_a_thing_is_said_once_a_minute():
    clock = FakeClock()
    seldom = Seldom(clock)
    assert [seldom("a"), seldom("a"), seldom("b")] == [True, False, True]

    await clock.advance(61)

    assert [seldom("a"), seldom("a")] == [True, False]


async def test_strangers_cannot_fill_the_log_or_the_memory():
    clock = FakeClock()
    seldom = Seldom(clock)

    said = sum(seldom(str(number)) for number in range(3 * MOST))

    assert said == MOST
    await clock.advance(61)
    assert seldom("again")
    assert len(seldom._said) == 1


async def test_what_cannot_be_stored_takes_nothing_else_with_it(caplog):
    storage, later = made()
    later.start()
    later.add(put(1, key="x", n=1))
    later.add(put(1, key="y", n=float("inf")))
    later.add(put(1, key="z", n=3))

    await later.flush()
    later.add(put(2, key="x", n=2))
    await later.stop()

    assert await storage.find(THINGS) == [{"id": "x", "n": 2}, {"id": "z", "n": 3}]
    assert "a change of things is lost: " in caplog.text
