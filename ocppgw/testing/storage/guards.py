"""The contract of guards: who wins, and that the loser leaves nothing."""

from __future__ import annotations

import asyncio

import pytest

from ocppgw.storage.base import ABSENT, Change, Conflict, Delete, Ensure, Insert, Put, Update
from ocppgw.testing.storage.shared import NOON, READINGS, USERS, ContractBase, Opener


class GuardContract(ContractBase):
    async def test_insert_stores_a_document(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            assert await storage.get(USERS, ("A",)) is None
            await storage.commit(Insert(USERS, {"tag": "A", "name": "Ann"}, "1"))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "name": "Ann"}

    async def test_insert_of_a_taken_key_is_a_conflict(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "seen_at": NOON}, "1"))
            with pytest.raises(Conflict) as conflict:
                await storage.commit(Insert(USERS, {"tag": "A", "name": "Bob"}, "2"))
            assert conflict.value.current == {"tag": "A", "seen_at": NOON}
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "seen_at": NOON}

    async def test_insert_knows_its_own_write_again(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            insert = Insert(USERS, {"tag": "A", "name": "Ann"}, "1")
            await storage.commit(insert)
            await storage.commit(insert)
            await storage.commit(Update(USERS, ("A",), {"age": 7}, {}, "2"))
            await storage.commit(insert)
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "name": "Ann", "age": 7}

    async def test_insert_of_an_ensured_or_put_key_is_a_conflict(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A"}), Put(USERS, ("B",), {"age": 1}, 1))
            for tag in ("A", "B"):
                with pytest.raises(Conflict):
                    await storage.commit(Insert(USERS, {"tag": tag}, "1"))

    async def test_update_sets_and_removes_fields(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            document = {"tag": "A", "name": "Ann", "age": 7, "home": {"city": "Bern", "floor": 1}}
            await storage.commit(Insert(USERS, document, "1"))
            fields = {"age": 8, "home": {"city": "Basel"}}
            await storage.commit(
                Update(USERS, ("A",), fields, {"age": 7}, "2", remove=("name", "unheard"))
            )
            assert await storage.get(USERS, ("A",)) == {"tag": "A", **fields}

    async def test_update_of_no_document_is_a_conflict(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            with pytest.raises(Conflict) as conflict:
                await storage.commit(Update(USERS, ("A",), {"age": 8}, {"age": ABSENT}, "1"))
            assert conflict.value.current is None
            assert await storage.get(USERS, ("A",)) is None

    async def test_update_expects_any_kind_of_value(self, opener: Opener) -> None:
        values = {
            "text": "@ü",
            "whole": 7,
            "float": 7.5,
            "flag": True,
            "moment": NOON,
            "items": [1, "a", NOON],
            "mapping": {"b": 1, "a": {}},
        }
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", **values}, "1"))
            expect = {**values, "mapping": {"a": {}, "b": 1}, "other": ABSENT}
            await storage.commit(Update(USERS, ("A",), {"age": 1}, expect, "2"))
            for name in values:
                with pytest.raises(Conflict) as conflict:
                    await storage.commit(Update(USERS, ("A",), {"age": 2}, {name: "no"}, "3"))
                assert conflict.value.current == {"tag": "A", **values, "age": 1}
                with pytest.raises(Conflict):
                    await storage.commit(Update(USERS, ("A",), {"age": 2}, {name: ABSENT}, "4"))
            with pytest.raises(Conflict):
                await storage.commit(Update(USERS, ("A",), {"age": 2}, {"other": 1}, "5"))

    async def test_update_knows_its_own_write_again(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "age": 1}, "1"))
            update = Update(USERS, ("A",), {"age": 2}, {"age": 1}, "2")
            await storage.commit(update)
            await storage.commit(Put(USERS, ("A",), {"name": "Ann"}, 1))
            await storage.commit(update)
            await storage.commit(Update(USERS, ("A",), {"age": 3}, {"age": 2}, "3"))
            with pytest.raises(Conflict):
                await storage.commit(update)
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 3, "name": "Ann"}

    async def test_a_failed_guard_leaves_nothing(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "age": 1}, "1"))
            projections: tuple[Change, ...] = (
                Ensure(READINGS, {"station": "S", "number": 1}),
                Put(USERS, ("B",), {"age": 2}, 1),
                Delete(USERS, ("A",)),
            )
            guards = (
                Insert(USERS, {"tag": "A"}, "2"),
                Update(USERS, ("A",), {"age": 2}, {"age": 7}, "3"),
            )
            for guard in guards:
                # Wherever in the commit it stands, the guard is applied first.
                for changes in ((guard, *projections), (*projections, guard)):
                    with pytest.raises(Conflict):
                        await storage.commit(*changes)
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 1}
            assert await storage.get(USERS, ("B",)) is None
            assert await storage.get(READINGS, ("S", 1)) is None

    async def test_a_commit_holds_one_guard(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            guards = [Insert(USERS, {"tag": tag}, tag) for tag in "AB"]
            with pytest.raises(ValueError, match="guard"):
                await storage.commit(*guards)
            assert await storage.find(USERS) == []

    async def test_one_of_many_writers_wins_a_key(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            inserts = (
                storage.commit(Insert(USERS, {"tag": "A", "age": n}, str(n))) for n in range(50)
            )
            outcomes = await asyncio.gather(*inserts, return_exceptions=True)
            won = [n for n, outcome in enumerate(outcomes) if outcome is None]
            lost = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
            assert (len(won), len(lost)) == (1, 49)
            document = {"tag": "A", "age": won[0]}
            assert await storage.get(USERS, ("A",)) == document
            assert all(conflict.current == document for conflict in lost)

    async def test_updates_that_expect_lose_no_write(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "age": 0}, "first"))

            async def add_one(writer: int) -> None:
                for attempt in range(1000):
                    document = await storage.get(USERS, ("A",))
                    assert document is not None
                    age = document["age"]
                    update = Update(
                        USERS, ("A",), {"age": age + 1}, {"age": age}, f"{writer}/{attempt}"
                    )
                    try:
                        await storage.commit(update)
                    except Conflict:
                        continue
                    return

            await asyncio.gather(*(add_one(writer) for writer in range(10)))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": 10}

    async def test_a_conflict_fails_its_own_commit_only(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "5"}, "first"))
            inserts = (
                storage.commit(
                    Insert(USERS, {"tag": str(n)}, str(n)),
                    Ensure(READINGS, {"station": "S", "number": n}),
                )
                for n in range(10)
            )
            outcomes = await asyncio.gather(*inserts, return_exceptions=True)
            assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [5]
            readings = await storage.find(READINGS)
            assert [reading["number"] for reading in readings] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
