"""What handlers and hooks of a charge box are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from ocppgw.clock import Clock
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Version
from ocppgw.plc.base import Command
from ocppgw.storage.base import Storage

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)
RequestT = TypeVar("RequestT", bound=Request)


class ChargePointContext(Protocol):
    """A charge box, as hooks see it at start-up and may keep."""

    identity: str
    version: Version
    connectors: int
    storage: Storage
    clock: Clock

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration (``plugins.options.<plugin>``)."""

    async def execute(self, command: Command, deadline: float | None = None) -> None:
        """Has the PLC do something; raises ``ocppgw.plc.PlcError`` if it is not done.

        ``deadline`` in seconds; ``None`` takes the configured one.
        """

    async def call(self, request: Request, deadline: float | None = None) -> Response:
        """Calls the central system in the immediate lane; raises ``ocppgw.link.PeerError``."""


class ChargePointCall(Protocol):
    """One call of the central system, as its handlers see it."""

    identity: str
    version: Version
    received_at: datetime
    remote_address: str
    box: ChargePointContext


ChargePointHandler: TypeAlias = Callable[[RequestT, ChargePointCall], Awaitable[Response | None]]
AnyChargePointHandler: TypeAlias = ChargePointHandler[Any]
