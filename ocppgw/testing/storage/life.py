"""The contract of an open store: numbers, retention, cancellation, restarts, the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ocppgw.storage.base import Ensure, Insert, Put, StorageError, Update
from ocppgw.testing.storage.shared import NOON, READINGS, USERS, ContractBase, Opener


class LifeContract(ContractBase):
    async def test_numbers_rise_and_never_repeat(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            assert await storage.next_number("a") == 1
            numbers = [await storage.next_number("a") for _ in range(100)]
            assert numbers == sorted(set(numbers))
            assert min(numbers) > 1
            assert await storage.next_number("b") == 1

    async def test_numbers_asked_for_at_once(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            numbers = await asyncio.gather(*(storage.next_number("a") for _ in range(100)))
            assert len(set(numbers)) == 100

    async def test_numbers_go_on_after_a_restart(self, opener: Opener) -> None:
        numbers = []
        for _ in range(3):
            async with self.opened(opener) as storage:
                numbers += [await storage.next_number("a") for _ in range(3)]
        assert numbers == sorted(set(numbers))

    async def test_what_was_stored_is_there_after_a_restart(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(
                Insert(READINGS, {"station": "S", "number": 1, "at": NOON}, "1"),
                Put(USERS, ("A",), {"age": 1}, 1),
            )
        async with self.opened(opener) as storage:
            assert await storage.get(READINGS, ("S", 1)) == {
                "station": "S",
                "number": 1,
                "at": NOON,
            }
            assert await storage.find(USERS, {"age": 1}) == [{"tag": "A", "age": 1}]
            # A caller that crashed before it heard of its success asks again.
            await storage.commit(Insert(READINGS, {"station": "S", "number": 1, "at": NOON}, "1"))

    async def test_what_follows_a_commit_sees_it(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, {"tag": "A", "age": 0}, "0"))
            for age in range(1, 30):
                # What else goes on at the same time does not matter.
                others = asyncio.gather(
                    *(storage.commit(Put(USERS, (f"x{i}",), {"age": -1}, age)) for i in range(3))
                )
                await storage.commit(
                    Update(USERS, ("A",), {"age": age}, {"age": age - 1}, str(age))
                )
                assert await storage.get(USERS, ("A",)) == {"tag": "A", "age": age}
                assert await storage.find(USERS, {"age": age}) == [{"tag": "A", "age": age}]
                await others

    async def test_prune_keeps_what_is_not_old(self, opener: Opener) -> None:
        def reading(number: int, age: timedelta) -> Ensure:
            return Ensure(READINGS, {"station": "S", "number": number, "at": NOON - age})

        async with self.opened(opener) as storage:
            await storage.commit(
                *(reading(n, timedelta(days=31 + n)) for n in range(1200)),
                reading(2000, timedelta(days=30)),
                reading(2001, timedelta(days=1)),
                reading(2002, timedelta(days=-1)),
                Ensure(READINGS, {"station": "S", "number": 2003}),
                Ensure(USERS, {"tag": "A", "seen_at": NOON - timedelta(days=9999)}),
            )
            assert await storage.prune(NOON) == 1200
            assert await storage.prune(NOON) == 0
            kept = [reading["number"] for reading in await storage.find(READINGS)]
            assert kept == [2000, 2001, 2002, 2003]
            assert len(await storage.find(USERS)) == 1

    async def test_many_commits_at_once(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:

            async def station(name: str) -> None:
                for n in range(10):
                    await storage.commit(
                        Insert(READINGS, {"station": name, "number": n}, f"{name}/{n}"),
                        Put(USERS, (name,), {"age": n}, n),
                    )

            await asyncio.gather(*(station(f"S{n:02}") for n in range(30)))
            assert len(await storage.find(READINGS)) == 300
            users = await storage.find(USERS, {"age": 9})
            assert [user["tag"] for user in users] == [f"S{n:02}" for n in range(30)]

    async def test_a_cancelled_commit_is_whole_or_not_at_all(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            for n in range(20):
                task = asyncio.ensure_future(
                    storage.commit(
                        Insert(READINGS, {"station": "S", "number": n}, str(n)),
                        Ensure(USERS, {"tag": str(n), "age": n}),
                    )
                )
                others = asyncio.gather(
                    *(storage.commit(Put(USERS, (f"x{i}",), {"age": -1}, n)) for i in range(3))
                )
                for _ in range(n % 5):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, others, return_exceptions=True)
                await storage.commit(Put(USERS, ("after",), {"age": -2}, n))
            readings = [reading["number"] for reading in await storage.find(READINGS)]
            users = [user["age"] for user in await storage.find(USERS, order_by="age")]
            assert [age for age in users if age >= 0] == readings

    async def test_cancelled_reads_and_numbers_harm_nobody(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A"}))
            asked = [
                asyncio.ensure_future(call)
                for call in (
                    storage.get(USERS, ("A",)),
                    storage.find(USERS),
                    storage.next_number("a"),
                )
            ]
            await asyncio.sleep(0)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            assert await storage.get(USERS, ("A",)) == {"tag": "A"}
            numbers = [await storage.next_number("a") for _ in range(3)]
            assert numbers == sorted(set(numbers))

    async def test_close_finishes_what_is_in_flight(self, opener: Opener) -> None:
        storage = await opener((USERS, READINGS))
        commits = [
            asyncio.ensure_future(storage.commit(Ensure(USERS, {"tag": f"{n:02}"})))
            for n in range(20)
        ]
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.gather(storage.close(), storage.close())
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        acknowledged = [f"{n:02}" for n, outcome in enumerate(outcomes) if outcome is None]
        async with self.opened(opener) as storage:
            stored = [user["tag"] for user in await storage.find(USERS)]
        assert set(acknowledged) <= set(stored)
        assert len(acknowledged) == 20

    async def test_a_closed_store_says_so(self, opener: Opener) -> None:
        storage = await opener((USERS, READINGS))
        await storage.close()
        await storage.close()
        for call in (
            storage.commit(Ensure(USERS, {"tag": "A"})),
            storage.get(USERS, ("A",)),
            storage.find(USERS),
            storage.next_number("a"),
            storage.prune(NOON),
        ):
            with pytest.raises(StorageError, match="closed"):
                await call
