"""docs/hooks.md: a heading with the exact signature for each hook, and code that works."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pluggy
import pytest
from click.testing import CliRunner

from ocppgw import hooks
from ocppgw.central import AuthorizeContext, Purpose
from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.observe import StateChange
from ocppgw.ocpp import enums, model
from ocppgw.ocpp.operations import Version
from ocppgw.plc import Command, DriverContext, LimitCurrent, PlcRefused
from ocppgw.plugins import Plugins
from ocppgw.storage import StorageError
from ocppgw.testing.clock import settle

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTEXT: Any = SimpleNamespace()  # the page's snippets keep their context and ask it nothing


def specs() -> dict[str, pluggy.HookCaller]:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    return {name: caller for name, caller in vars(manager.hook).items() if caller.spec is not None}


def signature(name: str) -> str:
    spec = specs()[name].spec
    assert spec is not None
    return f"{name}({', '.join(spec.argnames)})"


@pytest.fixture
def sections(page: Callable[[str], Any]) -> dict[str, str]:
    return {
        heading: text
        for heading, text in page("docs/hooks.md").sections.items()
        if heading.startswith("ocppgw_")
    }


@pytest.fixture
def plugins(
    request: pytest.FixtureRequest, page: Callable[[str], Any], sections: dict[str, str]
) -> tuple[Plugins, ModuleType]:
    """The plugin that stands under the heading that the test is named after."""
    hook = request.function.__name__.removeprefix("test_")
    (code,) = (
        snippet.text
        for snippet in type(page("docs/hooks.md"))(sections[signature(hook)]).snippets
        if snippet.language == "python"
    )
    module = ModuleType("acme")
    exec(compile(code, f"docs/hooks.md: {hook}", "exec"), vars(module))
    plugins = Plugins()
    plugins.add("acme", lambda: module)
    (state,) = plugins.describe()
    assert state.hooks == (hook,)
    return plugins, module


def test_every_hook_has_a_heading_and_every_heading_is_a_hook(sections: dict[str, str]) -> None:
    assert set(sections) == {signature(name) for name in specs()}


def test_every_hook_is_exercised_here() -> None:
    missing = {name for name in specs() if f"test_{name}" not in globals()}

    assert missing == set()


def test_every_section_says_when_what_and_what_an_exception_does(sections: dict[str, str]) -> None:
    for heading, text in sections.items():
        for point in ("- **Called** ", "- **Give back** ", "- **An exception** "):
            assert point in text, f"{heading} lacks {point}"


async def test_ocppgw_storage_backends(plugins: tuple[Plugins, ModuleType]) -> None:
    backend = plugins[0].storage_backends()["acme"]

    with pytest.raises(StorageError, match="db://there does not answer"):
        await backend.open(backend.options_type(url="db://there"), [])


def test_ocppgw_plc_drivers(plugins: tuple[Plugins, ModuleType]) -> None:
    driver = plugins[0].plc_drivers()["acme"]
    context = DriverContext("DEMO-1", 1, Path(), SystemClock())

    with pytest.raises(UserError, match="DEMO-1: there is no port COM9"):
        driver.open(driver.options_type(port="COM9"), context)


async def test_ocppgw_central_handlers(plugins: tuple[Plugins, ModuleType]) -> None:
    handlers = plugins[0].central_handlers(CONTEXT)
    ((name, handler),) = handlers[model.DataTransferRequest]

    assert name == "acme"
    assert await handler(model.DataTransferRequest(vendor_id="com.acme"), CONTEXT) is not None
    assert await handler(model.DataTransferRequest(vendor_id="org.other"), CONTEXT) is None


async def test_ocppgw_authorizers(plugins: tuple[Plugins, ModuleType]) -> None:
    ((_, authorize),) = plugins[0].authorizers(CONTEXT)
    context = AuthorizeContext(
        identity="DEMO-1", version=Version.V15, purpose=Purpose.START, at=NOON
    )

    assert await authorize("GUEST-1", context) is None
    assert await authorize("STAFF-1", context) == model.IdTagInfo(
        status=enums.AuthorizationStatus.ACCEPTED, parent_id_tag="STAFF"
    )


class Box:
    """A charge box of two connectors, the second of which has a PLC that refuses."""

    def __init__(self) -> None:
        self.connectors = 2
        self.done: list[Command] = []

    async def execute(self, command: Command) -> None:
        if self.done:
            raise PlcRefused("no")
        self.done.append(command)


@pytest.mark.parametrize(
    ("connectors", "key", "value", "answer"),
    [
        (1, "AcmeLimit", "16", enums.ConfigurationStatus.ACCEPTED),
        (2, "AcmeLimit", "16", enums.ConfigurationStatus.REJECTED),
        (1, "AcmeLimit", "much", enums.ConfigurationStatus.REJECTED),
        (1, "Other", "16", None),
    ],
)
async def test_ocppgw_charge_point_handlers(
    plugins: tuple[Plugins, ModuleType],
    connectors: int,
    key: str,
    value: str,
    answer: enums.ConfigurationStatus | None,
) -> None:
    handlers = plugins[0].charge_point_handlers(CONTEXT)
    ((_, handler),) = handlers[model.ChangeConfigurationRequest]
    box = Box()
    box.connectors = connectors
    call: Any = SimpleNamespace(box=box)

    response = await handler(model.ChangeConfigurationRequest(key=key, value=value), call)

    assert getattr(response, "status", None) is answer
    if answer is enums.ConfigurationStatus.ACCEPTED:
        assert box.done == [LimitCurrent(connector_id=1, amperes=16.0)]


def test_ocppgw_observers(plugins: tuple[Plugins, ModuleType]) -> None:
    loaded, module = plugins
    ((_, observer),) = loaded.observers(CONTEXT)

    observer(StateChange(at=NOON, role="central", identity="DEMO-1", subject="plc", what="online"))

    assert module.lines == ["DEMO-1 plc: online"]


async def test_ocppgw_services(plugins: tuple[Plugins, ModuleType]) -> None:
    service: Any
    ((_, service),) = plugins[0].services(CONTEXT)

    service.startService()
    assert service.task in asyncio.all_tasks()
    await settle()
    service.stopService()  # the end of the test proves that nothing is left


def test_ocppgw_commands(plugins: tuple[Plugins, ModuleType]) -> None:
    cli = click.Group("ocppgw")
    plugins[0].add_commands(cli)

    assert CliRunner().invoke(cli, ["acme-tags", "2"]).output == "STAFF-1\nSTAFF-2\n"


def test_an_exception_in_a_hook_leaves_out_that_hook_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the page's first rules promise."""

    class Acme:
        @hooks.hookimpl
        def ocppgw_authorizers(self) -> list[object]:
            raise RuntimeError("no list of tags")

        @hooks.hookimpl
        def ocppgw_observers(self) -> list[object]:
            return [lambda observed: None]

    caplog.set_level(logging.ERROR)
    plugins = Plugins()
    plugins.add("acme", Acme)

    assert plugins.authorizers(CONTEXT) == []
    assert len(plugins.observers(CONTEXT)) == 1
    assert caplog.messages == ["plugin acme: ocppgw_authorizers: RuntimeError: no list of tags"]
