"""The contract of projections: repeated, late or twice, they do no harm."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ocppgw.storage.base import Change, Collection, Delete, Ensure, Insert, Put, Update
from ocppgw.testing.storage.shared import NOON, READINGS, USERS, ContractBase, Opener


def milliseconds(hours: int) -> int:
    """A version as callers make it: the receipt time in milliseconds."""
    return int((NOON + timedelta(hours=hours)).timestamp() * 1000)


class ProjectionContract(ContractBase):
    async def test_ensure_keeps_the_first(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A", "age": 1}))
            await storage.commit(Ensure(USERS, {"tag": "A", "age": 2, "name": "Ann"}))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 1}

    async def test_put_makes_a_document_with_its_key(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Put(READINGS, ("S", 7), {"at": NOON}, 1))
            assert await storage.get(READINGS, ("S", 7)) == {
                "station": "S",
                "number": 7,
                "at": NOON,
            }

    async def test_put_merges_top_level_fields(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Put(USERS, ("A",), {"age": 1, "home": {"city": "Bern"}}, 1))
            await storage.commit(Put(USERS, ("A",), {"name": "Ann", "home": {"floor": 2}}, 2))
            assert await storage.get(USERS, ("A",)) == {
                "tag": "A",
                "age": 1,
                "home": {"floor": 2},
                "name": "Ann",
            }

    async def test_an_old_put_changes_nothing(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            late = Put(USERS, ("A",), {"age": 1, "name": "old"}, milliseconds(0))
            await storage.commit(late)
            await storage.commit(Put(USERS, ("A",), {"age": 2}, milliseconds(1)))
            await storage.commit(late)  # replayed an hour late
            await storage.commit(Put(USERS, ("A",), {"age": 3}, milliseconds(1)))  # the same age
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 2, "name": "old"}

    async def test_an_old_put_changes_nothing_after_a_restart(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Put(USERS, ("A",), {"age": 2}, 5, "x"))
        async with self.opened(opener) as storage:
            await storage.commit(Put(USERS, ("A",), {"age": 1}, 4, "x"))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 2}

    async def test_parts_have_versions_of_their_own(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Put(USERS, ("A",), {"name": "status"}, 9, "connector.1"))
            await storage.commit(Put(USERS, ("A",), {"age": 1}, 5, "boot"))
            await storage.commit(Put(USERS, ("A",), {"active": True}, 0))
            await storage.commit(Put(USERS, ("A",), {"name": "late"}, 8, "connector.1"))
            await storage.commit(Put(USERS, ("A",), {"age": 2}, 4, "boot"))
            await storage.commit(Put(USERS, ("A",), {"active": False}, 0))
            assert await storage.get(USERS, ("A",)) == {
                "tag": "A",
                "name": "status",
                "age": 1,
                "active": True,
            }

    async def test_put_onto_an_inserted_document(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "age": 1}, "1"))
            await storage.commit(Put(USERS, ("A",), {"age": 2}, 1))
            await storage.commit(Update(USERS, ("A",), {"name": "Ann"}, {"age": 2}, "2"))
            await storage.commit(Put(USERS, ("A",), {"age": 9}, 1))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 2, "name": "Ann"}

    async def test_delete_twice(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A"}), Ensure(USERS, {"tag": "B"}))
            for _ in range(2):
                await storage.commit(Delete(USERS, ("A",)))
            assert await storage.find(USERS) == [{"tag": "B"}]

    async def test_changes_of_one_commit_see_each_other(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(
                Ensure(USERS, {"tag": "B"}),
                Delete(USERS, ("B",)),
                Put(USERS, ("A",), {"age": 2}, 1, "x"),
                Put(USERS, ("A",), {"name": "Ann"}, 2, "x"),
                Insert(USERS, {"tag": "A", "age": 1}, "1"),
            )
            assert await storage.find(USERS) == [{"tag": "A", "age": 2, "name": "Ann"}]

    async def test_a_whole_commit_may_be_repeated(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "gone"}))
            changes: tuple[Change, ...] = (
                Insert(READINGS, {"station": "S", "number": 1, "at": NOON}, "start 1"),
                Put(USERS, ("A",), {"age": 1}, 1, "status"),
                Ensure(USERS, {"tag": "B"}),
                Delete(USERS, ("gone",)),
            )
            for _ in range(3):
                await storage.commit(*changes)
            assert await storage.find(USERS) == [{"tag": "A", "age": 1}, {"tag": "B"}]
            assert await storage.find(READINGS) == [{"station": "S", "number": 1, "at": NOON}]

    async def test_an_empty_commit_is_nothing(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit()
            assert await storage.find(USERS) == []

    async def test_a_change_keeps_to_its_key(self, opener: Opener) -> None:
        unopened = Collection("contract_unopened", ("id",))
        refused: tuple[Change, ...] = (
            Insert(READINGS, {"station": "S"}, "1"),
            Ensure(READINGS, {"number": 1}),
            Put(USERS, ("A",), {"tag": "B"}, 1),
            Put(READINGS, ("S",), {"at": NOON}, 1),
            Update(USERS, ("A",), {"tag": "B"}, {}, "2"),
            Update(USERS, ("A",), {}, {}, "2", remove=("tag",)),
            Update(USERS, ("A",), {"age": 1}, {}, "2", remove=("age",)),
            Delete(READINGS, ("S", 1, 2)),
            Ensure(unopened, {"id": 1}),
        )
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A"}))
            for change in refused:
                with pytest.raises(ValueError, match="contract_"):
                    await storage.commit(change)
            await storage.commit(Put(USERS, ("A",), {"tag": "A", "age": 1}, 1))
            assert await storage.find(USERS) == [{"tag": "A", "age": 1}]
