"""Backups: taken while the store is written to, checked, and put back."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ocppgw import __version__
from ocppgw.errors import UserError
from ocppgw.storage import Collection, Ensure, Put, StorageError, backup
from ocppgw.storage.backup import StoreFile
from ocppgw.storage.file import FileOptions, FileStorage, open_file
from ocppgw.storage.sqlite import UPGRADES, connect, create_private, prepare, table_of
from ocppgw.storage.writer import commit_step

USERS = Collection("users", ("tag",), ("age",))
STARTS = Collection("starts", ("writer", "number"), ("at",))
JOURNAL = Collection("journal", ("id",))
NOW = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)


async def opened(path: Path) -> FileStorage:
    return await open_file(FileOptions(path=path), [USERS])


async def made(path: Path, *tags: str) -> Path:
    """A store that holds those users."""
    storage = await opened(path)
    await storage.commit(*(Ensure(USERS, {"tag": tag}) for tag in tags))
    await storage.close()
    return path


async def tags(path: Path) -> list[str]:
    storage = await opened(path)
    found = [user["tag"] for user in await storage.find(USERS)]
    await storage.close()
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def kept_of(path: Path) -> list[Path]:
    """What a restore has left beside the store."""
    return sorted(path.parent.glob(f"{path.name}.before-restore-*"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A backup of a store named ``central`` that holds the user A."""
    path, table = tmp_path / "from" / "x.db", table_of(USERS)
    create_private(path)
    with closing(connect(path)) as db:
        prepare(db, path, [table])
        step = commit_step({"users": table}, [Ensure(USERS, {"tag": "A"})])
        step(db.cursor())
    backup.write([StoreFile("central", path)], tmp_path / "a.tar", NOW)
    return tmp_path / "a.tar"


async def test_it_holds_what_the_stores_hold_while_they_are_used(tmp_path: Path) -> None:
    first, second = await opened(tmp_path / "1.db"), await opened(tmp_path / "2.db")
    await first.commit(Ensure(USERS, {"tag": "A"}))
    await second.commit(Ensure(USERS, {"tag": "B"}))
    target = tmp_path / "a.tar"
    stores = [StoreFile("central", tmp_path / "1.db"), StoreFile("box/1", tmp_path / "2.db")]
    manifest = await asyncio.to_thread(backup.write, stores, target, NOW)
    for storage in (first, second):
        await storage.commit(Ensure(USERS, {"tag": "later"}))
        await storage.close()

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not (tmp_path / backup.WORKSHOP).exists()
    assert backup.read(target) == manifest
    assert (manifest.ocppgw, manifest.made_at, manifest.format) == (__version__, NOW, 1)
    assert [(c.name, c.member, c.schema) for c in manifest.stores] == [
        ("central", "central.db", len(UPGRADES)),
        ("box/1", "box%2F1.db", len(UPGRADES)),
    ]
    backup.put_back(target, "central", tmp_path / "new" / "1.db")
    backup.put_back(target, "box/1", tmp_path / "new" / "2.db")
    assert await tags(tmp_path / "new" / "1.db") == ["A"]
    assert await tags(tmp_path / "new" / "2.db") == ["B"]
    assert stat.S_IMODE((tmp_path / "new" / "1.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_a_member_is_a_database_that_stands_alone(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["central.db", "manifest.json"]
        member = tar.extractfile("central.db")
        assert member is not None
        (tmp_path / "plain.db").write_bytes(member.read())
    with closing(sqlite3.connect(tmp_path / "plain.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute('SELECT doc FROM "doc:users"').fetchall() == [('{"tag":"A"}',)]


async def test_writers_go_on_and_each_backup_is_of_one_moment(tmp_path: Path, writing: Any) -> None:
    path = tmp_path / "x.db"
    with writing(path) as process:
        acknowledged = [process.stdout.readline() for _ in range(200)]
        for round_ in range(3):
            target = tmp_path / f"{round_}.tar"
            manifest = backup.write([StoreFile("x", path)], target, NOW)
            assert manifest.stores[0].size > 0
            copy = tmp_path / f"copy{round_}" / "x.db"
            backup.put_back(target, "x", copy)
            storage = await open_file(FileOptions(path=copy), [STARTS, JOURNAL])
            stored = {f"{d['writer']}/{d['number']}" for d in await storage.find(STARTS)}
            journal = {d["id"] for d in await storage.find(JOURNAL)}
            await storage.close()
            assert stored == journal
            assert {line.strip().replace(" ", "/") for line in acknowledged} <= stored
            acknowledged += [process.stdout.readline() for _ in range(200)]
            assert all(acknowledged)


async def test_nothing_there_is_overwritten(tmp_path: Path) -> None:
    path = await made(tmp_path / "x.db", "A")
    with pytest.raises(StorageError, match="is there already; name a new file"):
        backup.write([StoreFile("x", path)], path, NOW)
    assert await tags(path) == ["A"]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (Path.unlink, "the store of x is not there"),
        (lambda path: path.write_bytes(b"nothing of SQLite's" * 100), "not a SQLite database"),
        (lambda path: path.write_bytes(b""), "it is empty"),
    ],
)
async def test_what_cannot_be_copied_leaves_no_archive(
    tmp_path: Path, break_it: Callable[[Path], Any], words: str
) -> None:
    path = await made(tmp_path / "x.db", "A")
    break_it(path)
    before = names(tmp_path)
    with pytest.raises(StorageError, match=words):
        backup.write([StoreFile("x", path)], tmp_path / "a.tar", NOW)
    assert names(tmp_path) == before


async def test_a_damaged_store_is_not_backed_up_as_if_it_were_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    storage = await opened(path)
    for number in range(300):
        await storage.commit(Ensure(USERS, {"tag": f"T{number}", "text": "x" * 300}))
    await storage.close()
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xa5" * 4096 * 3)
    with pytest.raises(StorageError, match="damaged"):
        backup.write([StoreFile("x", path)], tmp_path / "a.tar", NOW)
    assert not (tmp_path / "a.tar").exists()


def test_a_backup_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no store to back up"):
        backup.write([], tmp_path / "a.tar", NOW)


async def test_stores_are_locked_together(tmp_path: Path) -> None:
    stores = [StoreFile(name, tmp_path / name / "x.db") for name in ("a", "b")]
    with backup.locked(stores):
        for store in stores:
            with pytest.raises(StorageError, match="in use"):
                await opened(store.path)
    used = await opened(stores[1].path)
    with pytest.raises(StorageError, match="in use"), backup.locked(stores):
        pass
    await used.close()
    await (await opened(stores[0].path)).close()  # its lock was given back


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = await made(tmp_path / "x.db", "A")
    with pytest.raises(StorageError, match=r"none/a.tar: No such file or directory"):
        backup.write([StoreFile("x", path)], tmp_path / "none" / "a.tar", NOW)


async def test_one_backup_at_a_time_and_leavings_are_removed(tmp_path: Path) -> None:
    path = await made(tmp_path / "x.db", "A")
    (tmp_path / backup.WORKSHOP).mkdir()
    (tmp_path / backup.WORKSHOP / "0.db").write_bytes(b"half of it")
    fd = os.open(tmp_path / backup.WORKSHOP, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(StorageError, match="another backup is being written to this folder"):
        backup.write([StoreFile("x", path)], tmp_path / "a.tar", NOW)
    os.close(fd)
    backup.write([StoreFile("x", path)], tmp_path / "a.tar", NOW)
    assert not (tmp_path / backup.WORKSHOP).exists()


def test_a_folder_that_another_backup_has_just_removed_is_not_taken_for_its_lock(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, real = tmp_path / backup.WORKSHOP, fcntl.flock

    def flock(fd: int, operation: int) -> None:
        workshop.rmdir()  # the other one ends between our mkdir and our lock,
        workshop.mkdir()  # and a third begins
        (workshop / "0.db").write_bytes(b"of the third")
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    store = StoreFile("x", tmp_path / "from" / "x.db")
    with pytest.raises(StorageError, match="another backup is being written"):
        backup.write([store], tmp_path / "b.tar", NOW)
    assert (workshop / "0.db").read_bytes() == b"of the third"


# Put back


@pytest.mark.parametrize("there", [True, False])
async def test_what_root_restores_belongs_to_whom_the_store_does(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    path = tmp_path / "to" / "y.db"
    path.parent.mkdir()
    if there:
        await made(path, "B")
        (tmp_path / "to" / "y.db.lock").unlink()
    else:
        path.with_name("y.db.lock").touch()
    given: list[tuple[str, int, int]] = []
    stat, theirs = Path.stat, (path if there else path.parent).stat().st_ino

    def fchown(fd: int, user: int, group: int) -> None:
        given.append((Path(f"/proc/self/fd/{fd}").readlink().name, user, group))

    def owned(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = list(stat(path, follow_symlinks=follow_symlinks))
        found[4:6] = (77, 78) if found[1] == theirs else (5, 6)
        return os.stat_result(found)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", fchown)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", owned)
        backup.put_back(archive, "central", path)
    assert given == [("y.db.lock", 77, 78)] * there + [("y.db.restoring", 77, 78)]
    assert await tags(path) == ["A"]


async def test_the_old_store_is_kept_beside_the_new(archive: Path, tmp_path: Path) -> None:
    path = await made(tmp_path / "to" / "y.db", "B", "C")
    backup.put_back(archive, "central", path)
    assert await tags(path) == ["A"]
    (kept,) = kept_of(path)
    assert names(path.parent) == {"y.db", "y.db.lock", kept.name}
    assert await tags(kept) == ["B", "C"]


def test_what_was_there_before_is_told(
    archive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ocppgw.storage")
    path = tmp_path / "y.db"
    assert backup.put_back(archive, "central", path) is None
    kept = backup.put_back(archive, "central", path)
    assert kept_of(path) == [kept]
    assert [record.message for record in caplog.records] == [
        f"{path}: restored; there was none before",
        f"{path}: restored; what was there before is {kept}",
    ]


async def test_a_store_in_use_is_not_replaced(archive: Path, tmp_path: Path) -> None:
    storage = await opened(tmp_path / "y.db")
    with pytest.raises(StorageError, match=f"in use by process {os.getpid()}"):
        backup.put_back(archive, "central", tmp_path / "y.db")
    await storage.commit(Ensure(USERS, {"tag": "B"}))
    await storage.close()
    assert await tags(tmp_path / "y.db") == ["B"]


async def test_the_wal_of_a_killed_process_goes_with_the_old_file(
    archive: Path, tmp_path: Path, writing: Any
) -> None:
    path = tmp_path / "y.db"
    with writing(path) as process:
        acknowledged = [process.stdout.readline() for _ in range(100)]
    assert (tmp_path / "y.db-wal").stat().st_size
    backup.put_back(archive, "central", path)
    assert not (tmp_path / "y.db-wal").exists()
    assert await tags(path) == ["A"]
    (kept,) = kept_of(path)
    storage = await open_file(FileOptions(path=kept), [STARTS, JOURNAL])
    stored = {f"{d['writer']} {d['number']}\n" for d in await storage.find(STARTS)}
    await storage.close()
    assert set(acknowledged) <= stored


async def test_a_damaged_store_is_kept_as_it_is(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "y.db"
    path.write_bytes(b"no database" * 1000)
    backup.put_back(archive, "central", path)
    assert await tags(path) == ["A"]
    (kept,) = kept_of(path)
    assert kept.read_bytes() == b"no database" * 1000


async def test_a_wal_or_journal_without_its_store_is_not_taken_for_the_new_ones(
    archive: Path, tmp_path: Path, writing: Any
) -> None:
    path = tmp_path / "y.db"
    with writing(path) as process:
        process.stdout.readline()
    path.unlink()
    journal = bytes.fromhex("d9d505f920a163d7") + b"of the old file"
    path.with_name("y.db-journal").write_bytes(journal)
    backup.put_back(archive, "central", path)
    assert await tags(path) == ["A"]
    kept = {kept.name.rpartition("-")[2]: kept for kept in kept_of(path)}
    assert set(kept) == {"wal", "shm", "journal"}
    assert kept["journal"].read_bytes() == journal


async def test_a_store_that_the_archive_does_not_hold(archive: Path, tmp_path: Path) -> None:
    path = await made(tmp_path / "y.db", "B")
    with pytest.raises(StorageError, match="no store `boxes`; there are: central"):
        backup.put_back(archive, "boxes", path)
    assert await tags(path) == ["B"]


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """The archive with other members."""
    with tarfile.open(archive) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    change(members)
    with tarfile.open(archive, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))


def of_the_manifest(**fields: Any) -> Callable[[dict[str, bytes]], Any]:
    def change(members: dict[str, bytes]) -> None:
        manifest = {**json.loads(members["manifest.json"]), **fields}
        members["manifest.json"] = json.dumps(manifest).encode()

    return change


def said_of(archive: Path) -> dict[str, Any]:
    """What the manifest says of the first store."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        (said,) = json.load(manifest)["stores"]
    assert isinstance(said, dict)
    return said


def one_byte(members: dict[str, bytes]) -> None:
    content = members["central.db"]
    members["central.db"] = content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_byte, "central.db is not as it was written"),
        (lambda members: members.pop("central.db"), "central.db is missing in it"),
        (lambda members: members.pop("manifest.json"), "no manifest.json in it"),
        (of_the_manifest(format=2, stores=7), "a newer ocppgw wrote it .format 2, this one"),
        (of_the_manifest(stores=7), "manifest.json cannot be read: Expected `array`"),
    ],
)
async def test_an_archive_that_is_not_as_written_changes_nothing(
    archive: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], Any], words: str
) -> None:
    rewritten(archive, change)
    path = await made(tmp_path / "y" / "y.db", "B")
    with pytest.raises(StorageError, match=words):
        backup.read(archive)
    with pytest.raises(StorageError, match=words):
        backup.put_back(archive, "central", path)
    assert await tags(path) == ["B"]
    assert names(path.parent) == {"y.db", "y.db.lock"}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6])
def test_half_an_archive_is_refused(archive: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StorageError, match=r"no whole backup|no manifest"):
        backup.read(archive)


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        backup.read(tmp_path / "a.tar")


async def test_a_store_of_a_newer_schema_is_not_put_back(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocppgw.storage.sqlite.UPGRADES", ())
    words = r"a.tar: a newer ocppgw wrote it \(schema 1, this one knows 0\)"
    with pytest.raises(StorageError, match=words):
        backup.read(archive)
    with pytest.raises(StorageError, match=words):
        backup.put_back(archive, "central", tmp_path / "y.db")
    assert names(tmp_path) == {"from", "a.tar"}
    rewritten(archive, of_the_manifest(stores=[{**said_of(archive), "schema": 0}]))
    with pytest.raises(StorageError, match="a newer ocppgw wrote this file"):
        backup.put_back(archive, "central", tmp_path / "y.db")
    assert names(tmp_path) == {"from", "a.tar", "y.db.lock"}


async def test_versions_of_parts_and_numbers_go_along(tmp_path: Path) -> None:
    storage = await opened(tmp_path / "x.db")
    await storage.commit(Put(USERS, ("A",), {"age": 5}, version=7, part="boot"))
    number = await storage.next_number("starts")
    await storage.close()
    backup.write([StoreFile("x", tmp_path / "x.db")], tmp_path / "a.tar", NOW)
    backup.put_back(tmp_path / "a.tar", "x", tmp_path / "y.db")
    storage = await opened(tmp_path / "y.db")
    await storage.commit(Put(USERS, ("A",), {"age": 4}, version=6, part="boot"))
    assert await storage.find(USERS) == [{"tag": "A", "age": 5}]
    assert await storage.next_number("starts") > number
    await storage.close()


@pytest.mark.parametrize(
    ("before", "told"),
    [([], "in use"), (["central", "box-1"], "in use; restored before that: central, box-1")],
)
def test_a_failure_names_what_was_restored_before_it(before: list[str], told: str) -> None:
    def restore() -> None:
        with backup.telling_what_is_restored() as restored:
            restored += before
            raise StorageError("in use")

    with pytest.raises((StorageError, UserError)) as raised:
        restore()
    assert str(raised.value) == told
