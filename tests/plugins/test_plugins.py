"""The plugin manager: isolation, order, blocking."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import click
import pytest

from ocppgw import hookimpl
from ocppgw.ocpp.model import DataTransferRequest, HeartbeatRequest
from ocppgw.plugins import Plugins


class Central:
    """A plugin with a handler of each kind of call it is asked for."""

    def __init__(self, *requests: type) -> None:
        self.requests = requests

    @hookimpl
    def ocppgw_central_handlers(self, central: object) -> dict:
        return dict.fromkeys(self.requests, self)


class Backend:
    def __init__(self, name: str) -> None:
        self.thing = SimpleNamespace(name=name, owner=self)

    @hookimpl
    def ocppgw_storage_backends(self) -> list:
        return [self.thing]

    @hookimpl
    def ocppgw_plc_drivers(self) -> list:
        return [self.thing]


class Raising:
    @hookimpl
    def ocppgw_storage_backends(self) -> list:
        raise RuntimeError("no\ndisk")


class Misspelt:
    @hookimpl
    def ocppgw_storage_backend(self) -> list:
        return []


class WrongArgument:
    @hookimpl
    def ocppgw_observers(self, gatewy: object) -> list:
        return []


def manager(order: dict | None = None, block: tuple = (), **plugins: object) -> Plugins:
    made = Plugins(order=order, block=block)
    for name, plugin in plugins.items():
        made.add(name, lambda p=plugin: p, built_in=name.startswith("own"))
    return made


def states(plugins: Plugins) -> dict[str, str]:
    return {state.name: state.state for state in plugins.describe()}


def why(plugins: Plugins, name: str) -> str:
    return next(state.why or "" for state in plugins.describe() if state.name == name)


def owners(plugins: Plugins, request: type = HeartbeatRequest) -> list[str]:
    return [name for name, _ in plugins.central_handlers(object())[request]]


def test_third_party_comes_before_built_in_and_by_name() -> None:
    plugin = Central(HeartbeatRequest)
    plugins = manager(own=plugin, zebra=Central(HeartbeatRequest), ant=Central(HeartbeatRequest))

    assert owners(plugins) == ["ant", "zebra", "own"]


def test_the_configured_order_comes_first() -> None:
    plugins = manager(
        {"ocppgw_central_handlers": ["own", "zebra"]},
        own=Central(HeartbeatRequest),
        ant=Central(HeartbeatRequest),
        zebra=Central(HeartbeatRequest),
    )

    assert owners(plugins) == ["own", "zebra", "ant"]


def test_handlers_are_gathered_by_request_type() -> None:
    plugins = manager(
        own=Central(HeartbeatRequest, DataTransferRequest), other=Central(DataTransferRequest)
    )

    assert owners(plugins) == ["own"]
    assert owners(plugins, DataTransferRequest) == ["other", "own"]


def test_a_plugin_that_raises_is_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    plugins = manager(bad=Raising(), good=Backend("shelf"))

    assert list(plugins.storage_backends()) == ["shelf"]
    assert states(plugins) == {"bad": "failed", "good": "active"}
    assert why(plugins, "bad") == "ocppgw_storage_backends: RuntimeError: no disk"
    assert [r.getMessage() for r in caplog.records] == [
        "plugin bad: ocppgw_storage_backends: RuntimeError: no disk"
    ]
    assert plugins.failures() == " (plugin bad: ocppgw_storage_backends: RuntimeError: no disk)"


@pytest.mark.parametrize(
    ("plugin", "message"),
    [(Misspelt(), "unknown hook 'ocppgw_storage_backend'"), (WrongArgument(), "gatewy")],
)
def test_a_wrong_hook_is_refused_and_does_not_spoil_the_next(plugin: object, message: str) -> None:
    plugins = manager(bad=plugin, good=Backend("shelf"))

    assert states(plugins) == {"bad": "failed", "good": "active"}
    assert message in why(plugins, "bad")
    assert list(plugins.storage_backends()) == ["shelf"]


def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    def load() -> object:
        raise ModuleNotFoundError("No module named 'pymongo'")

    plugins = Plugins()
    plugins.add("mongodb", load, version="1.2")

    assert states(plugins) == {"mongodb": "failed"}
    assert plugins.failures() == " (plugin mongodb: No module named 'pymongo')"


def test_answers_that_are_no_answers_are_named() -> None:
    class Nameless:
        @hookimpl
        def ocppgw_plc_drivers(self) -> list:
            return [object()]

    class Number:
        @hookimpl
        def ocppgw_authorizers(self, central: object) -> int:
            return 3

    class Wrapping:
        @hookimpl(wrapper=True)
        def ocppgw_services(self, gateway: object):
            return (yield)

    plugins = manager(nameless=Nameless(), number=Number(), wrapping=Wrapping())

    assert plugins.plc_drivers() == {}
    assert plugins.authorizers(object()) == []
    assert plugins.services(object()) == []
    assert "has no name" in why(plugins, "nameless")
    assert "not iterable" in why(plugins, "number")
    assert "wrappers" in why(plugins, "wrapping")


def test_blocked_plugins_are_not_even_loaded() -> None:
    plugins = Plugins(block=["bad"])
    plugins.add("bad", lambda: pytest.fail("loaded"))

    assert states(plugins) == {"bad": "blocked"}
    assert plugins.failures() == " (plugin bad is blocked)"


def test_the_first_of_two_back_ends_of_one_name_is_used(caplog: pytest.LogCaptureFixture) -> None:
    own, other = Backend("file"), Backend("file")
    plugins = manager(own=own, other=other)

    assert plugins.storage_backends()["file"].owner is other
    assert "offered by plugin other and by plugin own, which is not used" in caplog.text


def test_a_taken_plugin_name_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    plugins = manager(twin=Backend("a"))
    plugins.add("twin", lambda: Backend("b"))

    assert list(plugins.storage_backends()) == ["a"]
    assert "plugin twin: the name is taken" in caplog.text


def test_commands_are_added_and_a_failing_one_is_left_out() -> None:
    class Adds:
        @hookimpl
        def ocppgw_commands(self, cli: click.Group) -> None:
            cli.add_command(click.Command("dance"))

    class Breaks:
        @hookimpl
        def ocppgw_commands(self, cli: click.Group) -> None:
            raise KeyError

    group = click.Group()
    plugins = manager(breaks=Breaks(), adds=Adds())
    plugins.add_commands(group)

    assert list(group.commands) == ["dance"]
    assert why(plugins, "breaks") == "ocppgw_commands: KeyError"


def test_observers_are_flat_and_hooks_are_listed() -> None:
    class Watches:
        @hookimpl
        def ocppgw_observers(self, gateway: object) -> list:
            return [print, repr]

    plugins = manager(watches=Watches())

    assert plugins.observers(object()) == [("watches", print), ("watches", repr)]
    assert plugins.describe()[0].hooks == ("ocppgw_observers",)
    assert plugins.names() == ["watches"]


def test_the_built_in_plugins_are_plugins(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    plugins = Plugins.load(installed=[])

    assert {state.state for state in plugins.describe()} == {"active"}
    assert all(state.built_in and state.hooks for state in plugins.describe())
    assert {"file"} <= set(plugins.storage_backends())
    assert {"simulator"} <= set(plugins.plc_drivers())


def test_hooks_are_called_once_and_a_failure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    plugins = manager(bad=Raising(), good=Backend("a"))

    for _ in range(3):
        assert list(plugins.storage_backends()) == ["a"]

    assert caplog.messages == ["plugin bad: ocppgw_storage_backends: RuntimeError: no disk"]
    plugins.add("late", lambda: Backend("b"))
    assert list(plugins.storage_backends()) == ["a", "b"]
