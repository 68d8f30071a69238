"""What the file back end does beyond the contract: who may open the file, and when not."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ocppgw.storage import Collection, Ensure, Insert, Storage, StorageError, StorageUnavailable
from ocppgw.storage import file as file_module
from ocppgw.storage import sqlite as sqlite_module
from ocppgw.storage.failures import failure
from ocppgw.storage.file import FileOptions, FileStorage, ocppgw_storage_backends, open_file
from ocppgw.storage.reader import matching
from ocppgw.storage.sqlite import connect, prepare, table_of
from ocppgw.storage.writer import WriteSession

USERS = Collection("users", ("tag",), ("age",))


async def opened(path: Path, *collections: Collection) -> FileStorage:
    return await open_file(FileOptions(path=path), collections or (USERS,))


async def refused(path: Path, *collections: Collection) -> str:
    """The sentence with which opening is refused; nothing is left open."""
    threads = threading.active_count()
    with pytest.raises(StorageError) as error:
        await opened(path, *collections)
    assert threading.active_count() == threads
    return str(error.value)


def indexes(path: Path) -> set[str]:
    db = sqlite3.connect(path)
    names = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    db.close()
    return {name for name in names if not name.startswith("sqlite_")}


async def test_the_backend_is_registered_as_file(tmp_path: Path) -> None:
    (backend,) = ocppgw_storage_backends()
    assert (backend.name, backend.options_type) == ("file", FileOptions)
    storage: Storage = await backend.open(FileOptions(path=tmp_path / "x.db"), [USERS])
    await storage.close()


async def test_file_and_folders_are_private(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "x.db"
    storage = await opened(path)
    await storage.commit(Ensure(USERS, {"tag": "A"}))
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await storage.close()
    assert {file.name for file in path.parent.iterdir()} == {"x.db", "x.db.lock"}


async def test_the_threads_end_with_close(tmp_path: Path) -> None:
    threads = threading.active_count()
    storage = await opened(tmp_path / "x.db")
    assert threading.active_count() == threads + 2
    await storage.close()
    assert threading.active_count() == threads


async def test_every_connection_flushes_each_commit(tmp_path: Path) -> None:
    db = connect(tmp_path / "x.db")
    prepare(db, tmp_path / "x.db", [])
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    db.close()


# One process a file


async def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    storage = await opened(tmp_path / "x.db")
    sentence = await refused(tmp_path / "x.db")
    assert sentence.startswith(f"{tmp_path}/x.db: the file is in use by process {os.getpid()};")
    await storage.commit(Ensure(USERS, {"tag": "A"}))
    await storage.close()
    storage = await opened(tmp_path / "x.db")
    assert await storage.find(USERS) == [{"tag": "A"}]
    await storage.close()


async def test_a_killed_process_leaves_no_lock(tmp_path: Path, writing: Any) -> None:
    with writing(tmp_path / "x.db") as process:
        assert process.stdout.readline()
        assert f"process {process.pid};" in await refused(tmp_path / "x.db")
        process.kill()
    await (await opened(tmp_path / "x.db")).close()


async def test_a_lock_that_cannot_be_had_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert "No locks available" in await refused(tmp_path / "x.db")


async def test_a_foreign_lock_is_unavailability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.01)
    storage = await opened(tmp_path / "x.db")
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="another program"):
        await storage.commit(Ensure(USERS, {"tag": "A"}))
    other.execute("ROLLBACK")
    other.close()
    await storage.commit(Ensure(USERS, {"tag": "A"}))
    await storage.close()


async def test_without_a_reader_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise StorageUnavailable("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(file_module, "_open_reader", broken)
        assert await refused(tmp_path / "x.db") == "too many open files"
    await (await opened(tmp_path / "x.db")).close()


# Files that are not as they should be


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("storage:\n  backend: file\n" * 1000)
    assert "not a SQLite database" in await refused(path)
    assert path.read_text().startswith("storage:")


async def test_a_database_of_something_else(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.db")
    db.execute("CREATE TABLE holiday (day)")
    db.close()
    assert "not of ocppgw" in await refused(tmp_path / "x.db")
    db = sqlite3.connect(tmp_path / "x.db")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    db.close()


async def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    storage = await opened(path)
    for n in range(200):
        await storage.commit(Ensure(USERS, {"tag": f"{n}", "text": "x" * 1000}))
    await storage.close()
    content = bytearray(path.read_bytes())
    content[4096 * 8 :] = b"\xff" * (len(content) - 4096 * 8)
    path.write_bytes(content)
    storage = await opened(path)
    with pytest.raises(StorageError, match="damaged"):
        await storage.find(USERS)
    await storage.close()


async def test_one_damaged_document_fails_its_own_caller_only(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    storage = await opened(path, Collection("users", ("tag",)))
    await storage.commit(Ensure(USERS, {"tag": "bad"}))
    await storage.close()
    db = sqlite3.connect(path)
    db.execute("""UPDATE "doc:users" SET doc = '{"tag": ' WHERE k0 = 'bad'""")
    db.commit()
    db.close()
    storage = await opened(path, Collection("users", ("tag",)))
    inserts = [Insert(USERS, {"tag": tag}, "1") for tag in ("A", "bad", "B")]
    outcomes = await asyncio.gather(*map(storage.commit, inserts), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), StorageError, type(None)]
    with pytest.raises(StorageError, match="DecodeError"):
        await storage.get(USERS, ("bad",))
    assert await storage.get(USERS, ("B",)) == {"tag": "B"}
    await storage.close()


async def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in await refused(tmp_path / "file" / "x.db")
    assert "Is a directory" in await refused(tmp_path)


def test_a_file_system_without_wal() -> None:
    db = connect(Path(":memory:"))
    with pytest.raises(StorageError, match="WAL"):
        prepare(db, Path("x.db"), [])
    db.close()


# The schema


def test_a_collection_is_known_by_its_name() -> None:
    assert len({USERS, Collection("users", ("tag",), ("age",)), Collection("other", ("tag",))}) == 2


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await (await opened(path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    assert "newer ocppgw wrote this file (schema 99" in await refused(path)
    assert path.read_bytes() == before


async def test_an_older_file_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    storage = await opened(path)
    await storage.commit(Ensure(USERS, {"tag": "A"}))
    await storage.close()
    step = ("ALTER TABLE collection ADD COLUMN note TEXT", "UPDATE collection SET note = 'new'")
    monkeypatch.setattr(sqlite_module, "UPGRADES", (*sqlite_module.UPGRADES, step))
    for _ in range(2):
        storage = await opened(path)
        assert await storage.find(USERS) == [{"tag": "A"}]
        await storage.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(sqlite_module.UPGRADES),)
    assert db.execute("SELECT note FROM collection").fetchall() == [("new",)]
    db.close()


async def test_a_failed_upgrade_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    await (await opened(path)).close()
    with monkeypatch.context() as patch:
        step = ("ALTER TABLE collection ADD COLUMN note TEXT", "UPDATE unheard SET a = 1")
        patch.setattr(sqlite_module, "UPGRADES", (*sqlite_module.UPGRADES, step))
        assert "no such table: unheard" in await refused(path)
    await (await opened(path)).close()


async def test_indexes_follow_the_declaration(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    storage = await opened(path, Collection("users", ("tag",), ("age", "name")))
    await storage.commit(Ensure(USERS, {"tag": "A", "age": 1, "home": {"city": "Bern"}}))
    await storage.close()
    assert indexes(path) == {"ix:users:age", "ix:users:name"}
    users = Collection("users", ("tag",), ("age", "home.city"), "until", timedelta(days=1))
    storage = await opened(path, users)
    assert await storage.find(users, {"home.city": "Bern"})
    await storage.close()
    assert indexes(path) == {"ix:users:age", "ix:users:home.city", "ix:users:until"}


async def test_a_key_cannot_change(tmp_path: Path) -> None:
    await (await opened(tmp_path / "x.db")).close()
    sentence = await refused(tmp_path / "x.db", Collection("users", ("tag", "age")))
    assert "users is kept under the key" in sentence


@pytest.mark.parametrize(
    "collection",
    [
        Collection("a'b", ("id",)),
        Collection("", ("id",)),
        Collection("a", ('i"d',)),
        Collection("a", ("id",), ("a.",)),
        Collection("a", ("id",), ("a')",)),
        Collection("a", ("id",), (), "at;", timedelta(1)),
    ],
    ids=repr,
)
async def test_names_are_checked(tmp_path: Path, collection: Collection) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        await opened(tmp_path / "x.db", collection)
    assert not (tmp_path / "x.db").exists()


# Queries use what was made for them


@pytest.mark.parametrize(
    ("where", "order_by", "limit", "used"),
    [
        ({"box": "A", "state": "waiting"}, None, 1, "sqlite_autoindex"),
        ({"state": "waiting"}, None, None, "ix:queue:state"),
        ({}, "state", 10, "ix:queue:state"),
        ({"box": "A"}, None, None, "sqlite_autoindex"),
    ],
)
def test_queries_use_an_index(
    tmp_path: Path, where: dict[str, Any], order_by: str | None, limit: int | None, used: str
) -> None:
    table = table_of(Collection("queue", ("box", "sequence"), ("state",)))
    db = connect(tmp_path / "x.db")
    prepare(db, tmp_path / "x.db", [table])
    find = matching(table, where, order_by=order_by, descending=False, limit=limit, after=None)
    plan = db.execute(f"EXPLAIN QUERY PLAN {find.statement}", find.values).fetchall()
    db.close()
    assert used in plan[0][-1]
    assert not [row for row in plan if "TEMP B-TREE FOR ORDER BY" in row[-1] and limit]


# Failures


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (sqlite_error("SQLITE_FULL"), StorageUnavailable, "disk is full"),
        (sqlite_error("SQLITE_IOERR_FSYNC"), StorageUnavailable, "disk failed"),
        (sqlite_error("SQLITE_READONLY_DBMOVED"), StorageUnavailable, "cannot be written"),
        (sqlite_error("SQLITE_CORRUPT_INDEX"), StorageError, "damaged"),
        (sqlite_error("SQLITE_CONSTRAINT"), StorageError, "SQLite refused: it failed"),
        (sqlite3.ProgrammingError("closed"), StorageError, "SQLite refused: closed"),
        (OSError(28, "No space"), StorageUnavailable, "disk is full"),
        (OSError(13, "Permission denied"), StorageUnavailable, "Permission denied; check"),
        (TypeError("odd"), StorageError, "TypeError: odd"),
    ],
    ids=str,
)
def test_failures_are_sentences(error: Exception, kind: type, words: str) -> None:
    told = failure(Path("/var/x.db"), error)
    assert type(told) is kind
    assert str(told).startswith("/var/x.db: ")
    assert words in str(told)


def test_a_locked_file_is_waited_for_once_for_all_who_wait(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    db = sqlite3.connect(path, isolation_level=None, timeout=0.01)
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    session = WriteSession(db, partial(failure, path), db.close)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        results = session.run([lambda cursor: None] * 20)
    session.close()

    assert [type(result) for result in results] == [StorageUnavailable] * 20
    assert statements == ["BEGIN IMMEDIATE"]


def test_a_transaction_left_over_by_a_failed_rollback_is_ended_first(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "box.db", isolation_level=None)
    db.execute("CREATE TABLE t (n)")
    session = WriteSession(db, partial(failure, tmp_path), db.close)
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t VALUES (1)")
    assert session.run([lambda cursor: cursor.execute("INSERT INTO t VALUES (2)")])
    assert db.execute("SELECT n FROM t").fetchall() == [(2,)]
    session.close()
