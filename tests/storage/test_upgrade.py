"""A file of schema 1, as the first version wrote it, is taken along to what comes after."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ocppgw.storage import Collection, StorageError, sqlite
from ocppgw.storage.file import FileOptions, open_file
from ocppgw.storage.sqlite import UPGRADES

USERS = Collection("users", ("tag",), ("age",))
# What the first published version wrote, by its own statements; never to be changed.
SCHEMA_1 = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1329811536;
PRAGMA user_version = 1;
CREATE TABLE collection (name TEXT PRIMARY KEY, key_fields TEXT NOT NULL);
CREATE TABLE sequence (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL);
INSERT INTO collection VALUES ('users', '["tag"]');
INSERT INTO sequence VALUES ('starts', 64);
CREATE TABLE "doc:users" (k0, doc TEXT NOT NULL, inserted_by TEXT, updated_by TEXT,
                          versions TEXT, PRIMARY KEY (k0));
CREATE INDEX "ix:users:age" ON "doc:users" (json_extract(doc, '$."age"'));
INSERT INTO "doc:users" VALUES ('A', '{"tag":"A","age":5}', 'c1', NULL, NULL);
INSERT INTO "doc:users" VALUES ('B', '{"tag":"B","age":3}', NULL, 'c2', '{"boot":7}');
"""
FURTHER = (
    ("CREATE TABLE second (x)", "INSERT INTO second VALUES (2)"),
    ("CREATE TABLE third (x)", "INSERT INTO third SELECT x + 1 FROM second"),
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA_1)
    return path


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "UPGRADES", (*UPGRADES, *FURTHER))


def schema(path: Path) -> tuple[int, set[str]]:
    """The version, and the tables beside those of collections."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return version, {name for (name,) in names if not name.startswith("doc:")}


async def contents(path: Path) -> list[str]:
    storage = await open_file(FileOptions(path=path), [USERS])
    found = [user["tag"] for user in await storage.find(USERS, order_by="age")]
    assert await storage.next_number("starts") > 64
    await storage.close()
    return found


async def test_the_first_schema_is_read_as_it_is(old: Path) -> None:
    assert await contents(old) == ["B", "A"]
    assert not list(old.parent.glob("x.db.before*"))


@pytest.mark.usefixtures("newer")
async def test_all_steps_are_made_and_a_copy_is_kept(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ocppgw.storage"):
        assert await contents(old) == ["B", "A"]
    assert schema(old) == (3, {"collection", "sequence", "second", "third"})
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT x FROM third").fetchall() == [(3,)]
    kept = old.with_name("x.db.before-schema-3")
    assert schema(kept) == (1, {"collection", "sequence"})
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [record.message for record in caplog.records] == [
        f"{old}: schema 1 becomes 3; a copy as it was is {kept}"
    ]


async def test_the_copy_is_what_the_older_version_goes_back_to(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "UPGRADES", (*UPGRADES, *FURTHER))
        await contents(old)
    with pytest.raises(StorageError, match="a newer ocppgw wrote this file"):
        await contents(old)
    old.with_name("x.db.before-schema-3").replace(old)
    assert await contents(old) == ["B", "A"]


async def test_a_failed_step_leaves_schema_and_copy(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "UPGRADES", (*UPGRADES, *FURTHER, ("CREATE TABLE second (x)",)))
        with pytest.raises(StorageError, match="second already exists"):
            await contents(old)
    assert schema(old) == (1, {"collection", "sequence"})
    assert schema(old.with_name("x.db.before-schema-4")) == (1, {"collection", "sequence"})
    monkeypatch.setattr(sqlite, "UPGRADES", (*UPGRADES, *FURTHER))
    assert await contents(old) == ["B", "A"]


@pytest.mark.usefixtures("newer")
async def test_without_room_for_the_copy_nothing_is_upgraded(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: sqlite3.Connection, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ocppgw.storage.upgrade.copy", full)
    with pytest.raises(StorageError, match="the disk is full; free some space"):
        await contents(old)
    assert schema(old) == (1, {"collection", "sequence"})
    assert not list(old.parent.glob("x.db.*ing"))


@pytest.mark.usefixtures("newer")
async def test_a_new_file_has_the_newest_schema_and_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.db"
    await (await open_file(FileOptions(path=path), [USERS])).close()
    assert schema(path)[0] == 3
    assert {file.name for file in path.parent.iterdir()} == {"x.db", "x.db.lock"}
