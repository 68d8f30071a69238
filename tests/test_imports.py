"""The house has floors: imports go down only (docs/architecture.md)."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "ocppgw"

# A room may import from lower floors and from itself. Rooms of one floor are strangers.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "errors", "clock", "ocpp", "hooks", "observe", "bridge", "tree"}),
    frozenset({"describe"}),
    frozenset({"typed", "yaml_lines", "schema"}),
    frozenset({"settings"}),
    frozenset({"net", "storage"}),
    frozenset({"plc"}),  # a driver is told by storage's errors that an event is not safe yet
    frozenset({"link"}),
    frozenset({"delivery"}),  # the lanes send through a peer
    frozenset({"central", "chargepoint"}),
    frozenset({"web"}),
    frozenset({"plugins", "narrate", "observing", "ending", "logs", "systemd", "hangup"}),
    frozenset({"config"}),
    frozenset({"gateway", "reference", "service"}),
    frozenset({"runner"}),
    frozenset({"tap", "cli"}),
    frozenset({"_twistd", "__main__"}),
)
GROUND_FLOOR_NEIGHBOURS = {
    ("__init__", "hooks"),
    ("observe", "clock"),
    ("observe", "ocpp"),
    ("tree", "errors"),
}
# What may be shared sideways, because it is one thing in two files.
SIDEWAYS = GROUND_FLOOR_NEIGHBOURS | {("typed", "describe"), ("gateway", "service")}

# What a plugin may import: these modules, and of a package what its __all__ has. The table in
# docs/writing-a-plugin.md is the same.
PUBLIC = {
    "ocppgw",
    "ocppgw.bridge",
    "ocppgw.central",
    "ocppgw.chargepoint",
    "ocppgw.clock",
    "ocppgw.errors",
    "ocppgw.link",
    "ocppgw.observe",
    "ocppgw.ocpp",
    "ocppgw.ocpp.enums",
    "ocppgw.ocpp.model",
    "ocppgw.ocpp.operations",
    "ocppgw.plc",
    "ocppgw.settings",
    "ocppgw.storage",
    "ocppgw.storage.checks",
    "ocppgw.storage.selection",
    "ocppgw.storage.values",
}
TESTING = "ocppgw.testing"  # and its modules, in tests


def floor(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"ocppgw/{room} has no floor: give it one here, and in the documentation")


def sources(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*.py")
        if not {"build", ".venv"} & set(path.relative_to(folder).parts)
    )


def imports(path: Path, *, for_types: bool = False) -> Iterator[tuple[int, str]]:
    """Every module that a file imports when it runs; with ``for_types``, for mypy as well."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not for_types:
            skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str | None:
    """The room of ocppgw that a module name lies in."""
    parts = module.split(".")
    if parts[0] != "ocppgw":
        return None
    known = frozenset().union(*FLOORS)
    if len(parts) > 1 and (parts[1] in known or parts[1] == "testing"):
        return parts[1]
    return "__init__"


def own_room(path: Path) -> str:
    first = path.relative_to(CORE).parts[0]
    return first.removesuffix(".py")


CORE_SOURCES = [path for path in sources(CORE) if own_room(path) != "testing"]


@pytest.mark.parametrize("path", CORE_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    room = own_room(path)
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for line, module in imports(path)
        if (other := room_of(module)) is not None
        and other != room
        and other != "__init__"
        and (other == "testing" or floor(other) >= floor(room))
        and (room, other) not in SIDEWAYS
    ]

    assert wrong == []


def test_central_and_charge_point_do_not_know_each_other() -> None:
    for room, other in (("central", "chargepoint"), ("chargepoint", "central")):
        for path in sources(CORE / room):
            met = [
                module for _, module in imports(path, for_types=True) if room_of(module) == other
            ]
            assert met == [], path


def test_the_protocol_does_no_io() -> None:
    forbidden = {"twisted", "asyncio", "socket", "threading", "httptools", "zope"}
    for path in sources(CORE / "ocpp"):
        met = [module for _, module in imports(path) if module.split(".")[0] in forbidden]
        assert met == [], path


def test_deferreds_and_coroutines_meet_in_the_bridge_only() -> None:
    meeting = {"fromFuture", "asFuture", "fromCoroutine", "ensureDeferred", "inlineCallbacks"}
    allowed = {CORE / "bridge.py", CORE / "testing" / "pytest_plugin.py"}
    for path in [*sources(CORE), *sources(ROOT / "plugins")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert path in allowed or not names & meeting, path


def test_the_reactor_is_imported_inside_functions_only() -> None:
    for path in [*sources(CORE), *sources(ROOT / "plugins")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                assert "reactor" not in {alias.name for alias in node.names}, path


def in_tests(path: Path) -> bool:
    return "tests" in path.relative_to(ROOT / "plugins").parts


def imported_names(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name of each import, also of those for mypy only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def is_public(module: str, name: str | None) -> bool:
    """Whether that import is of something that stays."""
    if name is None or f"{module}.{name}" in PUBLIC:
        return (module if name is None else f"{module}.{name}") in PUBLIC
    offered = getattr(importlib.import_module(module), "__all__", None)
    return module in PUBLIC and (
        name in offered if offered is not None else not name.startswith("_")
    )


@pytest.mark.parametrize(
    "path", sources(ROOT / "plugins"), ids=lambda path: str(path.relative_to(ROOT / "plugins"))
)
def test_plugins_import_public_names_only(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {name or 'all'} of {module}"
        for line, module, name in imported_names(path)
        if module.split(".")[0] == "ocppgw"
        and not is_public(module, name)
        and not (in_tests(path) and f"{module}.".startswith(f"{TESTING}."))
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("module", "name", "public"),
    [
        ("ocppgw", "hookimpl", True),
        ("ocppgw", "gateway", False),
        ("ocppgw.gateway", "Gateway", False),
        ("ocppgw.gateway", None, False),
        ("ocppgw.plc", "Driver", True),
        ("ocppgw.plc", "base", False),
        ("ocppgw.plc.base", "Driver", False),
        ("ocppgw.central", "service", False),
        ("ocppgw.ocpp", "enums", True),
        ("ocppgw.ocpp.soap", "decode_call", False),
        ("ocppgw.storage.values", "_tagged", False),
    ],
)
def test_what_is_public_is_told_from_the_rest(module: str, name: str | None, public: bool) -> None:
    assert is_public(module, name) is public


def test_the_documentation_lists_what_is_public() -> None:
    page = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
    table = page.partition("## What may be imported")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(ocppgw[\w.]*)`", table)) - {"ocppgw.hookimpl", TESTING}

    assert listed == PUBLIC - {"ocppgw"}
