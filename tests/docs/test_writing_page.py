"""docs/writing-a-plugin.md: its plugin works, and what it quotes is there.

Its installation is run in tests/plugins_wheel.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocppgw import config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def guide(page: Callable[[str], Any]) -> Any:
    return page("docs/writing-a-plugin.md")


@pytest.fixture
def folder(guide: Any, tmp_path: Path) -> Path:
    """The folder that a reader has after writing every file of the page."""
    for snippet in guide.snippets:
        if "file" in snippet.attributes:
            path = tmp_path / snippet.attributes["file"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(snippet.text, encoding="utf-8")
    return tmp_path


def test_every_python_snippet_is_a_file_or_a_quotation(guide: Any) -> None:
    for snippet in guide.snippets:
        if snippet.language in ("python", "toml"):
            assert snippet.attributes.keys() & {"file", "from"}, snippet.text


def test_what_is_quoted_stands_in_the_file(guide: Any) -> None:
    quotations = [snippet for snippet in guide.snippets if "from" in snippet.attributes]

    assert quotations
    for quotation in quotations:
        source = (ROOT / quotation.attributes["from"]).read_text(encoding="utf-8")
        assert quotation.text in source


def test_the_tests_of_the_page_pass(guide: Any, folder: Path) -> None:
    """The page's own command, in this environment."""
    (console,) = (s.text for s in guide.snippets if s.attributes.get("run") == "tests")
    install, test = (line[2:] for line in console.splitlines() if line.startswith("$ "))
    assert install == "pip install -q pytest pytest-twisted"

    result = subprocess.run(
        test,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed" in result.stdout


def test_the_configuration_of_the_page_is_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    metadata = folder / "ocppgw_fleet-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: ocppgw-fleet\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[ocppgw]\nfleet = ocppgw_fleet\n")

    configuration, plugins = config.load(folder / "fleet.yaml")

    assert (
        "ocppgw_authorizers" in {state.name: state.hooks for state in plugins.describe()}["fleet"]
    )
    fleet = sys.modules.pop("ocppgw_fleet")
    options = configuration.options(fleet.Options, "plugins", "options", "fleet")
    assert options.prefix == "FLEET-"


def test_the_example_imports_only_what_the_page_allows(guide: Any) -> None:
    allowed = set(re.findall(r"`(ocppgw[\w.]*)`", guide.sections["What may be imported"]))
    imported = {
        name
        for file in (ROOT / "plugins" / "ocppgw-example").rglob("*.py")
        for name in imports(file)
    }

    assert {"ocppgw.hookimpl", "ocppgw.storage.Storage"} <= imported
    for name in imported:
        module = name.rpartition(".")[0]
        assert {name, module} & allowed or f"{name}.".startswith("ocppgw.testing."), name


def imports(file: Path) -> set[str]:
    """What a file takes from ocppgw: ``ocppgw.storage.Insert`` and so on."""
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ocppgw"
        for alias in node.names
    }
