"""Backup, restore, upgrade and prune, killed at every line that they execute."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from ocppgw.storage import Ensure, StorageError, backup, sqlite
from ocppgw.storage.backup import StoreFile
from ocppgw.storage.file import open_writer
from ocppgw.storage.sqlite import UPGRADES, table_of
from ocppgw.storage.writer import commit_step
from tests.storage import keeping_process
from tests.storage.keeping_process import NOTES, NOW
from tests.storage.moments import every_moment

pytestmark = pytest.mark.slow

TABLE = table_of(NOTES)


def fill(path: Path, ids: Sequence[int], *, text: str = "") -> Path:
    """A store with these notes, each as many hours old as its id says."""
    session = open_writer(path, [TABLE])
    documents = [{"id": n, "at": NOW - timedelta(hours=n), "text": text} for n in ids]
    changes = [Ensure(NOTES, document) for document in documents]
    assert session.run([commit_step({"notes": TABLE}, changes)]) == [None]
    session.close()
    return path


def ids(path: Path) -> list[int]:
    """What a store that is opened as ever holds; it must be whole."""
    open_writer(path, [TABLE]).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [key for (key,) in db.execute('SELECT k0 FROM "doc:notes" ORDER BY k0')]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def without_closing(path: Path, ids: Sequence[int]) -> None:
    """Leaves a store as a killed process does: the last commits in the WAL alone."""
    source = path.with_name("unclosed")
    fill(source, ids[:1])
    session = open_writer(source, [TABLE])
    changes = [Ensure(NOTES, {"id": n, "at": NOW}) for n in ids[1:]]
    session.run([commit_step({"notes": TABLE}, changes)])
    for ending in ("", "-wal"):
        Path(f"{path}{ending}").write_bytes(Path(f"{source}{ending}").read_bytes())
    session.close()
    for left in path.parent.glob("unclosed*"):
        left.unlink()


def test_a_backup_is_complete_or_not_there(tmp_path: Path) -> None:
    path = fill(tmp_path / "x.db", [1, 2, 3])
    target = tmp_path / "a.tar"
    stores = [StoreFile("x", path), StoreFile("again", path)]
    outcomes = []
    for _ in every_moment(partial(backup.write, stores, target, NOW)):
        outcomes.append(target.exists())
        assert names(tmp_path) <= {"x.db", "x.db.lock", "x.db-wal", "x.db-shm", "a.tar"} | {
            backup.WORKSHOP
        }
        if target.exists():
            assert [copied.name for copied in backup.read(target).stores] == ["x", "again"]
            target.unlink()
    assert len(outcomes) > 60
    assert [key for key, _ in itertools.groupby(outcomes)] == [False, True]
    assert ids(path) == [1, 2, 3]


def test_a_restore_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    new = fill(tmp_path / "new.db", [7, 8])
    backup.write([StoreFile("x", new)], archive, NOW)
    outcomes = []
    folder = tmp_path / "to"
    path = folder / "x.db"
    for _ in every_moment(lambda: backup.put_back(archive, "x", path)):
        outcomes.append(ids(path))
        kept = [name for name in names(folder) if "before-restore" in name]
        if outcomes[-1] == [7, 8]:
            assert [ids(folder / name) for name in kept] in ([], [[1, 2, 3]])
        assert names(folder) <= {"x.db", "x.db.lock", *kept} | {f"{name}.lock" for name in kept}
        for left in folder.iterdir():
            left.unlink()
        without_closing(path, [1, 2, 3])
    assert len(outcomes) > 60
    # At first there was none at all; since then, the old one until some line, then the new.
    assert [key for key, _ in itertools.groupby(outcomes[1:])] == [[1, 2, 3], [7, 8]]


def test_an_upgrade_leaves_the_old_schema_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    without_closing(path, [1, 2, 3])
    versions = []
    for _ in every_moment(partial(keeping_process.upgrade, path)):
        with closing(sqlite3.connect(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        assert (version, {"second", "third"} & tables) in ((1, set()), (2, {"second", "third"}))
        versions.append(version)
        kept = tmp_path / "x.db.before-schema-2"
        if version == 2:
            assert ids(kept) == [1, 2, 3]
        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "UPGRADES", (*UPGRADES, keeping_process.FURTHER))
            assert ids(path) == [1, 2, 3]
        for left in tmp_path.iterdir():
            left.unlink()
        without_closing(path, [1, 2, 3])
    assert len(versions) > 60
    assert [key for key, _ in itertools.groupby(versions)] == [1, 2]


def test_a_prune_takes_only_what_is_old(tmp_path: Path) -> None:
    path = tmp_path / "x.db"

    fill(path, range(40))
    left_over = set()
    for _ in every_moment(partial(keeping_process.prune, path, 3)):
        left = ids(path)
        assert left[:25] == list(range(25))
        left_over.add(len(left))
        path.unlink()
        fill(path, range(40))
    assert left_over == {25, 28, 31, 34, 37, 40}  # a slice at a time, each whole or not at all


# Killed inside of SQLite and the kernel, too


def killed(what: str, archive: Path, path: Path, seconds: float) -> bool:
    """Runs it in a process that is killed after that time; whether that was before its end."""
    script = Path(__file__).with_name("keeping_process.py")
    command = [sys.executable, str(script), what, str(archive), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        time.sleep(seconds)
        process.kill()
        return "ended" not in process.stdout.read()


def test_a_backup_killed_at_any_time(tmp_path: Path) -> None:
    rng = random.Random(1)
    path = fill(tmp_path / "x" / "x.db", range(400), text="y" * 9000)
    target = tmp_path / "a.tar"
    early = 0
    for _ in range(10):
        early += killed("backup", target, path, rng.uniform(0, 0.06))
        if target.exists():
            assert backup.read(target).stores[0].name == "x"
            target.unlink()
        assert len(ids(path)) == 400
    assert early


def test_a_restore_killed_at_any_time(tmp_path: Path) -> None:
    rng = random.Random(2)
    archive, new = tmp_path / "a.tar", fill(tmp_path / "new.db", range(500), text="x" * 9000)
    backup.write([StoreFile("x", new)], archive, NOW)
    path = fill(tmp_path / "x" / "x.db", range(400), text="y" * 9000)
    early = sum(killed("restore", archive, path, rng.uniform(0, 0.06)) for _ in range(10))
    assert early
    assert len(ids(path)) in (400, 500)
    backup.put_back(archive, "x", path)
    assert len(ids(path)) == 500


def test_an_upgrade_killed_at_any_time(tmp_path: Path) -> None:
    rng = random.Random(3)
    path = tmp_path / "x.db"
    early = 0
    for _ in range(10):
        fill(path, range(400), text="y" * 9000)
        early += killed("upgrade", path, path, rng.uniform(0, 0.06))
        with closing(sqlite3.connect(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            assert db.execute('SELECT count(*) FROM "doc:notes"').fetchone() == (400,)
            assert ({"second", "third"} & tables == {"second", "third"}) == (version == 2)
        for left in tmp_path.iterdir():
            left.unlink()
    assert early


def test_a_prune_killed_at_any_time(tmp_path: Path) -> None:
    rng = random.Random(4)
    path = fill(tmp_path / "x.db", range(1000), text="y" * 2000)
    early = sum(killed("prune", path, path, rng.uniform(0, 0.03)) for _ in range(10))
    assert early
    left = ids(path)
    assert left[:25] == list(range(25))
    keeping_process.prune(path)
    assert ids(path) == list(range(25))


def test_a_cut_off_restore_is_told_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = fill(tmp_path / "x.db", [1])
    (tmp_path / "x.db.restoring").write_bytes(b"half of it")
    assert ids(path) == [1]
    assert [record.message for record in caplog.records] == [
        f"{path}: a restore that was cut off has changed nothing"
    ]


def test_an_archive_cut_off_on_its_way_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = fill(tmp_path / "x.db", [1])
    backup.write([StoreFile("x", path)], tmp_path / "a.tar", NOW)
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:9000])
    with pytest.raises(StorageError):
        backup.put_back(tmp_path / "a.tar", "x", path)
    assert names(tmp_path) == {"a.tar", "x.db", "x.db.lock"}
