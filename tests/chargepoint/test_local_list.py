"""SendLocalList: taken whole or not at all, and still there after a restart."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.local_list import LocalList, NotTaken
from ocppgw.chargepoint.records import COLLECTIONS, LISTED_TAGS
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.storage import StorageUnavailable
from ocppgw.storage.file import FileOptions, open_file
from ocppgw.testing.clock import FakeClock
from ocppgw.testing.storage import MemoryStorage

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ACCEPTED = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
BLOCKED = m.IdTagInfo(status=e.AuthorizationStatus.BLOCKED)
DETAILED = m.IdTagInfo(
    status=e.AuthorizationStatus.ACCEPTED,
    expiry_date=NOON + timedelta(days=30),
    parent_id_tag="FAMILY",
)
FULL = e.UpdateType.FULL
DIFFERENTIAL = e.UpdateType.DIFFERENTIAL
Status = e.UpdateStatus


def update(kind, version, /, *entries, **tags):
    """An update of these tags; ``entries`` for what a keyword cannot say."""
    listed = [m.AuthorizationData(id_tag=tag, id_tag_info=info) for tag, info in tags.items()]
    return m.SendLocalListRequest(
        update_type=kind, list_version=version, local_authorization_list=(*entries, *listed)
    )


def entry(tag, info=None):
    return m.AuthorizationData(id_tag=tag, id_tag_info=info)


class CountingStorage(MemoryStorage):
    """Keeps count of the changes that it is asked for."""

    changes = 0

    async def commit(self, *changes):
        self.changes += len(changes)
        await super().commit(*changes)


async def loaded(storage, *, longest=5):
    ledger = Ledger("BOX-1", storage)
    await ledger.load()
    local_list = LocalList(ledger, FakeClock(), longest=longest, listed=lambda plan, tags: None)
    await local_list.load()
    return local_list


async def answer_to(local_list, request):
    """The answer to that SendLocalList."""
    try:
        await local_list.update(request)
    except NotTaken as why:
        return why.status
    return Status.ACCEPTED


def content(local_list, *tags):
    return {tag: info for tag in tags if (info := local_list.get(tag)) is not None}


async def test_a_list_that_was_never_sent_is_of_version_0():
    local_list = await loaded(MemoryStorage())

    assert local_list.version == 0
    assert local_list.get("A") is None


async def test_a_full_list_takes_the_place_of_the_one_before():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    first = await answer_to(local_list, update(FULL, 7, A=ACCEPTED, B=DETAILED))
    second = await answer_to(local_list, update(FULL, 3, B=BLOCKED, C=ACCEPTED))

    for its in (local_list, await loaded(storage)):
        assert content(its, "A", "B", "C") == {"B": BLOCKED, "C": ACCEPTED}
        assert its.version == 3
    assert (first, second) == (Status.ACCEPTED, Status.ACCEPTED)


async def test_an_empty_full_list_empties_it_and_that_is_version_0():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 7, A=ACCEPTED))

    assert await answer_to(local_list, update(FULL, 8)) is Status.ACCEPTED
    for its in (local_list, await loaded(storage)):
        assert its.get("A") is None
        assert its.version == 0
    # Who reads 0 begins to count anew.
    assert await answer_to(local_list, update(DIFFERENTIAL, 1, B=ACCEPTED)) is Status.ACCEPTED
    assert local_list.version == 1


async def test_a_differential_update_adds_changes_and_deletes():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 1, A=DETAILED, B=ACCEPTED, C=ACCEPTED))
    status = await answer_to(
        local_list,
        update(DIFFERENTIAL, 2, entry("B"), entry("never-there"), A=ACCEPTED, D=DETAILED),
    )

    assert status is Status.ACCEPTED
    for its in (local_list, await loaded(storage)):
        # A's expiry and parent are gone, since the update says nothing of them.
        assert content(its, "A", "B", "C", "D") == {"A": ACCEPTED, "C": ACCEPTED, "D": DETAILED}
        assert its.version == 2


async def test_an_empty_differential_update_changes_the_version_alone():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 1, A=DETAILED))

    assert await answer_to(local_list, update(DIFFERENTIAL, 9)) is Status.ACCEPTED
    for its in (local_list, await loaded(storage)):
        assert content(its, "A") == {"A": DETAILED}
        assert its.version == 9


async def test_a_tag_may_be_deleted_and_come_back_again_and_again():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 1, KEPT=ACCEPTED))
    for version in range(2, 8, 2):
        await answer_to(local_list, update(DIFFERENTIAL, version, a=DETAILED))
        assert (await loaded(storage)).get("A") == DETAILED
        await answer_to(local_list, update(DIFFERENTIAL, version + 1, entry("A")))
        assert (await loaded(storage)).get("A") is None


async def test_the_spelling_of_a_tag_does_not_count():
    local_list = await loaded(MemoryStorage())
    await answer_to(local_list, update(FULL, 1, entry("Straße 1 ", DETAILED)))

    assert local_list.get("STRASSE 1") == local_list.get(" straße 1") == DETAILED
    await answer_to(local_list, update(DIFFERENTIAL, 2, entry("STRASSE 1", BLOCKED)))
    assert local_list.get("Straße 1") == BLOCKED
    assert len(local_list) == 1


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        pytest.param(update(DIFFERENTIAL, 4, B=ACCEPTED), "VersionMismatch", id="the same version"),
        pytest.param(update(DIFFERENTIAL, 3), "VersionMismatch", id="an older version"),
        pytest.param(update(FULL, 0, B=ACCEPTED), "Failed", id="version 0"),
        pytest.param(update(DIFFERENTIAL, -1, B=ACCEPTED), "Failed", id="version -1"),
        pytest.param(update(FULL, 5, entry("B")), "Failed", id="nothing said of a tag"),
        pytest.param(update(FULL, 5, B=ACCEPTED, b=ACCEPTED), "Failed", id="a tag twice"),
        pytest.param(
            update(DIFFERENTIAL, 5, entry("B", ACCEPTED), entry("b ")), "Failed", id="and deleted"
        ),
        pytest.param(update(FULL, 5, entry(" ", ACCEPTED)), "Failed", id="an empty tag"),
        pytest.param(
            update(FULL, 5, B=ACCEPTED, C=ACCEPTED, D=ACCEPTED, E=ACCEPTED),
            "Failed",
            id="a longer list than it may hold",
        ),
        pytest.param(
            update(DIFFERENTIAL, 5, B=ACCEPTED, C=ACCEPTED, D=ACCEPTED),
            "Failed",
            id="a list that becomes longer",
        ),
        pytest.param(
            update(e.Unknown("Partial"), 5, B=ACCEPTED), "NotSupported", id="an unknown type"
        ),
    ],
)
async def test_an_update_that_cannot_be_taken_changes_nothing(wrong, status):
    storage = CountingStorage()
    local_list = await loaded(storage, longest=3)
    await answer_to(local_list, update(FULL, 4, A=DETAILED))
    written = storage.changes

    assert (await answer_to(local_list, wrong)).value == status
    assert content(local_list, "A", "B", "C") == {"A": DETAILED}
    assert local_list.version == 4
    assert storage.changes == written


async def test_a_differential_update_may_fill_the_list_that_it_empties():
    local_list = await loaded(MemoryStorage(), longest=2)
    await answer_to(local_list, update(FULL, 1, A=ACCEPTED, B=ACCEPTED))
    status = await answer_to(local_list, update(DIFFERENTIAL, 2, entry("A"), C=ACCEPTED))

    assert status is Status.ACCEPTED
    assert content(local_list, "A", "B", "C") == {"B": ACCEPTED, "C": ACCEPTED}


async def test_the_same_list_again_is_not_written_again():
    storage = CountingStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 1, A=DETAILED, B=ACCEPTED))
    written = storage.changes
    assert await answer_to(local_list, update(FULL, 1, A=DETAILED, B=ACCEPTED)) is Status.ACCEPTED
    assert storage.changes == written
    await answer_to(local_list, update(FULL, 2, A=DETAILED, B=ACCEPTED))
    assert storage.changes == written + 1
    await answer_to(local_list, update(FULL, 3, A=DETAILED, B=BLOCKED))

    assert storage.changes == written + 1 + 3  # the version, B's new document, its old one
    assert content(await loaded(storage), "A", "B") == {"A": DETAILED, "B": BLOCKED}


async def test_a_change_of_a_few_tags_leaves_most_of_a_long_list_unwritten():
    storage = CountingStorage()
    local_list = await loaded(storage, longest=1000)
    tags = {f"TAG-{number:03}": ACCEPTED for number in range(1000)}
    await answer_to(local_list, update(FULL, 1, **tags))
    written = storage.changes
    changes = [
        entry("TAG-005", BLOCKED),
        entry("TAG-006"),
        entry("TAG-999"),
        entry("NEW", DETAILED),
    ]
    await answer_to(local_list, update(DIFFERENTIAL, 2, *changes))

    # The version, and two documents of a hundred tags each instead of two others.
    assert storage.changes == written + 1 + 2 + 2
    reloaded = await loaded(storage, longest=1000)
    assert content(reloaded, "TAG-004", "TAG-005", "TAG-006", "TAG-998", "TAG-999", "NEW") == {
        "TAG-004": ACCEPTED,
        "TAG-005": BLOCKED,
        "TAG-998": ACCEPTED,
        "NEW": DETAILED,
    }
    assert len(reloaded) == len(local_list) == 999


@pytest.mark.parametrize("seed", range(20))
async def test_after_any_updates_memory_and_store_say_what_was_sent(seed):
    chance = random.Random(seed)
    storage = MemoryStorage()
    local_list = await loaded(storage, longest=300)
    names = [f"TAG-{number:03}" for number in range(300)]
    expected = {}
    for version in range(1, 9):
        full = chance.random() < 0.3
        said = [ACCEPTED, BLOCKED, DETAILED, *([] if full else [None])]
        tags = chance.sample(names, chance.choice([0, 1, 5, 250]))
        sent = {tag: chance.choice(said) for tag in tags}
        expected = {**({} if full else expected), **sent}
        kind = FULL if full else DIFFERENTIAL
        assert await answer_to(local_list, update(kind, version, **sent)) is Status.ACCEPTED
        expected = {tag: info for tag, info in expected.items() if info is not None}

    for its in (local_list, await loaded(storage)):
        assert content(its, *names) == expected
        assert len(its) == len(expected)


async def test_a_tag_in_use_elsewhere_is_an_accepted_one():
    local_list = await loaded(MemoryStorage())
    busy = m.IdTagInfo(status=e.AuthorizationStatus.CONCURRENT_TX, parent_id_tag="P")
    await answer_to(local_list, update(FULL, 1, A=busy))

    assert local_list.get("A") == m.IdTagInfo(
        status=e.AuthorizationStatus.ACCEPTED, parent_id_tag="P"
    )


async def test_a_status_that_no_version_knows_is_kept_as_it_came():
    storage = MemoryStorage()
    odd = m.IdTagInfo(status=e.Unknown("Suspended"))
    await answer_to(await loaded(storage), update(FULL, 1, A=odd))

    assert (await loaded(storage)).get("A") == odd


async def test_a_store_that_fails_leaves_the_list_as_it_is():
    storage = MemoryStorage()
    local_list = await loaded(storage)
    await answer_to(local_list, update(FULL, 1, A=ACCEPTED))
    storage.failure = StorageUnavailable("no space left on device")
    status = await answer_to(local_list, update(FULL, 2, B=ACCEPTED))
    storage.failure = None

    assert status is Status.FAILED
    for its in (local_list, await loaded(storage)):
        assert content(its, "A", "B") == {"A": ACCEPTED}
        assert its.version == 1


async def test_ten_thousand_tags_in_a_file(tmp_path):
    options = FileOptions(path=tmp_path / "box.db")
    tags = [entry(f"TAG-{number:05}", DETAILED) for number in range(10_000)]
    storage = await open_file(options, COLLECTIONS)
    local_list = await loaded(storage, longest=10_000)
    assert await answer_to(local_list, update(FULL, 1, *tags)) is Status.ACCEPTED
    changed = [entry("TAG-00007", BLOCKED), entry("TAG-09999"), entry("NEW", ACCEPTED)]
    assert await answer_to(local_list, update(DIFFERENTIAL, 2, *changed)) is Status.ACCEPTED
    await storage.close()

    storage = await open_file(options, COLLECTIONS)
    local_list = await loaded(storage, longest=10_000)
    documents = await storage.find(LISTED_TAGS, {"box": "BOX-1"})
    await storage.close()
    assert (len(local_list), len(documents), local_list.version) == (10_000, 100, 2)
    assert content(local_list, "TAG-00007", "TAG-09999", "NEW", "TAG-00008") == {
        "TAG-00007": BLOCKED,
        "NEW": ACCEPTED,
        "TAG-00008": DETAILED,
    }
