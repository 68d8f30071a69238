"""The configuration file: read, checked as a whole, and made ready for the roles.

:class:`Settings` is the top of it; each role declares its own section beside its code.
What belongs to a back end, a driver or a plugin is checked with the type that its
plugin gives. Every mistake of a file is told at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from ocppgw import hooks, yaml_lines
from ocppgw.central.settings import CentralSettings
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.net.addresses import check_addresses
from ocppgw.net.settings import ClientLimits, ClientTls, HttpLimits
from ocppgw.plugins import Plugins
from ocppgw.storage.backup import StoreFile
from ocppgw.storage.file import FileOptions
from ocppgw.tree import Node, Problem, ProblemsError, near_miss
from ocppgw.typed import INVALID, Reader

LOCAL_STORE = "file"  # the back end of every charge box's own state

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class StorageChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The store of the central system; the other keys are the back end's own."""

    backend: Annotated[
        str, Meta(description="The back end's name; `ocppgw plugins` says which there are.")
    ] = LOCAL_STORE


class ChargePointServerSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Where central systems reach the charge boxes; one listener for all of them."""

    listen: Annotated[str, Meta(description="Where it listens: a Twisted endpoint string.")] = (
        "tcp:9000:interface=127.0.0.1"
    )
    path: Annotated[
        str,
        Meta(
            description="Path of the service; boxes are told apart by chargeBoxIdentity.",
            pattern="^/",
        ),
    ] = "/Ocpp/ChargePointService"
    public_url: Annotated[
        str | None,
        Meta(
            description="The URL that central systems are told, if the listener's own address"
            " is not the one they can reach (NAT, a proxy, every interface)."
        ),
    ] = None
    limits: Annotated[HttpLimits, Meta(description="Limits and time-outs of the listener.")] = (
        HttpLimits()
    )


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which plugins take part, in what order, with what options."""

    block: Annotated[
        tuple[str, ...], Meta(description="Plugins that are not loaded although installed.")
    ] = ()
    order: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="For a hook, the plugins that come first, in that order. Without it,"
            " third-party plugins come before built-in ones, by name."
        ),
    ] = {}
    options: Annotated[
        dict[str, Any], Meta(description="For a plugin, its own keys; see its documentation.")
    ] = {}


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How commands such as `ocppgw send` reach the running gateway."""

    socket: Annotated[Path, Meta(description="The Unix socket; only its owner may open it.")] = (
        Path("var/control.sock")
    )


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to the console or the log file."""

    level: Annotated[
        Literal["debug", "xml", "info", "warning", "error"],
        Meta(
            description="The least important lines to write. `xml` is `info` and every SOAP"
            " message, indented; `debug` is everything."
        ),
    ] = "info"


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP client, which all roles share."""

    limits: Annotated[ClientLimits, Meta(description="What it takes from servers.")] = (
        ClientLimits()
    )
    tls: Annotated[ClientTls, Meta(description="How https servers are checked.")] = ClientTls()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration file. Paths in it start from its own folder."""

    storage: Annotated[
        StorageChoice | None,
        Meta(description="Where the central system keeps its data; needed if there is one."),
    ] = None
    central_system: Annotated[
        CentralSettings | None, Meta(description="The central system, if this process is one.")
    ] = None
    charge_point_server: Annotated[
        ChargePointServerSettings,
        Meta(description="Where the charge boxes of this file take calls."),
    ] = ChargePointServerSettings()
    charge_boxes: Annotated[
        tuple[ChargeBoxSettings, ...], Meta(description="The charge boxes of this process.")
    ] = ()
    http_client: Annotated[ClientSettings, Meta(description="The HTTP client.")] = ClientSettings()
    plugins: Annotated[PluginSettings, Meta(description="Plugins.")] = PluginSettings()
    control: Annotated[
        ControlSettings | None,
        Meta(description="The control socket; without it, commands cannot reach the gateway."),
    ] = None
    logging: Annotated[LoggingSettings, Meta(description="Logging.")] = LoggingSettings()


class Configuration:
    """A file that has been read. ``settings`` is typed, the rest is typed on demand."""

    def __init__(self, path: Path, root: Node, settings: Settings) -> None:
        self.path = path
        self.base = path.parent
        self.settings = settings
        self._root = root

    def options(
        self, options_type: type[OptionsT], *steps: str | int, without: tuple[str, ...] = ()
    ) -> OptionsT:
        """The mapping at that place as a Struct; an absent one is an empty one.

        ``without`` are keys of it that belong to somebody else. Raises ProblemsError.
        """
        reader = Reader(base=self.base)
        node = self._root.at(*steps) or Node({})
        value = reader.read(node, options_type, path_of(steps), without=without)
        if reader.problems:
            raise ProblemsError(str(self.path), reader.problems)
        return cast("OptionsT", value)


def path_of(steps: Iterable[str | int]) -> str:
    """``charge_boxes[0].plc`` for ``("charge_boxes", 0, "plc")``."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).removeprefix(".")


def load(
    path: Path,
    environment: Mapping[str, str] | None = None,
    plugins: Plugins | None = None,
    *,
    certificates: bool = False,
) -> tuple[Configuration, Plugins]:
    """Reads and checks a file and loads the plugins that it does not block.

    ``plugins`` are those of a running gateway, which are not loaded again, whatever the
    file says now. With ``certificates`` those of listeners are looked at, too. Raises
    ``UserError``: the file cannot be read, or everything that is wrong with it.
    """
    path = path.absolute()
    root, problems = yaml_lines.load(path, environment)
    plugins = plugins or load_plugins(root)
    reader = Reader(base=path.parent)
    settings = reader.read(root, Settings)
    problems += reader.problems
    problems += check_plugins(root, plugins)
    problems += check_choices(root, plugins, path.parent)
    problems += check_addresses(root, files=certificates)
    if settings is not INVALID:
        problems += check_whole(root, settings)
    if problems:
        raise ProblemsError(str(path), dict.fromkeys(problems))  # two types may look at one section
    return Configuration(path, root, settings), plugins


def file_stores(configuration: Configuration) -> tuple[StoreFile, ...]:
    """The stores that are files of this machine: ``central``, and ``box-`` of each box."""
    settings, stores = configuration.settings, []
    if settings.storage is not None and settings.storage.backend == LOCAL_STORE:
        options = configuration.options(FileOptions, "storage", without=("backend",))
        stores.append(StoreFile("central", options.path))
    stores += [
        StoreFile(f"box-{box.identity}", configuration.base / box.state)
        for box in settings.charge_boxes
    ]
    return tuple(stores)


def load_plugins(root: Node) -> Plugins:
    """The plugins, as far as their section can be read; its mistakes are told elsewhere."""
    reader = Reader()
    section = root.at("plugins") or Node({})
    block = reader.read(section.at("block") or Node(()), tuple[str, ...])
    order = reader.read(section.at("order") or Node({}), dict[str, tuple[str, ...]])
    return Plugins.load(
        block=() if block is INVALID else block, order={} if order is INVALID else order
    )


def check_plugins(root: Node, plugins: Plugins) -> list[Problem]:
    """Names in the ``plugins`` section that nothing has."""
    known = plugins.names()
    hook_names = [name for name in vars(hooks) if name.startswith("ocppgw_")]
    problems: list[Problem] = []

    def check(name: str, line: int | None, path: str, what: str, names: list[str]) -> None:
        if name not in names:
            hint = near_miss(name, names) or f"; there are {', '.join(sorted(names))}"
            problems.append(Problem(line, path, f"there is no {what} `{name}`{hint}"))

    options = root.at("plugins", "options")
    if options is not None and isinstance(options.value, dict):
        for name in options.value:
            check(name, options.key_lines.get(name), "plugins.options", "plugin", known)
    order = root.at("plugins", "order")
    if order is not None and isinstance(order.value, dict):
        for hook in order.value:
            check(hook, order.key_lines.get(hook), "plugins.order", "hook", hook_names)
    return problems


def check_choices(root: Node, plugins: Plugins, base: Path) -> list[Problem]:
    """The options of the storage back end and of each PLC driver."""
    problems: list[Problem] = []

    def check(section: Node, key: str, default: str | None, path: str, known: Any) -> None:
        said = section.at(key)
        name = said.value if said is not None else default
        if not isinstance(section.value, dict) or not isinstance(name, str):
            return
        if name not in known:
            line = said.line if said is not None else section.line
            there = ", ".join(sorted(known)) or "none"
            hint = near_miss(name, known) or f"; there are {there}; install the plugin that has it"
            text = f"no plugin offers `{name}`{hint}{plugins.failures()}"
            problems.append(Problem(line, f"{path}.{key}", text))
            return
        reader = Reader(base=base)
        reader.read(section, known[name].options_type, path, without=(key,))
        problems.extend(reader.problems)

    storage = root.at("storage")
    backends = plugins.storage_backends()
    if storage is not None:
        check(storage, "backend", LOCAL_STORE, "storage", backends)
    boxes = root.at("charge_boxes")
    if boxes is not None and LOCAL_STORE not in backends:
        message = f"need the storage back end `{LOCAL_STORE}` for their state{plugins.failures()}"
        problems.append(Problem(root.key_lines.get("charge_boxes"), "charge_boxes", message))
    drivers = plugins.plc_drivers()
    for index, box in enumerate(boxes.value if boxes and isinstance(boxes.value, tuple) else ()):
        plc = box.at("plc")
        if plc is not None:
            check(plc, "driver", None, f"charge_boxes[{index}].plc", drivers)
    return problems


def check_whole(root: Node, settings: Settings) -> list[Problem]:
    """What only shows when sections are seen together."""
    problems = []
    if settings.central_system is None and not settings.charge_boxes:
        message = "nothing to do: there is neither `central_system` nor `charge_boxes`"
        problems.append(Problem(root.line, "", message))
    if settings.central_system is not None and settings.storage is None:
        line = root.key_lines.get("central_system")
        problems.append(Problem(line, "central_system", "needs a `storage` section"))
    seen: dict[tuple[str, object], str] = {}
    for index, box in enumerate(settings.charge_boxes):
        for key, value in (("identity", box.identity), ("state", box.state)):
            path = f"charge_boxes[{index}].{key}"
            first = seen.setdefault((key, value), path)
            if first != path:
                node = root.at("charge_boxes", index, key)
                line = node.line if node else None
                problems.append(Problem(line, path, f"`{value}` is taken by {first}"))
    return problems
