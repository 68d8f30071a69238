"""Every hook of ocppgw, on one page.

A plugin is a module (or object) with functions of these names, marked with
:data:`hookimpl` and announced under the entry-point group ``ocppgw``. Hooks are called
once, at start-up, on the reactor's thread: they *register*.
A hook that raises is named in one log line and its plugin's contribution left out;
the start fails only if the configuration needs what is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

if TYPE_CHECKING:
    import click
    from twisted.application.service import IService

    from ocppgw.central.context import AuthorizeContext, CentralContext, CentralHandler
    from ocppgw.chargepoint.context import ChargePointContext, ChargePointHandler
    from ocppgw.observe import GatewayContext, Observer
    from ocppgw.ocpp.model import IdTagInfo, Request
    from ocppgw.plc.base import PlcDriver
    from ocppgw.storage.base import StorageBackend

    Authorizer: TypeAlias = Callable[[str, AuthorizeContext], Awaitable[IdTagInfo | None]]

PROJECT = "ocppgw"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ocppgw_storage_backends() -> Sequence[StorageBackend]:  # type: ignore[empty-body]
    """The storage back ends that a configuration may name under ``storage.backend``."""


@hookspec
def ocppgw_plc_drivers() -> Sequence[PlcDriver]:  # type: ignore[empty-body]
    """The PLC drivers that a configuration may name under ``plc.driver``."""


@hookspec
def ocppgw_central_handlers(  # type: ignore[empty-body]
    central: CentralContext,
) -> Mapping[type[Request], CentralHandler[Any]]:
    """Handlers of what charge points send, by request type.

    A handler is ``async def handler(request, context) -> response | None``; ``None``
    passes the call to the next one. Third-party handlers come before built-in ones.
    An exception is answered as an InternalError fault and logged with the plugin's name;
    an ``ocppgw.ocpp.Fault`` is sent as it is.
    """


@hookspec
def ocppgw_charge_point_handlers(  # type: ignore[empty-body]
    box: ChargePointContext,
) -> Mapping[type[Request], ChargePointHandler[Any]]:
    """Handlers of what the central system sends to a charge box; called once a box."""


@hookspec
def ocppgw_authorizers(central: CentralContext) -> Sequence[Authorizer]:  # type: ignore[empty-body]
    """``async authorize(id_tag, context) -> IdTagInfo | None``; ``None``: not mine.

    Asked for Authorize, StartTransaction and StopTransaction alike, third-party ones
    first. An exception counts as ``None`` and is logged; a ``StorageError`` fails the call.
    """


@hookspec
def ocppgw_observers(gateway: GatewayContext) -> Sequence[Observer]:  # type: ignore[empty-body]
    """Callables that see every exchange and state change.

    Each has a task and a bounded queue of its own: a slow one loses the oldest
    (counted and logged), and delays nobody.
    """


@hookspec
def ocppgw_services(gateway: GatewayContext) -> Sequence[IService]:  # type: ignore[empty-body]
    """Twisted services that start before the charge boxes and stop after them."""


@hookspec
def ocppgw_commands(cli: click.Group) -> None:
    """Adds subcommands to the ``ocppgw`` command."""
