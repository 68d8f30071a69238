"""The contract of find and scan: filters, order, pages."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from ocppgw.storage.base import ABSENT, Collection, Document, Ensure, Put, Range, Storage
from ocppgw.testing.storage.shared import NOON, READINGS, USERS, ContractBase, Opener

PEOPLE: tuple[Document, ...] = (
    {"tag": "A", "name": "Ann", "age": 9, "active": True, "seen_at": NOON},
    {"tag": "B", "name": "Bob", "age": 10, "active": False, "seen_at": NOON + timedelta(hours=1)},
    {"tag": "C", "name": "Ann", "age": 100.5, "home": {"city": "Bern", "floor": 2}},
    {"tag": "D", "name": "@Dan", "home": {"city": "@Basel"}},
    {"tag": "E", "name": "Änn", "age": -1, "active": True, "home": {}, "seen_at": NOON},
)


async def fill(storage: Storage) -> None:
    await storage.commit(*(Ensure(USERS, dict(person)) for person in PEOPLE))


def tags(documents: list[Document]) -> str:
    return "".join(document["tag"] for document in documents)


class QueryContract(ContractBase):
    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({}, "ABCDE"),
            ({"tag": "B"}, "B"),
            ({"tag": "none"}, ""),
            ({"name": "Ann"}, "AC"),
            ({"name": "Ann", "age": 9}, "A"),
            ({"name": "Ann", "age": 10}, ""),
            ({"name": "@Dan"}, "D"),
            ({"age": 10}, "B"),
            ({"active": True}, "AE"),
            ({"active": False}, "B"),
            ({"seen_at": NOON}, "AE"),
            ({"home.city": "Bern"}, "C"),
            ({"home.city": "@Basel"}, "D"),
            ({"home.floor": 2}, "C"),
            ({"age": ABSENT}, "D"),
            ({"home.city": ABSENT}, "ABE"),
            ({"active": ABSENT, "name": "Ann"}, "C"),
            ({"age": Range(above=9)}, "BC"),
            ({"age": Range(at_least=9, below=100)}, "AB"),
            ({"age": Range(at_most=9)}, "AE"),
            ({"age": Range(above=9, below=10)}, ""),
            ({"name": Range(at_least="Ann", at_most="Bob")}, "ABC"),
            ({"name": Range(above="Bob")}, "E"),
            ({"seen_at": Range(above=NOON)}, "B"),
            ({"seen_at": Range(at_least=NOON, below=NOON + timedelta(hours=1))}, "AE"),
            ({"tag": Range(above="A", at_most="C")}, "BC"),
            ({"age": Range()}, "ABCDE"),
        ],
        ids=repr,
    )
    async def test_find_filters(self, opener: Opener, where: dict[str, Any], found: str) -> None:
        async with self.opened(opener) as storage:
            await fill(storage)
            assert tags(await storage.find(USERS, where)) == found

    @pytest.mark.parametrize(
        ("order_by", "order"),
        [
            (None, "ABCDE"),
            ("tag", "ABCDE"),
            ("age", "DEABC"),
            ("name", "DACBE"),
            ("seen_at", "CDAEB"),
            ("home.city", "ABEDC"),
        ],
    )
    async def test_find_orders_and_pages(
        self, opener: Opener, order_by: str | None, order: str
    ) -> None:
        async with self.opened(opener) as storage:
            await fill(storage)
            for descending in (False, True):
                expected = order[::-1] if descending else order
                for size in (None, 1, 2, 3):
                    after, found = None, ""
                    while page := await storage.find(
                        USERS, order_by=order_by, descending=descending, limit=size, after=after
                    ):
                        assert size is None or len(page) <= size
                        found += tags(page)
                        after = page[-1]
                    assert found == expected

    async def test_pages_of_a_filtered_find(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await fill(storage)
            where = {"name": Range(at_least="Ann"), "active": True}
            first = await storage.find(USERS, where, order_by="seen_at", limit=1)
            rest = await storage.find(USERS, where, order_by="seen_at", after=first[0])
            assert tags(first + rest) == "AE"

    async def test_find_returns_whole_documents(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await fill(storage)
            assert await storage.find(USERS) == list(PEOPLE)
            assert await storage.find(USERS, limit=0) == []

    async def test_numbers_in_keys_are_ordered_as_numbers(self, opener: Opener) -> None:
        numbers = [10, 9, -1, 100, 2, 1000000, 0, 2**53]
        async with self.opened(opener) as storage:
            await storage.commit(
                *(Ensure(READINGS, {"station": "S", "number": n}) for n in numbers),
                Ensure(READINGS, {"station": "R", "number": 5}),
                Ensure(READINGS, {"station": "T", "number": "text"}),
                Ensure(READINGS, {"station": "T", "number": 5}),
            )
            found = await storage.find(READINGS, {"station": "S"})
            assert [d["number"] for d in found] == sorted(numbers)
            found = await storage.find(READINGS, {"station": "T"})
            assert [d["number"] for d in found] == [5, "text"]
            found = await storage.find(
                READINGS, {"station": "S", "number": Range(above=2, below=200)}
            )
            assert [d["number"] for d in found] == [9, 10, 100]

    async def test_the_head_of_a_queue(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            states = ["parked", "waiting", "parked", "waiting"]
            await storage.commit(
                *(
                    Put(READINGS, (station, n), {"state": state}, 1)
                    for station in ("R", "S")
                    for n, state in enumerate(states)
                )
            )
            where = {"station": "S", "state": "waiting"}
            found = await storage.find(READINGS, where, limit=1)
            assert found == [{"station": "S", "number": 1, "state": "waiting"}]
            found = await storage.find(READINGS, where, limit=1, after=found[0])
            assert [d["number"] for d in found] == [3]
            found = await storage.find(READINGS, where, limit=1, descending=True)
            assert [d["number"] for d in found] == [3]

    async def test_find_refuses_what_is_not_declared(self, opener: Opener) -> None:
        unopened = Collection("contract_unopened", ("id",))
        async with self.opened(opener) as storage:
            for path in ("unheard", "home", "home.street", "age'; --"):
                with pytest.raises(ValueError, match="contract_users"):
                    await storage.find(USERS, {path: 1})
                with pytest.raises(ValueError, match="contract_users"):
                    await storage.find(USERS, order_by=path)
            values: list[Any] = [[], {}, None, Range(above=[1])]
            for value in values:
                with pytest.raises(ValueError, match="find"):
                    await storage.find(USERS, {"age": value})
            with pytest.raises(ValueError, match="contract_users"):
                await storage.find(USERS, after={"name": "a document without its key"})
            with pytest.raises(ValueError, match="contract_unopened"):
                await storage.find(unopened)
            with pytest.raises(ValueError, match="contract_unopened"):
                await storage.get(unopened, (1,))

    async def test_find_sees_the_newest(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            for age in range(5):
                await storage.commit(Put(USERS, ("A",), {"age": age}, age))
                assert await storage.find(USERS, {"age": age}) == [{"tag": "A", "age": age}]
                assert await storage.find(USERS, {"age": age - 1}) == []

    async def test_scan_gives_every_document_once(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            for start in range(0, 1000, 250):
                await storage.commit(
                    *(Ensure(USERS, {"tag": f"{n:04}"}) for n in range(start, start + 250))
                )
            scanned = [document["tag"] async for document in storage.scan(USERS)]
            assert scanned == [f"{n:04}" for n in range(1000)]
            assert [document async for document in storage.scan(READINGS)] == []

    async def test_scan_while_others_write(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(*(Ensure(USERS, {"tag": f"old {n:03}"}) for n in range(300)))

            async def write() -> None:
                for n in range(50):
                    await storage.commit(Ensure(USERS, {"tag": f"new {n}"}))

            writing = asyncio.ensure_future(write())
            scanned = [document["tag"] async for document in storage.scan(USERS)]
            await writing
            assert len(set(scanned)) == len(scanned)
            assert [tag for tag in scanned if tag.startswith("old")] == [
                f"old {n:03}" for n in range(300)
            ]
