"""The twistd subcommand, found as an ordinary install leaves it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ocppgw

DROPIN = Path(ocppgw.__file__).parent / "_twistd" / "ocppgw_plugin.py"
TWISTD = "from twisted.scripts.twistd import run; run()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, central_yaml: str) -> Path:
    """A working folder with a file, and the service maker where twistd looks for it."""
    plugins = tmp_path / "site" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    shutil.copy(DROPIN, plugins)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "gateway.yaml").write_text(central_yaml)
    return tmp_path


def test_it_runs_and_ends_cleanly_with_its_own_143(started: Any, folder: Path) -> None:
    command = ("-n", "--reactor=asyncio", "ocppgw", "gateway.yaml")
    with started(*command, program=("-c", TWISTD)) as running:
        running.says("commands are taken at")
        assert running.end() == -signal.SIGTERM  # 143 to a shell

    assert "Traceback" not in running.console
    assert not (folder / "control.sock").exists()


@pytest.mark.parametrize(
    ("arguments", "yaml", "sentence"),
    [
        (("--reactor=asyncio",), "storag: {}", "storag: unknown key; did you mean `storage`?"),
        (("--reactor=select",), None, "needs Twisted's asyncio reactor, but SelectReactor"),
        (("--reactor=asyncio",), "port", "gateway.yaml: central_system.listen: listener 'tcp:1"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    folder: Path, central_yaml: str, arguments: tuple[str, ...], yaml: str | None, sentence: str
) -> None:
    if yaml == "port":
        yaml = central_yaml.replace("tcp:0:interface=127.0.0.1", "tcp:1:interface=192.0.2.1")
    if yaml is not None:
        (folder / "gateway.yaml").write_text(yaml)
    done = subprocess.run(
        [sys.executable, "-c", TWISTD, "-n", *arguments, "ocppgw", "gateway.yaml"],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_puts_it_into_twisteds_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    root = DROPIN.parents[2]
    shutil.copytree(
        root / "ocppgw", source / "ocppgw", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source],
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True
    ).stdout

    assert "twisted/plugins/ocppgw_plugin.py" in names
    assert "ocppgw/_twistd" not in names
    assert "ocppgw/py.typed" in names
