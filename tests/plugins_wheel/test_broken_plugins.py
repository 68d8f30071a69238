"""Broken plugins beside a good one: each is named in one line, and stops nobody."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NOT_IMPORTED = "import no_such_library\n"
UNKNOWN_HOOK = """\
from ocppgw import hookimpl

@hookimpl
def ocppgw_autorizers(central):
    return []
"""
RAISES = """\
from ocppgw import hookimpl

@hookimpl
def ocppgw_storage_backends():
    raise RuntimeError("no such luck")
"""
BROKEN = {
    "torn": (NOT_IMPORTED, "No module named 'no_such_library'"),
    "typo": (UNKNOWN_HOOK, "unknown hook 'ocppgw_autorizers'"),
    "unlucky": (RAISES, "ocppgw_storage_backends: RuntimeError: no such luck"),
}


@pytest.fixture
def broken(install: Callable[[str, str], None]) -> None:
    for name, (code, _) in BROKEN.items():
        install(name, code)


def lines_about(name: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(rf"\b{name}\b", line)]


@pytest.mark.usefixtures("broken")
def test_the_list_names_each_and_the_others_are_there(environment: Any, tmp_path: Path) -> None:
    listed = environment.run("ocppgw", "plugins", cwd=tmp_path).stdout

    for name, (_, why) in BROKEN.items():
        assert any(why in line for line in lines_about(name, listed)), listed
    assert any("active" in line for line in lines_about("example", listed)), listed
    assert "Traceback" not in listed


@pytest.mark.usefixtures("broken")
def test_the_gateway_names_each_and_runs(configuration: Any, start: Any) -> None:
    with start(configuration) as gateway:
        gateway.says(r"COUNTER-1 .*boots as ocppgw example-counter.*Accepted")
        for name, (_, why) in BROKEN.items():
            assert len([line for line in lines_about(name, gateway.console) if why in line]) == 1


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_configuration_that_needs_one_ends_the_start(
    environment: Any, configuration: Any, command: str
) -> None:
    path = configuration.path
    text = path.read_text(encoding="utf-8").replace("example-memory", "lucky")
    path.write_text(text, encoding="utf-8")

    done = environment.run("ocppgw", command, str(path), cwd=path.parent)

    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if "storage.backend" in line)
    assert "`lucky`" in line
    assert "no such luck" in line
    assert "Traceback" not in done.stdout
