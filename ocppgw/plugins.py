"""The plugin manager: loads plugins one by one, and asks each hook of each plugin alone.

A plugin that cannot be loaded, or whose hook raises, is named in one line and the
others go on. Built-in features are plugins like anybody's; they come last wherever
the order matters, unless the configuration says otherwise.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import pluggy

from ocppgw import __version__, hooks
from ocppgw.errors import UserError

if TYPE_CHECKING:
    import click
    from twisted.application.service import IService

    from ocppgw.central.context import AnyCentralHandler, CentralContext
    from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointContext
    from ocppgw.hooks import Authorizer
    from ocppgw.observe import GatewayContext, Observer
    from ocppgw.ocpp.model import Request
    from ocppgw.plc.base import PlcDriver
    from ocppgw.storage.base import StorageBackend

log = logging.getLogger(__name__)

GROUP = "ocppgw"
BUILT_IN = {
    "file": "ocppgw.storage.file",
    "simulator": "ocppgw.plc.simulator",
    "central": "ocppgw.central.handlers",
    "chargepoint": "ocppgw.chargepoint.handlers",
    "narrate": "ocppgw.narrate",
}

T = TypeVar("T")


class Named(Protocol):
    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


class PluginState(msgspec.Struct, kw_only=True):
    """What ``ocppgw plugins`` tells of a plugin.

    ``state`` is "active", "blocked" or "failed"; ``why`` says what failed.
    """

    name: str
    version: str
    built_in: bool
    state: str = "active"
    why: str | None = None
    hooks: tuple[str, ...] = ()


class Plugins:
    """The plugins of a process."""

    def __init__(
        self, *, block: Iterable[str] = (), order: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)
        self._block = frozenset(block)
        self._order = order or {}
        self._states: dict[str, PluginState] = {}
        self._backends: dict[str, StorageBackend] | None = None
        self._drivers: dict[str, PlcDriver] | None = None

    @classmethod
    def load(
        cls,
        *,
        block: Iterable[str] = (),
        order: Mapping[str, Sequence[str]] | None = None,
        built_in: Mapping[str, str] = BUILT_IN,
        installed: Iterable[EntryPoint] | None = None,
    ) -> Plugins:
        """All built-in and installed plugins, less the blocked ones."""
        plugins = cls(block=block, order=order)
        for name, module in built_in.items():
            plugins.add(name, partial(importlib.import_module, module), built_in=True)
        points = entry_points(group=GROUP) if installed is None else installed
        for point in sorted(points, key=lambda point: point.name):
            version = point.dist.version if point.dist else "?"
            plugins.add(point.name, point.load, version=version)
        return plugins

    def add(
        self,
        name: str,
        load: Callable[[], object],
        *,
        version: str = __version__,
        built_in: bool = False,
    ) -> None:
        """Loads and registers one plugin; what goes wrong is kept in its state."""
        if name in self._states:
            log.error("plugin %s: the name is taken by another one; not loaded", name)
            return
        self._backends = self._drivers = None
        state = self._states[name] = PluginState(name=name, version=version, built_in=built_in)
        if name in self._block:
            state.state = "blocked"
            return
        try:
            plugin = load()
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception as error:  # noqa: BLE001  a plugin may raise anything
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self._failed(name, _why(error))
            return
        callers = self._manager.get_hookcallers(plugin) or []
        state.hooks = tuple(sorted(caller.name for caller in callers))

    def _failed(self, name: str, why: str) -> None:
        log.error("plugin %s: %s", name, why)
        state = self._states[name]
        state.state, state.why = "failed", why

    def describe(self) -> list[PluginState]:
        """Every plugin that was found, built-in ones first."""
        return sorted(self._states.values(), key=lambda state: (not state.built_in, state.name))

    def names(self) -> list[str]:
        return list(self._states)

    def failures(self) -> str:
        """``" (plugin mongodb: No module named 'pymongo')"`` for messages about what is missing."""
        failed = [f"plugin {s.name}: {s.why}" for s in self.describe() if s.state == "failed"]
        blocked = [f"plugin {s.name} is blocked" for s in self.describe() if s.state == "blocked"]
        return f" ({'; '.join(failed + blocked)})" if failed or blocked else ""

    # Hooks, typed

    def storage_backends(self) -> dict[str, StorageBackend]:
        """Asked once, however often it is called; likewise :meth:`plc_drivers`."""
        if self._backends is None:
            answers = self._ask("ocppgw_storage_backends")
            self._backends = self._by_name(answers, "storage back end")
        return self._backends

    def plc_drivers(self) -> dict[str, PlcDriver]:
        if self._drivers is None:
            self._drivers = self._by_name(self._ask("ocppgw_plc_drivers"), "PLC driver")
        return self._drivers

    def central_handlers(
        self, central: CentralContext
    ) -> dict[type[Request], list[tuple[str, AnyCentralHandler]]]:
        return self._by_type(self._ask("ocppgw_central_handlers", central=central))

    def charge_point_handlers(
        self, box: ChargePointContext
    ) -> dict[type[Request], list[tuple[str, AnyChargePointHandler]]]:
        return self._by_type(self._ask("ocppgw_charge_point_handlers", box=box))

    def authorizers(self, central: CentralContext) -> list[tuple[str, Authorizer]]:
        return _flat(self._ask("ocppgw_authorizers", central=central))

    def observers(self, gateway: GatewayContext) -> list[tuple[str, Observer]]:
        return _flat(self._ask("ocppgw_observers", gateway=gateway))

    def services(self, gateway: GatewayContext) -> list[tuple[str, IService]]:
        return _flat(self._ask("ocppgw_services", gateway=gateway))

    def add_commands(self, cli: click.Group) -> None:
        self._ask("ocppgw_commands", cli=cli)

    def _ask(self, hook: str, **arguments: object) -> list[tuple[str, Any]]:
        """What each plugin answers, in order; one that raises is named and left out."""
        answers = []
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=self._rank(hook)):
            name = implementation.plugin_name
            try:
                if implementation.wrapper or implementation.hookwrapper:
                    raise TypeError("hook wrappers are not asked; give an answer of your own")
                given = (arguments[argument] for argument in implementation.argnames)
                answers.append((name, _checked(hook, implementation.function(*given))))
            except Exception as error:  # noqa: BLE001  a plugin may raise anything
                self._failed(name, f"{hook}: {_why(error)}")
        return [(name, answer) for name, answer in answers if answer is not None]

    def _rank(self, hook: str) -> Callable[[Any], tuple[int, bool, str]]:
        """The configured ones first, as listed; then third-party before built-in, by name."""
        listed = list(self._order.get(hook, ()))

        def rank(implementation: Any) -> tuple[int, bool, str]:
            name = implementation.plugin_name
            place = listed.index(name) if name in listed else len(listed)
            return place, self._states[name].built_in, name

        return rank

    @staticmethod
    def _by_name(answers: list[tuple[str, Sequence[NamedT]]], what: str) -> dict[str, NamedT]:
        found: dict[str, NamedT] = {}
        offered_by: dict[str, str] = {}
        for plugin, things in answers:
            for thing in things:
                if thing.name in found:
                    log.warning(
                        "%s %s: offered by plugin %s and by plugin %s, which is not used",
                        what,
                        thing.name,
                        offered_by[thing.name],
                        plugin,
                    )
                    continue
                found[thing.name] = thing
                offered_by[thing.name] = plugin
        return found

    @staticmethod
    def _by_type(
        answers: list[tuple[str, Mapping[Any, Any]]],
    ) -> dict[type[Request], list[tuple[str, Any]]]:
        table: dict[type[Request], list[tuple[str, Any]]] = {}
        for plugin, handlers in answers:
            for request_type, handler in handlers.items():
                table.setdefault(request_type, []).append((plugin, handler))
        return table


def _flat(answers: list[tuple[str, Sequence[T]]]) -> list[tuple[str, T]]:
    return [(plugin, thing) for plugin, things in answers for thing in things]


def _checked(hook: str, answer: Any) -> Any:
    """Takes the answer of a hook apart once, where its plugin can still be named."""
    if answer is None:
        return None
    if hook.endswith("_handlers"):
        return dict(answer)
    things = list(answer)
    if hook in ("ocppgw_storage_backends", "ocppgw_plc_drivers"):
        for thing in things:
            if not isinstance(getattr(thing, "name", None), str):
                raise TypeError(f"gave {thing!r}, which has no name")
    return things


def _why(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, (ImportError, UserError, pluggy.PluginValidationError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
