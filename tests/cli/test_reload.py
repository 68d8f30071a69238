"""The running program reads its configuration again: by command, by SIGHUP, as a service."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ocppgw
from ocppgw.systemd import watchdog

UNIT = Path(__file__).resolve().parents[2] / "config" / "systemd" / "ocppgw.service"
DROPIN = Path(ocppgw.__file__).parent / "_twistd" / "ocppgw_plugin.py"
CAP = 60.0  # seconds that anything may take on a busy machine


@pytest.fixture
def file(tmp_path: Path, central_yaml: str) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(central_yaml)
    return path


def test_the_command_tells_what_was_done(
    started: Any, ocppgw: Any, file: Path, box_yaml: Any
) -> None:
    config = ("--config", "gateway.yaml")
    text = file.read_text()
    with started("run", "gateway.yaml") as running:
        running.says("commands are taken at")
        same = ocppgw("reload", *config)
        file.write_text(text + box_yaml(9))
        added = ocppgw("reload", "--socket", "control.sock")
        file.write_text(text.replace("name: Ann", "nam: Ann") + box_yaml(0))
        wrong = ocppgw("reload", *config)
        file.write_text(text.replace("central.db", "other.db").replace("name: Ann", "name: Anna"))
        restart = ocppgw("reload", *config)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            file.write_text(text.replace("tcp:0", f"tcp:{taken.getsockname()[1]}"))
            failed = ocppgw("reload", *config)
        assert running.end() == 0

    assert (same.returncode, same.stdout, same.stderr) == (0, "nothing has changed\n", "")
    assert (added.returncode, added.stdout) == (0, "charge box BOX-1: it runs now\n")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "central_system.users[0].nam: unknown key" in wrong.stderr
    assert restart.returncode == 3
    assert restart.stdout.splitlines()[1:] == [
        "charge box BOX-1: stopped, and no longer a part of this gateway",
        "storage: the new place counts from the next start of the gateway on",
    ]
    assert failed.returncode == 1
    assert "the address is in use" in failed.stderr
    assert "Traceback" not in running.console


def test_sighup_does_it_too(started: Any, file: Path, box_yaml: Any) -> None:
    with started("run", "gateway.yaml") as running:
        running.says("commands are taken at")
        file.write_text(file.read_text() + box_yaml(9))
        running.process.send_signal(signal.SIGHUP)
        running.says("charge box BOX-1: it runs now")
        file.write_text("central_sytem: {}")
        running.process.send_signal(signal.SIGHUP)
        running.says("the configuration is not reloaded: ")
        assert running.end() == 0

    assert "did you mean `central_system`?" in running.console


def test_sighup_reaches_the_daemon(ocppgw: Any, file: Path, box_yaml: Any, until_gone: Any) -> None:
    done = ocppgw("daemon", "gateway.yaml", "--pid-file", "g.pid", "--log-file", "g.log")
    assert (done.returncode, done.stderr) == (0, "")
    pid, log = int((file.parent / "g.pid").read_text()), file.parent / "g.log"
    until(lambda: "commands are taken at" in log.read_text())
    file.write_text(file.read_text() + box_yaml(9))
    os.kill(pid, signal.SIGHUP)
    until_gone(pid, log, "charge box BOX-1: it runs now")

    assert "Traceback" not in log.read_text()


def test_sighup_reaches_twistd(
    started: Any, file: Path, box_yaml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = file.parent / "site" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    shutil.copy(DROPIN, plugins)
    paths = [str(file.parent / "site"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    twistd = ("-c", "from twisted.scripts.twistd import run; run()")
    command = ("-n", "--reactor=asyncio", "ocppgw", "gateway.yaml")
    with started(*command, program=twistd) as running:
        running.says("commands are taken at")
        file.write_text(file.read_text() + box_yaml(9))
        running.process.send_signal(signal.SIGHUP)
        running.says("charge box BOX-1: it runs now")
        running.end()

    assert "Traceback" not in running.console


def test_a_terminal_that_is_closed_ends_it_in_order(file: Path) -> None:
    pid, terminal = pty.fork()
    if not pid:  # the child, whose terminal this is
        os.chdir(file.parent)
        os.execv(sys.executable, [sys.executable, "-m", "ocppgw", "run", "gateway.yaml"])
    seen = b""
    while b"commands are taken at" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert not (file.parent / "control.sock").exists()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_the_service_manager_is_told(
    started: Any,
    ocppgw: Any,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    abstract: bool,
) -> None:
    name = f"@ocppgw-test-{os.getpid()}-{tmp_path.name}" if abstract else str(tmp_path / "n.sock")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(name.replace("@", "\0") if abstract else name)
        manager.settimeout(CAP)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        with started("run", "gateway.yaml") as running:
            ready = manager.recv(4096).decode().splitlines()
            assert "commands are taken at" in running.console
            monkeypatch.delenv("NOTIFY_SOCKET")
            assert ocppgw("reload", "--config", "gateway.yaml").returncode == 0
            reloading, again = (manager.recv(4096).decode().splitlines() for _ in range(2))
            assert running.end() == 0
            stopping = manager.recv(4096).decode().splitlines()

    assert ready == ["READY=1", "STATUS=runs a central system"]
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert again == ready
    assert stopping == ["STOPPING=1"]


def test_the_watchdog_is_fed(
    started: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "n.sock"))
        manager.settimeout(CAP)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n.sock"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with started("run", "gateway.yaml") as running:
            while manager.recv(4096) != b"READY=1\nSTATUS=runs a central system":
                pass
            assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert running.end() == 0


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_how_often_the_watchdog_is_fed(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog(environment) == seconds


def test_a_service_manager_that_is_away_keeps_nobody(
    started: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(file.parent / "nobody.sock"))
    with started("run", "gateway.yaml") as running:
        running.says("could not be told READY=1")
        assert running.end() == 0


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze, of the package systemd")
    program = tmp_path / "ocppgw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "ocppgw.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/ocppgw", str(program)))
    done = subprocess.run(
        [analyze, "verify", "--man=no", unit], capture_output=True, text=True, timeout=CAP
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + CAP
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
