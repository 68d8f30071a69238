"""A store looked through: what is told of a whole one, and of damaged ones."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ocppgw.storage import Collection, Delete, Ensure, StorageError
from ocppgw.storage.file import FileOptions, open_file
from ocppgw.storage.inspect import Report, inspect

USERS = Collection("users", ("tag",), ("age",))
NOTES = Collection("notes", ("id",))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def filled(path: Path, count: int = 100) -> Path:
    storage = await open_file(FileOptions(path=path), [USERS, NOTES])
    for number in range(count):
        await storage.commit(Ensure(USERS, {"tag": f"T{number}", "age": number, "x": "x" * 500}))
    await storage.close()
    return path


async def test_a_whole_store(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    report = inspect(path)
    assert report == Report(
        schema=1,
        size=path.stat().st_size,
        free=0,
        counts={"notes": 0, "users": 100},
        problems=(),
    )
    assert names(tmp_path) == {"x.db", "x.db.lock"}


async def test_the_space_of_removed_documents_is_given_back(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", 200)
    storage = await open_file(FileOptions(path=path), [USERS, NOTES])
    await storage.commit(*(Delete(USERS, (f"T{number}",)) for number in range(150)))
    await storage.close()
    before = inspect(path)
    assert before.free > before.size / 2
    after = inspect(path, compact=True)
    assert (after.free, after.counts["users"]) == (0, 50)
    assert path.stat().st_size == after.size <= before.size - before.free


async def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    with closing(sqlite3.connect(path)) as db:
        # Its entries vanish, as if the disk had lost them.
        db.execute("PRAGMA writable_schema = ON")
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'ix:users:age'").fetchone()
        db.execute(
            "UPDATE sqlite_master SET sql = ? WHERE name = 'ix:users:age'",
            (sql.replace("$.", "$.no"),),
        )
        db.commit()
    with closing(sqlite3.connect(path)) as db:
        db.execute("REINDEX")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'ix:users:age'", (sql,))
        db.commit()
    damaged = inspect(path)
    assert any("missing from index ix:users:age" in problem for problem in damaged.problems)
    assert inspect(path, repair=True).problems == ()
    storage = await open_file(FileOptions(path=path), [USERS])
    assert [user["tag"] for user in await storage.find(USERS, {"age": 7})] == ["T7"]
    await storage.close()


async def test_a_document_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", 3)
    with closing(sqlite3.connect(path)) as db:
        db.execute('DROP INDEX "ix:users:age"')
        db.execute("""UPDATE "doc:users" SET doc = '{"tag":' WHERE k0 = 'T1'""")
        db.commit()
    assert inspect(path, repair=True).problems == ("users: documents that cannot be read: 1",)


async def test_documents_on_a_damaged_page_are_told(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'doc:users'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    report = inspect(path)
    assert report.counts == {"notes": 0}
    assert any(problem.startswith("users: ") for problem in report.problems)


async def test_a_store_in_use_is_left_alone(tmp_path: Path) -> None:
    storage = await open_file(FileOptions(path=tmp_path / "x.db"), [USERS])
    with pytest.raises(StorageError, match=f"in use by process {os.getpid()}"):
        inspect(tmp_path / "x.db", repair=True)
    await storage.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "it is empty"),
        (b"something else" * 100, "not a SQLite database"),
    ],
)
def test_what_is_no_store(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=words):
        inspect(path)
    assert path.exists() == (content is not None)
