"""What hooks and handlers of the central system are given, as it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from ocppgw.central.command import PendingCommand
from ocppgw.central.context import AuthorizeContext, Purpose
from ocppgw.central.core import Core
from ocppgw.central.station import Station
from ocppgw.ocpp.model import IdTagInfo, Request, Response
from ocppgw.ocpp.operations import Version
from ocppgw.storage.base import Change, Document, Projection

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class Options(Protocol):
    """``CentralContext.options``: a plugin's section of the configuration."""

    def __call__(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """Raises ``ocppgw.errors.UserError`` for a section that is wrong."""


class CallLater(Protocol):
    """``CentralSystem.call_later``, as hooks may use it."""

    async def __call__(
        self, identity: str, request: Request, keep: timedelta, *, now: bool = True
    ) -> PendingCommand: ...


class StationCall:
    """One call of a station: the :class:`~ocppgw.central.context.CentralCall` of its handlers.

    ``record`` is for the built-in handlers alone.
    """

    __slots__ = (
        "_also",
        "_core",
        "clock",
        "identity",
        "received_at",
        "record",
        "remote_address",
        "storage",
        "version",
    )

    def __init__(
        self,
        core: Core,
        record: Station,
        version: Version,
        received_at: datetime,
        remote_address: str,
    ) -> None:
        self.identity = record.identity
        self.version = version
        self.received_at = received_at
        self.remote_address = remote_address
        self.storage = core.storage
        self.clock = core.clock
        self.record = record
        self._core = core
        self._also: list[Projection] = []

    @property
    def station(self) -> Document:
        """The station's document (O-12), a copy."""
        return self.record.document()

    def also(self, *changes: Projection) -> None:
        """Adds to what is committed with this call."""
        self._also += changes

    async def commit(self, *changes: Change) -> None:
        """Makes these changes and all of ``also`` durable, now."""
        await self._core.storage.commit(*changes, *self._also)
        self._also.clear()

    async def finish(self) -> None:
        """Makes durable what was added after the last commit."""
        if self._also:
            await self.commit()

    def later(self, change: Projection) -> None:
        """Stores a change soon, without making the station wait."""
        self._core.later.add(change)

    async def authorize(
        self, id_tag: str, purpose: Purpose, connector_id: int | None = None
    ) -> IdTagInfo:
        """What the authorizers say of a tag; Invalid if none knows it."""
        context = AuthorizeContext(
            identity=self.identity,
            version=self.version,
            purpose=purpose,
            at=self.received_at,
            connector_id=connector_id,
        )
        return await self._core.authorize(id_tag, context)


class HookContext:
    """The :class:`~ocppgw.central.context.CentralContext` that hooks are given.

    ``core`` is for the built-in plugin alone, and no part of what plugins may rely on.
    """

    def __init__(
        self,
        core: Core,
        options: Options,
        call: Callable[[str, Request, float], Awaitable[Response]],
        call_later: CallLater,
    ) -> None:
        self.core = core
        self.storage = core.storage
        self.clock = core.clock
        self._options = options
        self._call = call
        self._call_later = call_later

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration."""
        return self._options(plugin, options_type)

    async def call(self, identity: str, request: Request, deadline: float) -> Response:
        """Sends a command to a station; raises ``ocppgw.link.PeerError`` if it fails."""
        return await self._call(identity, request, deadline)

    async def call_later(
        self, identity: str, request: Request, keep: timedelta, *, now: bool = True
    ) -> PendingCommand:
        """Sends a command, ``now`` or, until ``keep`` is over, after the station's next message."""
        return await self._call_later(identity, request, keep, now=now)
