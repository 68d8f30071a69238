"""The objects that hooks and handlers of a charge box are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.configuration import Configuration
from ocppgw.chargepoint.operations import Operations
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.tags import Tags
from ocppgw.clock import Clock
from ocppgw.link.base import Peer, Unreachable
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Version
from ocppgw.plc.base import Command, Driver
from ocppgw.storage.base import Storage

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class OptionsOf(Protocol):
    """Where the options of plugins come from."""

    def __call__(self, plugin: str, options_type: type[OptionsT], /) -> OptionsT: ...


class BoxContext:
    """One charge box for hooks: a :class:`ocppgw.chargepoint.context.ChargePointContext`.

    The built-in handlers, and nobody else, know that there is more to it.
    """

    def __init__(
        self,
        settings: ChargeBoxSettings,
        *,
        version: Version,
        storage: Storage,
        clock: Clock,
        driver: Driver,
        central: Peer,
        boot: Boot,
        options: OptionsOf,
        operations: Operations,
        configuration: Configuration,
        tags: Tags,
        announce: Callable[[str, Request], Awaitable[None]],
    ) -> None:
        self.identity = settings.identity
        self.version = version
        self.connectors = settings.connectors
        self.storage = storage
        self.clock = clock
        self.operations = operations
        self.configuration = configuration
        self.tags = tags
        self.announce = announce
        self._deadlines = settings.deadlines
        self._call_deadline = settings.central_system.deadline
        self._driver = driver
        self._central = central
        self._boot = boot
        self._options = options

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        return self._options(plugin, options_type)

    async def execute(self, command: Command, deadline: float | None = None) -> None:
        await self._driver.execute(command, deadline or self._deadlines.command)

    async def call(self, request: Request, deadline: float | None = None) -> Response:
        if not self._boot.accepted:
            error = Unreachable(f"the central system has not accepted {self.identity} yet")
            error.delivered = False
            raise error
        return await self._central.call(request, deadline or self._call_deadline)


class BoxCall(msgspec.Struct, kw_only=True):
    """One call of the central system (:class:`ocppgw.chargepoint.context.ChargePointCall`)."""

    identity: str
    version: Version
    received_at: datetime
    remote_address: str
    box: Any
