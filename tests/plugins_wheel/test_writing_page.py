"""The console of docs/writing-a-plugin.md: what it types is run, what it shows comes."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"
FENCE = re.compile(r"^```(\w+) (file|run)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def fleet(environment: Any, tmp_path: Path) -> Iterator[Path]:
    """A folder with every file of the page; what was installed from it goes afterwards."""
    for _, kind, name, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "file":
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    yield tmp_path
    environment.pip("uninstall", "-y", "ocppgw-fleet", cwd=tmp_path)


def commands() -> list[tuple[str, str]]:
    """Each command of the page that installs, with what it shows."""
    found = []
    for _, kind, name, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if (kind, name) == ("run", "install"):
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                found.append((command, shown))
    return found


def test_the_console_of_the_page(environment: Any, fleet: Path) -> None:
    path = f"{environment.bin}{os.pathsep}{os.environ['PATH']}"
    assert "pip install -q ." in dict(commands())

    for command, shown in commands():
        done = subprocess.run(
            command,
            shell=True,
            cwd=fleet,
            env={**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        wanted = re.escape(shown).replace(re.escape("...\n"), "(.*\n)*")

        assert done.returncode == 0, done.stdout
        assert re.fullmatch(wanted, done.stdout), f"{command}:\n{done.stdout}\ninstead of\n{shown}"
