"""The contract of values: what can be stored comes back as it was, the rest is refused."""

from __future__ import annotations

import math
import string
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest

from ocppgw.storage.base import MAX_INTEGER, Ensure, Insert, Put, Update
from ocppgw.storage.values import DEEPEST
from ocppgw.testing.storage.shared import NOON, READINGS, USERS, ContractBase, Opener

STRINGS = (
    "",
    " ",
    "@",
    "@@",
    "@2026-05-01T12:00:00.000Z",
    "2026-05-01T12:00:00Z",
    "null",
    "true",
    "1",
    string.printable,
    "Zürich, Αθήνα, 東京, 🔌, e\u0301, \u2028, \ufeff, \x7f",
    "\x01\x1f",
    "'; DROP TABLE users; --",
    "$where",
    "a.b",
)
NUMBERS = (0, 1, -1, MAX_INTEGER, -MAX_INTEGER, 0.5, -1.25e-300, 1.7976931348623157e308, 1.0, 0.1)


class Colour(StrEnum):
    RED = "red"


class KindContract(ContractBase):
    async def test_documents_come_back_as_they_were(self, opener: Opener) -> None:
        document = {
            "tag": "A",
            "strings": list(STRINGS),
            "numbers": list(NUMBERS),
            "flags": [True, False],
            "moments": [NOON, NOON.replace(year=1970), NOON.replace(year=9999)],
            "nested": {"a": {"b": [{"c": [[], {}, ""]}]}, "Ü ö": 1, "@at": "@", "0": 0},
            "nothing": {},
            "none": [],
        }
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, document, "1"))
            stored = await storage.get(USERS, ("A",))
            assert stored == document
            kinds = [type(item) for name in ("numbers", "flags") for item in stored[name]]
            assert kinds == [*map(type, NUMBERS), bool, bool]

    async def test_empty_containers_survive_every_change(self, opener: Opener) -> None:
        empty: dict[str, Any] = {"list": [], "mapping": {}, "text": ""}
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A", **empty}))
            await storage.commit(Put(USERS, ("B",), empty, 1))
            await storage.commit(Ensure(USERS, {"tag": "C", "list": [1], "mapping": {"a": 1}}))
            await storage.commit(Update(USERS, ("C",), empty, {}, "1"))
            assert [await storage.get(USERS, (tag,)) for tag in "ABC"] == [
                {"tag": tag, **empty} for tag in "ABC"
            ]

    async def test_datetimes_become_utc_milliseconds(self, opener: Opener) -> None:
        there = datetime(2026, 5, 1, 2, 0, 0, 123999, timezone(timedelta(hours=5, minutes=30)))
        async with self.opened(opener) as storage:
            await storage.commit(Put(USERS, ("A",), {"seen_at": there, "list": [there]}, 1))
            stored = await storage.get(USERS, ("A",))
            moment = datetime(2026, 4, 30, 20, 30, 0, 123000, UTC)
            assert stored == {"tag": "A", "seen_at": moment, "list": [moment]}
            assert stored["seen_at"].utcoffset() == timedelta(0)

    async def test_sequences_become_lists(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A", "items": (1, (2, 3), ())}))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "items": [1, [2, 3], []]}

    async def test_large_documents(self, opener: Opener) -> None:
        document = {"tag": "A", "text": "µ" * 500_000, "items": list(range(1000))}
        async with self.opened(opener) as storage:
            await storage.commit(Insert(USERS, document, "1"))
            assert await storage.get(USERS, ("A",)) == document

    async def test_keys_of_every_printable_character(self, opener: Opener) -> None:
        keys = [*string.printable, *STRINGS, "x" * 200, "ü", "🔌"]
        keys = [key for key in dict.fromkeys(keys) if key]
        async with self.opened(opener) as storage:
            await storage.commit(
                *(Ensure(USERS, {"tag": key, "age": n}) for n, key in enumerate(keys))
            )
            for n, key in enumerate(keys):
                assert await storage.get(USERS, (key,)) == {"tag": key, "age": n}
                assert await storage.find(USERS, {"tag": key}) == [{"tag": key, "age": n}]
            assert [user["tag"] for user in await storage.find(USERS)] == sorted(keys)

    async def test_key_parts_do_not_run_together(self, opener: Opener) -> None:
        keys: list[tuple[str, int | str]] = [
            ("a", 1),
            ("a", 11),
            ("a1", 1),
            ("a", "1"),
            ("a/1", 1),
            ("a\x1f1", "1"),
            ("a", -1),
            ("a", MAX_INTEGER),
        ]
        async with self.opened(opener) as storage:
            await storage.commit(*(Ensure(READINGS, {"station": s, "number": n}) for s, n in keys))
            assert len(await storage.find(READINGS)) == len(keys)
            for station, number in keys:
                stored = await storage.get(READINGS, (station, number))
                assert stored == {"station": station, "number": number}

    @pytest.mark.parametrize(
        "value",
        [
            None,
            math.nan,
            math.inf,
            -math.inf,
            MAX_INTEGER + 1,
            -MAX_INTEGER - 1,
            NOON.replace(tzinfo=None),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            b"bytes",
            {1, 2},
            object(),
            Colour.RED,
            timedelta(1),
            "a\0b",
            "\ud800",
            {"": 1},
            {1: 1},
            {"a.b": 1},
            {"$a": 1},
            {"a\0": 1},
        ],
        ids=repr,
    )
    async def test_what_cannot_be_stored_is_refused(self, opener: Opener, value: object) -> None:
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A"}))
            for wrong in (value, [value], {"b": [1, {"c": value}]}):
                for change in (
                    Insert(USERS, {"tag": "B", "x": wrong}, "1"),
                    Ensure(USERS, {"tag": "B", "x": wrong}),
                    Put(USERS, ("B",), {"x": wrong}, 1),
                    Update(USERS, ("A",), {"x": wrong}, {}, "2"),
                ):
                    with pytest.raises(ValueError, match="x"):
                        await storage.commit(Ensure(USERS, {"tag": "C"}), change)
            assert await storage.find(USERS) == [{"tag": "A"}]

    async def test_nesting_to_the_last_level(self, opener: Opener) -> None:
        deepest: Any = {}
        for _ in range(DEEPEST - 2):
            deepest = [deepest]
        async with self.opened(opener) as storage:
            await storage.commit(Ensure(USERS, {"tag": "A", "x": deepest}))
            assert await storage.get(USERS, ("A",)) == {"tag": "A", "x": deepest}
            with pytest.raises(ValueError, match="deep"):
                await storage.commit(Ensure(USERS, {"tag": "B", "x": [deepest]}))

    async def test_nesting_without_end_is_refused(self, opener: Opener) -> None:
        endless: list[Any] = []
        endless.append(endless)
        async with self.opened(opener) as storage:
            with pytest.raises(ValueError, match="deep"):
                await storage.commit(Ensure(USERS, {"tag": "A", "x": endless}))

    @pytest.mark.parametrize("key", [None, 1.5, True, "a\0b", "\ud800", 2**53 + 1, NOON], ids=repr)
    async def test_what_cannot_be_a_key_is_refused(self, opener: Opener, key: Any) -> None:
        async with self.opened(opener) as storage:
            with pytest.raises(ValueError):  # noqa: PT011 (the words are the back end's)
                await storage.commit(Ensure(USERS, {"tag": key}))
            with pytest.raises(ValueError):  # noqa: PT011
                await storage.get(USERS, (key,))

    async def test_documents_are_copies(self, opener: Opener) -> None:
        async with self.opened(opener) as storage:
            document: dict[str, Any] = {"tag": "A", "items": [1]}
            await storage.commit(Ensure(USERS, document))
            document["items"].append(2)
            for _ in range(2):
                stored = await storage.get(USERS, ("A",))
                assert stored == {"tag": "A", "items": [1]}
                stored["items"].append(3)
