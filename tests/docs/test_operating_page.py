"""docs/operating.md says what is so: commands, exit codes, places."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ocppgw import ending
from ocppgw.cli import cli
from ocppgw.cli.reload import FAILED, NEEDS_RESTART
from ocppgw.config import load
from ocppgw.net import gate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
UNIT = (ROOT / "config" / "systemd" / "ocppgw.service").read_text(encoding="utf-8")


def test_its_commands_are_there() -> None:
    named = set(re.findall(r"^ocppgw (\S+)", PAGE, re.MULTILINE))

    assert named == {"check", "run", "reload"}
    assert named <= set(cli.commands)


def test_its_numbers_are_those_of_the_code() -> None:
    said = " ".join(PAGE.split())

    assert f"after {ending.AT_LAST:g} s at the latest" in said
    assert f"wait for it, for up to {gate.PATIENCE:g} s" in said
    assert f"{NEEDS_RESTART} when something needs a restart, and {FAILED} when" in said


def test_the_unit_and_the_configuration_name_the_same_places(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "ocppgw.yaml"
    file.write_text(snippet + "central_system: {}\n")
    configuration, plugins = load(file, {})
    options: Any = configuration.options(
        plugins.storage_backends()["file"].options_type, "storage", without=("backend",)
    )
    control = configuration.settings.control
    assert control is not None

    assert f"OCPPGW_SOCKET={control.socket}\n" in UNIT
    assert f"WorkingDirectory={options.path.parent}\n" in UNIT
    for program in ("run /etc/ocppgw/ocppgw.yaml", "reload --config /etc/ocppgw/ocppgw.yaml"):
        assert f"/usr/bin/ocppgw {program}\n" in UNIT
