"""What the commands print, and how they end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from ocppgw.cli.run import LEVELS
from ocppgw.config import LoggingSettings
from ocppgw.testing.processes import free_port

STORY = r"commands are taken at"


@pytest.fixture
def file(tmp_path: Path, central_yaml: str) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(central_yaml)
    return path


def test_check_says_what_is_in_order(ocppgw: Any, file: Path, box_yaml: Any) -> None:
    both = file.read_text() + box_yaml(9220)
    file.write_text(both)
    done = ocppgw("check", "gateway.yaml")

    assert done.returncode == 0
    assert done.stdout == "gateway.yaml: in order: a central system, charge box BOX-1\n"
    assert not list(file.parent.glob("*.db"))


def test_check_looks_at_the_keys_of_listeners(ocppgw: Any, file: Path) -> None:
    listen = "ssl:0:privateKey=absent.pem:certKey=absent.pem"
    file.write_text(re.sub("listen: tcp.*", f"listen: '{listen}'", file.read_text()))
    done = ocppgw("check", "gateway.yaml")

    assert done.returncode == 1
    assert f"gateway.yaml:3: central_system.listen: listener '{listen}' cannot" in done.stderr
    assert "absent.pem: No such file or directory" in done.stderr


@pytest.mark.parametrize("command", ["check", "run", "daemon"])
def test_three_mistakes_are_three_sentences_and_nothing_starts(
    ocppgw: Any, file: Path, command: str
) -> None:
    text = file.read_text().replace("unknown_stations: accept", "unknown_stations: acept")
    text = text.replace("{path: central.db}", "{backend: mongo}").replace("socket:", "sockte:")
    file.write_text(text)
    done = ocppgw(command, "gateway.yaml")

    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [re.sub(r"^.*/", "", line)[:46] for line in lines] == [
        "gateway.yaml:1: storage.backend: no plugin off",
        "gateway.yaml:4: central_system.unknown_station",
        "gateway.yaml:7: control.sockte: unknown key; d",
    ]
    assert "did you mean `accept`?" in lines[1]
    assert sorted(path.name for path in file.parent.iterdir()) == ["gateway.yaml"]


def test_a_missing_file_is_one_sentence(ocppgw: Any) -> None:
    done = ocppgw("run", "nope.yaml")

    assert done.returncode == 1
    assert re.fullmatch(r"\S+/nope\.yaml: cannot be read: No such file or directory\n", done.stderr)


@pytest.mark.parametrize("command", ["run", "daemon"])
def test_a_busy_port_is_one_sentence_and_nothing_starts(
    ocppgw: Any, file: Path, command: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file.write_text(file.read_text().replace("tcp:0", f"tcp:{taken.getsockname()[1]}"))
        done = ocppgw(command, "gateway.yaml")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "central_system.listen: " in line
    assert "the address is in use" in line
    assert not (file.parent / "central.db").exists()
    assert not (file.parent / "ocppgw.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(started: Any, file: Path, number: int) -> None:
    with started("run", "gateway.yaml") as running:
        running.says("commands are taken at")
        assert running.end(number) == 0

    assert "Traceback" not in running.console
    assert not (file.parent / "control.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_anything_runs_ends_it_with_0(number: int, tmp_path: Path) -> None:
    program = (
        "import os, sys, ocppgw.cli\n"
        "class Runner:\n"
        f"  foreground = staticmethod(lambda file, log_level: os.kill(os.getpid(), {number}))\n"
        "sys.modules['ocppgw.runner'] = Runner\n"
        "ocppgw.runner = Runner\n"
        "ocppgw.cli.main(['run', 'gateway.yaml'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_start_that_fails_late_ends_it_with_1(ocppgw: Any, file: Path) -> None:
    (file.parent / "central.db").write_text("this is no database " * 500)
    done = ocppgw("run", "gateway.yaml")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "could not start" in line]
    assert "central.db" in line
    assert "Traceback" not in done.stderr


def test_a_second_gateway_on_the_same_socket_is_refused(
    started: Any, ocppgw: Any, file: Path
) -> None:
    with started("run", "gateway.yaml") as running:
        running.says("commands are taken at")
        done = ocppgw("run", "gateway.yaml")
        assert running.end() == 0

    assert done.returncode == 1
    assert "another gateway is running at" in done.stderr


def test_a_daemon_has_a_pid_file_and_a_log_and_ends_in_order(
    ocppgw: Any, file: Path, until_gone: Any
) -> None:
    done = ocppgw("daemon", "gateway.yaml", "--pid-file", "g.pid", "--log-file", "g.log")
    assert (done.returncode, done.stderr) == (0, "")
    pid = int((file.parent / "g.pid").read_text())
    second = ocppgw("daemon", "gateway.yaml", "--pid-file", "g.pid", "--log-file", "g2.log")
    until_gone(pid, file.parent / "g.log", "commands are taken at")

    assert second.returncode == 1
    assert "g.pid: a gateway runs already with this pid file" in second.stderr
    assert not (file.parent / "g.pid").exists()
    assert not (file.parent / "control.sock").exists()
    assert "Traceback" not in (file.parent / "g.log").read_text()


def test_plugins_are_listed(ocppgw: Any, file: Path) -> None:
    file.write_text("plugins: {block: [simulator]}")
    done = ocppgw("plugins", "--config", "gateway.yaml")
    lines = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}

    assert done.returncode == 0
    assert lines["file"] == ["built-in", "active"]
    assert lines["simulator"] == ["built-in", "blocked"]


def test_the_version_lists_plugins(ocppgw: Any) -> None:
    done = ocppgw("--version")

    assert done.returncode == 0
    assert re.match(r"ocppgw \d+\.\d+\.\d+\n(  plugin \S+ \S+ \(active\)\n)*$", done.stdout)


def test_help_lists_our_commands_and_those_of_plugins(ocppgw: Any) -> None:
    done = ocppgw("--help")

    for command in ("run", "daemon", "check", "plugins", "send", "simulate"):
        assert f"\n  {command} " in done.stdout
    for listed in (done.stdout, ocppgw("simulate", "--help").stdout):
        assert "..." not in listed.partition("Commands:")[2]  # no summary is cut


def test_an_unknown_command_is_refused(ocppgw: Any) -> None:
    done = ocppgw("dance")

    assert done.returncode == 2
    assert "No such command 'dance'" in done.stderr


def test_send_asks_the_running_gateway(
    started: Any, ocppgw: Any, file: Path, box_yaml: Any, tmp_path: Path
) -> None:
    port = free_port()
    file.write_text(file.read_text().replace("tcp:0", f"tcp:{port}") + box_yaml(port))
    (tmp_path / "keys.json").write_text(json.dumps({"key": ["NumberOfConnectors"]}))
    with started("run", "gateway.yaml") as running:
        running.says("BOX-1 → central     boots as")
        config = ("--config", "gateway.yaml")
        accepted = ocppgw("send", "BOX-1", "unlockconnector", "connectorid=1", *config)
        rejected = ocppgw(
            "send", "BOX-1", "RemoteStopTransaction", "transactionId=7", "--socket", "control.sock"
        )
        keys = ocppgw(
            "send", "BOX-1", "GetConfiguration", "--json", "keys.json", OCPPGW_SOCKET="control.sock"
        )
        listed = ocppgw("send", "BOX-1", "GetConfiguration", 'key=["Foo"]', *config)
        unknown = ocppgw("send", "NOBODY", "Reset", "type=Hard", *config)
        wrong = ocppgw("send", "BOX-1", "Reset", "kind=Hard", *config)
        assert running.end() == 0

    assert (accepted.returncode, accepted.stdout) == (0, "UnlockConnector: Unlocked\n")
    assert rejected.returncode == 3
    assert rejected.stdout.startswith("RemoteStopTransaction: Rejected")
    assert keys.stdout == "GetConfiguration: 1 key\nNumberOfConnectors = 2  (read-only)\n"
    assert listed.stdout == "GetConfiguration: 0 keys\nnot known: Foo\n"
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("no station NOBODY is known here")
    assert wrong.stderr.splitlines() == [
        "Reset: kind: unknown key; the keys here are type",
        "Reset: the key `type` is missing",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no running gateway found: there is no var/control.sock and no /run/ocppgw/"),
        (("--socket", "x.sock"), "no gateway is running at x.sock; start one with"),
        (("--config", "gateway.yaml"), "no gateway is running at"),
        (("--config", "none.yaml"), "has no `control` section"),
        (("--config", "bad.yaml"), "bad.yaml:1: control.socket: expected a path, got a list"),
        (("type", "--socket", "x"), "`type`: expected KEY=VALUE, such as"),
        (("--json", "bad.json", "--socket", "x"), "bad.json: not valid JSON"),
        (("a=1", "--json", "none.yaml", "--socket", "x"), "not both"),
    ],
)
def test_send_without_a_gateway_says_so(
    ocppgw: Any, file: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (file.parent / "none.yaml").write_text("{}")
    (file.parent / "bad.json").write_text("{")
    (file.parent / "bad.yaml").write_text("control: {socket: []}")
    done = ocppgw("send", "BOX-1", "Reset", *arguments)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_levels_of_the_command_are_those_of_the_file() -> None:
    (level,) = (f for f in msgspec.structs.fields(LoggingSettings) if f.name == "level")

    assert get_args(get_args(level.type)[0]) == LEVELS


@pytest.mark.parametrize(
    ("settings", "options"),
    [("logging: {level: xml}\n", ()), ("", ("--log-level", "xml"))],
    ids=["file", "option"],
)
def test_the_xml_of_every_message_is_shown_on_demand(
    started: Any, file: Path, box_yaml: Any, settings: str, options: tuple[str, ...]
) -> None:
    port = free_port()
    text = file.read_text().replace("tcp:0", f"tcp:{port}") + box_yaml(port)
    file.write_text(text + settings)
    with started("run", *options, "gateway.yaml") as running:
        running.says("BOX-1 → central     boots as")
        assert running.end() == 0

    assert re.search(r"\n +<[^>]*bootNotificationRequest", running.console)
    assert re.search(r"\n +<[^>]*bootNotificationResponse", running.console)
