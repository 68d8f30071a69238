"""Backup, restore and check-store as commands: with a running gateway, and without one."""

from __future__ import annotations

import hashlib
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ocppgw.cli.stores import keeper
from ocppgw.errors import UserError
from ocppgw.storage import backup
from ocppgw.testing.processes import free_port
from ocppgw.web.client import ControlClient

CONFIG = ("--config", "gateway.yaml")
RUNS = "BOX-1 → central     boots as"


@pytest.fixture
def file(tmp_path: Path, central_yaml: str, box_yaml: Callable[[int], str]) -> Path:
    """A central system and a charge box, in one gateway with a control socket."""
    port = free_port()
    path = tmp_path / "gateway.yaml"
    path.write_text(central_yaml.replace("tcp:0", f"tcp:{port}") + box_yaml(port))
    return path


@pytest.fixture
def setting(tmp_path: Path) -> Callable[..., str]:
    """A configuration key that the box keeps; given a value, sets it first."""
    client = ControlClient(tmp_path / "control.sock")

    def call(operation: str, **fields: object) -> Any:
        return client.call("POST", f"/api/stations/BOX-1/operations/{operation}", fields)

    def ask(value: int | None = None) -> str:
        key = "ConnectionTimeOut"
        if value is not None:
            assert call("ChangeConfiguration", key=key, value=str(value))["done"]
        answer = call("GetConfiguration", key=[key])["response"]
        return str(answer["configurationKey"][0]["value"])

    return ask


def test_while_the_gateway_runs(
    ocppgw: Any, started: Any, file: Path, setting: Callable[..., str]
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        setting(1111)
        written = ocppgw("backup", "a.tar", *CONFIG)
        running.says(f"a backup is written to {file.parent / 'a.tar'}: ")
        running.says(" MB of stores, wanted by ")
        setting(2222)
        answered = ocppgw("restore", "a.tar", "--only", "box-BOX-1", "--yes", *CONFIG)
        assert setting() == "1111"
        everything = ocppgw("restore", "a.tar", "--yes", "--socket", "control.sock")
        assert running.end() == 0

    assert written.returncode == 0, written.stderr
    lines = written.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["central", "box-BOX-1", "a.tar"]
    assert lines[-1] == "a.tar: written and checked"
    names = [copied.name for copied in backup.read(file.parent / "a.tar").stores]
    assert names == ["central", "box-BOX-1"]
    assert (answered.returncode, answered.stderr) == (0, "")
    assert answered.stdout.splitlines()[1:] == ["box-BOX-1: restored"]
    assert everything.returncode == 0, everything.stderr
    assert len(list(file.parent.glob("box.db.before-restore-*Z"))) >= 1
    assert len(list(file.parent.glob("central.db.before-restore-*Z"))) == 1


def test_while_none_runs(
    ocppgw: Any, started: Any, file: Path, setting: Callable[..., str], tmp_path: Path
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        setting(1111)
        running.end()
    written = ocppgw("backup", "a.tar", *CONFIG)
    assert (written.returncode, written.stderr) == (0, "")
    for store in ("box.db", "central.db"):
        (tmp_path / store).unlink()
    restored = ocppgw("restore", "a.tar", "--yes", *CONFIG)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert restored.stdout.splitlines()[1:] == ["central: restored", "box-BOX-1: restored"]
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        assert setting() == "1111"


def test_it_asks_first(ocppgw: Any, started: Any, file: Path, tmp_path: Path) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        running.end()
    ocppgw("backup", "a.tar", *CONFIG)
    before = (tmp_path / "box.db").read_bytes()
    done = ocppgw("restore", "a.tar", *CONFIG)
    assert done.returncode == 1
    assert "UTC by ocppgw" in done.stdout
    assert "Replace central, box-BOX-1 by what they were then? [y/N]" in done.stdout
    assert (tmp_path / "box.db").read_bytes() == before
    assert not list(tmp_path.glob("*.before-restore-*"))


def test_a_gateway_without_a_control_socket_is_respected(
    ocppgw: Any, started: Any, file: Path, tmp_path: Path
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        ocppgw("backup", "a.tar", *CONFIG)
        file.write_text(file.read_text().replace("control: {socket: control.sock}\n", ""))
        process = running.process.pid
        refused = [
            ocppgw("backup", "b.tar", *CONFIG),
            ocppgw("restore", "a.tar", "--yes", *CONFIG),
            ocppgw("check-store", *CONFIG),
        ]
        file.write_text(file.read_text() + "control: {socket: moved.sock}\n")
        refused.append(ocppgw("backup", "b.tar", *CONFIG))
        assert ocppgw("backup", "c.tar", *CONFIG, "--socket", "control.sock").returncode == 0
    for done in refused:
        assert done.returncode == 1
        assert f"the file is in use by process {process};" in done.stderr
    assert "give it a `control` section in" in refused[0].stderr
    assert "name its control socket with --socket" in refused[-1].stderr
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("backup", "a.tar"), "no running gateway found"),
        (("backup", "a.tar", *CONFIG), "there is no store to back up"),
        (("restore", "a.tar", *CONFIG), "a.tar: No such file or directory"),
        (("restore", "gateway.yaml", *CONFIG), "this is no whole backup of ocppgw"),
        (("check-store",), "which store? Name its FILE"),
        (("check-store", "gateway.yaml"), "not a SQLite database"),
        (("check-store", *CONFIG), "gateway.yaml: none of its stores has been made yet"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    ocppgw: Any, file: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = ocppgw(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("backup", "a.tar"), ("check-store",)])
def test_a_store_that_cannot_be_looked_for_is_one_sentence(
    ocppgw: Any, file: Path, command: tuple[str, ...]
) -> None:
    file.write_text(file.read_text().replace("box.db", "x" * 300))
    done = ocppgw(*command, *CONFIG)
    assert done.returncode == 1
    assert done.stderr.endswith("xxx: File name too long; check the path and its rights\n")
    assert "Traceback" not in done.stderr


def test_a_backup_that_only_the_gateway_sees_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlClient, "call", lambda *_: {})
    with pytest.raises(UserError, match=r"a file system of its own \(PrivateTmp="):
        keeper(None, tmp_path / "control.sock").backup(tmp_path / "a.tar")


def test_a_store_that_this_gateway_does_not_have(
    ocppgw: Any, started: Any, file: Path, tmp_path: Path
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        running.end()
    ocppgw("backup", "a.tar", *CONFIG)
    file.write_text(file.read_text().replace("identity: BOX-1", "identity: BOX-2"))
    other = ocppgw("restore", "a.tar", "--yes", *CONFIG)
    unknown = ocppgw("restore", "a.tar", "--yes", "--only", "box-3", *CONFIG)
    assert (other.returncode, unknown.returncode) == (1, 1)
    assert "has no store `box-BOX-1`; there are: central, box-BOX-2" in other.stderr
    assert "no store `box-3`; there are: central, box-BOX-1" in unknown.stderr
    assert not list(tmp_path.glob("*.before-restore-*"))


@pytest.mark.parametrize("runs", [True, False])
def test_what_was_restored_before_a_failure_is_told(
    ocppgw: Any,
    started: Any,
    file: Path,
    setting: Callable[..., str],
    tmp_path: Path,
    runs: bool,
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        assert ocppgw("backup", "a.tar", *CONFIG).returncode == 0
        spoil(tmp_path / "a.tar", "box-BOX-1")
        if not runs:
            running.end()
        done = ocppgw("restore", "a.tar", "--yes", *CONFIG)
        assert not runs or setting()
    assert done.returncode == 1
    assert "the file is not a SQLite database" in done.stderr
    assert done.stderr.endswith("; restored before that: central\n")
    assert len(list(tmp_path.glob("central.db.before-restore-*Z"))) == 1
    assert not list(tmp_path.glob("box.db.*-restore-*"))


def spoil(archive: Path, name: str) -> None:
    """Something that is no store, under the name of one, as its manifest says."""
    content = b"no database" * 100
    with tarfile.open(archive) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    (copied,) = [copied for copied in backup.read(archive).stores if copied.name == name]
    members[copied.member] = content
    members["manifest.json"] = members["manifest.json"].replace(
        copied.sha256.encode(), hashlib.sha256(content).hexdigest().encode()
    )
    with tarfile.open(archive, "w") as tar:
        for member, text in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(text)
            tar.addfile(entry, BytesIO(text))


def test_a_look_through_the_stores(
    ocppgw: Any, started: Any, file: Path, setting: Callable[..., str], tmp_path: Path
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        setting(1111)
        running.end()
    whole = ocppgw("check-store", "--repair", "--compact", *CONFIG)
    with closing(sqlite3.connect(tmp_path / "box.db")) as db:
        db.execute("""UPDATE "doc:box_configuration" SET doc = '{'""")
        db.commit()
    damaged = ocppgw("check-store", "box.db")
    (tmp_path / "central.db").write_text("no database")
    both = ocppgw("check-store", *CONFIG)

    assert (whole.returncode, whole.stderr) == (0, "")
    assert "central.db: schema 1, 0." in whole.stdout
    assert "  box_configuration: 1\n" in whole.stdout
    assert damaged.returncode == 3
    assert damaged.stdout.endswith(
        "  DAMAGED: box_configuration: documents that cannot be read: 1\n"
    )
    assert both.returncode == 1
    assert "central.db: the file is not a SQLite database" in both.stderr
    assert "box.db: schema 1" in both.stdout  # one that cannot be read hides no other


def test_killed_during_backup_and_restore(
    ocppgw: Any, started: Any, file: Path, setting: Callable[..., str], tmp_path: Path
) -> None:
    rng = random.Random(7)
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        setting(1111)
        assert ocppgw("backup", "a.tar", *CONFIG).returncode == 0
        setting(2222)
        running.end()
    for number in range(4):
        with started("run", "gateway.yaml") as running:
            running.says(RUNS)
            known = setting()
            assert known in ("1111", "2222")
            what = ("backup", f"{number}.tar") if number % 2 else ("restore", "a.tar", "--yes")
            command = [sys.executable, "-m", "ocppgw", *what, *CONFIG]
            with subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as asking:
                until_asked(running, asking)
                time.sleep(rng.uniform(0, 0.05))
                running.process.send_signal(signal.SIGKILL)
                asking.wait()
        if number % 2:
            target = tmp_path / f"{number}.tar"
            assert not target.exists() or len(backup.read(target).stores) == 2
    with started("run", "gateway.yaml") as running:
        running.says(RUNS)
        assert setting() in ("1111", "2222")
        assert ocppgw("backup", "last.tar", *CONFIG).returncode == 0
        assert not (tmp_path / backup.WORKSHOP).exists()


def until_asked(running: Any, asking: subprocess.Popen[bytes]) -> None:
    """Waits until the gateway's other end of the command's connection is there."""
    end = time.monotonic() + 30
    connected = Path(f"/proc/{asking.pid}/net/unix")
    count = connected.read_text().count("control.sock")
    while asking.poll() is None and connected.read_text().count("control.sock") <= count:
        assert time.monotonic() < end
        time.sleep(0.002)
