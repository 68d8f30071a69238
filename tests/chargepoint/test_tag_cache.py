"""What the central system said of tags, remembered: how much, how long, over restarts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.tag_cache import TagCache
from ocppgw.chargepoint.tags import NotCleared, Tags
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import FakeClock
from ocppgw.testing.storage import MemoryStorage

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ACCEPTED = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
BLOCKED = m.IdTagInfo(status=e.AuthorizationStatus.BLOCKED)


def until(hours, **fields):
    return msgspec.structs.replace(ACCEPTED, expiry_date=NOON + timedelta(hours=hours), **fields)


class Shelf:
    """A cache, its store and its clock."""

    def __init__(self, longest=3, storage=None):
        self.clock = FakeClock(NOON)
        self.storage = storage or MemoryStorage()
        self.longest = longest
        self.commits = 0

    async def open(self):
        self.ledger = Ledger("BOX-1", self.storage)
        await self.ledger.load()
        self.cache = TagCache(self.ledger, self.clock, longest=self.longest)
        await self.cache.load()
        return self

    async def remember(self, **tags):
        """What was said of those tags, each in a commit; whether anything was written."""
        wrote = False
        for tag, info in tags.items():
            plan = Plan()
            self.cache.plan_remembered(plan, tag, info)
            wrote = wrote or bool(plan.changes)

            async def prepare(plan=plan):
                return plan

            await self.ledger.write(prepare)
        return wrote

    def content(self, *tags):
        return {tag: info for tag in tags if (info := self.cache.get(tag)) is not None}


async def test_what_was_said_last_is_remembered_over_a_restart():
    shelf = await Shelf().open()
    detailed = until(24, parent_id_tag="FAMILY")
    await shelf.remember(A=ACCEPTED, B=BLOCKED)
    await shelf.remember(a=detailed)
    await shelf.open()

    assert shelf.content("A", "B", "C") == {"A": detailed, "B": BLOCKED}
    await shelf.remember(A=ACCEPTED)
    await shelf.open()
    assert shelf.content("A") == {"A": ACCEPTED}


async def test_a_tag_in_use_elsewhere_is_remembered_as_accepted():
    shelf = await Shelf().open()
    busy = m.IdTagInfo(status=e.AuthorizationStatus.CONCURRENT_TX, parent_id_tag="P")
    await shelf.remember(A=busy)

    assert shelf.cache.get("A") == m.IdTagInfo(
        status=e.AuthorizationStatus.ACCEPTED, parent_id_tag="P"
    )


async def test_the_same_word_is_written_once_a_day():
    shelf = await Shelf().open()
    assert await shelf.remember(A=until(100))
    await shelf.clock.advance(23 * 3600)
    assert not await shelf.remember(A=until(100))
    assert await shelf.remember(A=until(99))
    await shelf.clock.advance(23 * 3600)
    assert not await shelf.remember(A=until(99))
    await shelf.clock.advance(3601)
    assert await shelf.remember(A=until(99))


@pytest.mark.parametrize("bad", [BLOCKED, until(1), m.IdTagInfo(status=e.Unknown("Stolen"))])
async def test_a_tag_that_may_not_charge_makes_room_first(bad):
    shelf = await Shelf(longest=3).open()
    await shelf.remember(A=ACCEPTED, BAD=bad, B=until(48))
    await shelf.clock.advance(2 * 3600)
    await shelf.remember(C=ACCEPTED)
    await shelf.open()

    assert shelf.content("A", "BAD", "B", "C").keys() == {"A", "B", "C"}


async def test_then_the_tag_that_was_asked_for_longest_ago():
    shelf = await Shelf(longest=3).open()
    await shelf.remember(A=ACCEPTED, B=ACCEPTED, C=ACCEPTED)
    await shelf.clock.advance(25 * 3600)
    await shelf.remember(A=ACCEPTED)  # still in use
    await shelf.remember(D=ACCEPTED, E=ACCEPTED)
    await shelf.open()

    assert shelf.content(*"ABCDE").keys() == {"A", "D", "E"}


async def test_a_tag_that_is_there_needs_no_room():
    shelf = await Shelf(longest=2).open()
    await shelf.remember(A=ACCEPTED, B=ACCEPTED)
    await shelf.remember(b=BLOCKED)

    assert shelf.content("A", "B") == {"A": ACCEPTED, "B": BLOCKED}


async def test_a_cache_made_smaller_keeps_its_newest():
    shelf = await Shelf(longest=5).open()
    await shelf.remember(A=ACCEPTED, B=ACCEPTED, C=ACCEPTED, D=ACCEPTED)
    shelf.longest = 2
    await shelf.open()
    await shelf.remember(E=ACCEPTED)
    await shelf.open()

    assert shelf.content(*"ABCDE").keys() == {"D", "E"}


async def test_a_cleared_cache_is_empty_and_learns_anew():
    shelf = await Shelf().open()
    await shelf.remember(A=ACCEPTED, B=BLOCKED)
    await shelf.cache.clear(and_then=lambda: None)
    assert len(shelf.cache) == 0
    await shelf.open()
    assert shelf.content("A", "B") == {}

    await shelf.remember(A=BLOCKED)
    await shelf.open()
    assert shelf.content("A", "B") == {"A": BLOCKED}


# The cache beside the local list, and the keys that govern both


class Desk:
    """The tags of a box whose keys a test may change."""

    def __init__(self):
        self.clock = FakeClock(NOON)
        self.storage = MemoryStorage()
        self.keys = Keys()

    async def open(self):
        self.ledger = Ledger("BOX-1", self.storage)
        await self.ledger.load()
        self.tags = Tags(
            self.ledger,
            self.clock,
            keys=lambda: self.keys,
            local_list_length=10,
            cache_length=10,
        )
        await self.tags.load()
        return self

    def set(self, **keys):
        self.keys = msgspec.structs.replace(self.keys, **keys)

    async def say(self, **tags):
        for tag, info in tags.items():

            async def prepare(tag=tag, info=info):
                plan = Plan()
                self.tags.plan_said(plan, tag, info)
                return plan

            await self.ledger.write(prepare)

    async def list(self, version, kind=e.UpdateType.FULL, **tags):
        entries = [m.AuthorizationData(id_tag=t, id_tag_info=i) for t, i in tags.items()]
        request = m.SendLocalListRequest(
            update_type=kind, list_version=version, local_authorization_list=tuple(entries)
        )
        await self.tags.local_list.update(request)

    def found(self, tag):
        known = self.tags.find(tag)
        return None if known is None else (known.info, known.listed, known.valid)


async def test_a_listed_tag_is_not_in_the_cache():
    desk = await Desk().open()
    await desk.say(A=BLOCKED, B=BLOCKED)
    await desk.list(1, A=ACCEPTED)
    assert desk.tags.cache.get("A") is None
    await desk.say(A=BLOCKED)
    assert desk.tags.cache.get("A") is None
    assert desk.found("a") == (ACCEPTED, True, True)
    assert desk.found("B") == (BLOCKED, False, False)

    # What it was long ago does not come back when it is taken off the list.
    await desk.list(2, e.UpdateType.DIFFERENTIAL, A=None)
    assert desk.found("A") is None
    assert (await desk.open()).found("A") is None


async def test_a_list_that_does_not_count_is_kept_and_leaves_the_cache_to_its_own():
    desk = await Desk().open()
    await desk.list(1, A=ACCEPTED)
    desk.set(local_list_enabled=False)
    assert desk.found("A") is None
    await desk.say(A=BLOCKED)
    assert desk.found("A") == (BLOCKED, False, False)
    desk.set(local_list_enabled=True)
    assert desk.found("A") == (ACCEPTED, True, True)


async def test_without_the_cache_nothing_is_remembered_and_what_is_judged_anew_is_forgotten():
    desk = await Desk().open()
    await desk.say(A=ACCEPTED, B=ACCEPTED)
    desk.set(cache_enabled=False)
    assert desk.found("A") is None
    await desk.say(A=BLOCKED, C=ACCEPTED)
    desk.set(cache_enabled=True)

    assert desk.found("A") is None
    assert desk.found("B") == (ACCEPTED, False, True)
    assert desk.found("C") is None


async def test_an_expired_tag_is_known_but_not_valid():
    desk = await Desk().open()
    await desk.list(1, L=until(1, parent_id_tag="P"))
    await desk.say(C=until(1))
    assert desk.found("L") == (until(1, parent_id_tag="P"), True, True)
    await desk.clock.advance(3600)

    assert desk.found("L") == (until(1, parent_id_tag="P"), True, False)
    assert desk.found("C") == (until(1), False, False)
    assert desk.tags.parent_of("l") == "P"


async def test_clear_cache_leaves_the_local_list():
    desk = await Desk().open()
    await desk.list(1, A=ACCEPTED)
    await desk.say(B=ACCEPTED)

    await desk.tags.clear_cache()
    await desk.open()
    assert desk.found("A") == (ACCEPTED, True, True)
    assert desk.found("B") is None
    assert desk.tags.local_list.version == 1


async def test_clear_cache_is_rejected_where_there_is_none_or_it_cannot_be_cleared():
    desk = await Desk().open()
    await desk.say(B=ACCEPTED)
    desk.storage.failure = StorageUnavailable("no space left on device")
    desk.tags.said("C", BLOCKED)
    with pytest.raises(NotCleared, match="no space left on device"):
        await desk.tags.clear_cache()
    desk.storage.failure = None
    running = asyncio.ensure_future(desk.tags.run())
    await desk.clock.advance(1)
    running.cancel()
    await asyncio.wait([running])
    assert desk.found("C") == (BLOCKED, False, False)
    assert desk.found("B") == (ACCEPTED, False, True)
    desk.set(cache_enabled=False)
    with pytest.raises(NotCleared, match="AuthorizationCacheEnabled is false"):
        await desk.tags.clear_cache()


async def test_what_was_said_is_remembered_once_the_store_can():
    desk = await Desk().open()
    running = asyncio.ensure_future(desk.tags.run())
    desk.storage.failure = StorageUnavailable("no space left on device")
    desk.tags.said("A", BLOCKED)
    desk.tags.said("B", ACCEPTED)
    desk.tags.said("a", ACCEPTED)
    await desk.clock.advance(5)
    assert desk.found("A") is None
    desk.storage.failure = None
    await desk.clock.advance(2)
    running.cancel()
    await asyncio.wait([running])
    await desk.open()

    assert desk.found("A") == desk.found("B") == (ACCEPTED, False, True)


async def test_what_is_said_while_the_last_word_is_written_is_the_last_word():
    desk = await Desk().open()
    committing, words = desk.storage.commit, [BLOCKED]

    async def commit(*changes):
        while words:
            desk.tags.said("A", words.pop())
        await committing(*changes)

    desk.storage.commit = commit
    desk.tags.said("A", ACCEPTED)
    running = asyncio.ensure_future(desk.tags.run())
    await desk.clock.advance(1)
    running.cancel()
    await asyncio.wait([running])

    assert desk.found("A") == (BLOCKED, False, False)


async def test_what_was_said_before_the_cache_was_cleared_is_not_remembered_after():
    desk = await Desk().open()
    desk.tags.said("A", ACCEPTED)
    await desk.tags.clear_cache()
    running = asyncio.ensure_future(desk.tags.run())
    await desk.clock.advance(1)
    running.cancel()
    await asyncio.wait([running])

    assert desk.found("A") is None
