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
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from ocppgw.storage import Collection, Ensure, StorageError, backup, sqlite
from ocppgw.storage.backup import StoreFile
from ocppgw.storage.file import open_writer
from ocppgw.storage.sqlite import UPGRADES, table_of
from ocppgw.storage.writer import commit_step, prune_some
from tests.storage.moments import every_moment

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
NOTES = Collection("notes", ("id",), retention_field="at", retention=DAY)
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
    further = (("CREATE TABLE second (x)",), ("CREATE TABLE third (x)",))
    newer = (*UPGRADES, *further)

    def upgrade() -> None:
        monkeypatch.setattr(sqlite, "UPGRADES", newer)
        open_writer(path, [TABLE]).close()

    without_closing(path, [1, 2, 3])
    versions = []
    for _ in every_moment(upgrade):
        with closing(sqlite3.connect(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        assert (version, {"second", "third"} & tables) in ((1, set()), (3, {"second", "third"}))
        versions.append(version)
        kept = tmp_path / "x.db.before-schema-3"
        if version == 3:
            assert ids(kept) == [1, 2, 3]
        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "UPGRADES", newer)
            assert ids(path) == [1, 2, 3]
        for left in tmp_path.iterdir():
            left.unlink()
        without_closing(path, [1, 2, 3])
    assert len(versions) > 60
    assert [key for key, _ in itertools.groupby(versions)] == [1, 3]


def test_a_prune_takes_only_what_is_old(tmp_path: Path) -> None:
    path = tmp_path / "x.db"

    def prune() -> None:
        session = open_writer(path, [TABLE])
        assert TABLE.prune is not None
        step = prune_some(TABLE.prune, f"@{NOW - DAY:%Y-%m-%dT%H:%M:%S}.000Z", 3)
        while session.run([step])[0]:
            pass
        session.close()

    fill(path, range(40))
    left_over = set()
    for _ in every_moment(prune):
        left = ids(path)
        assert left[:25] == list(range(25))
        left_over.add(len(left))
        path.unlink()
        fill(path, range(40))
    assert left_over == {25, 28, 31, 34, 37, 40}  # a slice at a time, each whole or not at all


# Killed inside of SQLite and the kernel, too

JOB = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ocppgw.storage import backup
what, archive, path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
print("begins", flush=True)
if what == "write":
    backup.write([backup.StoreFile("x", path)], archive, datetime.now(UTC))
else:
    backup.put_back(archive, "x", path)
print("ended", flush=True)
"""


def killed(what: str, archive: Path, path: Path, seconds: float) -> bool:
    """Runs it in a process that is killed after that time; whether that was before its end."""
    command = [sys.executable, "-c", JOB, what, str(archive), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        time.sleep(seconds)
        process.kill()
        return "ended" not in process.stdout.read()


@pytest.mark.parametrize("what", ["write", "put_back"])
def test_killed_at_any_time(tmp_path: Path, what: str) -> None:
    rng = random.Random(what)
    archive, new = tmp_path / "new.tar", fill(tmp_path / "new.db", range(500), text="x" * 9000)
    backup.write([StoreFile("x", new)], archive, NOW)
    path = fill(tmp_path / "x" / "x.db", range(400), text="y" * 9000)
    early = 0
    for _ in range(12):
        target = tmp_path / "a.tar" if what == "write" else archive
        early += killed(what, target, path, rng.uniform(0, 0.06))
        if what == "write" and target.exists():
            assert backup.read(target).stores[0].name == "x"
            target.unlink()
        assert len(ids(path)) in ({400} if what == "write" else {400, 500})
    assert early
    backup.put_back(archive, "x", path)
    assert len(ids(path)) == 500


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
