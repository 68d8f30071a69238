"""What handlers, authorizers and hooks of the central system are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from ocppgw.central.command import PendingCommand
from ocppgw.clock import Clock
from ocppgw.ocpp.model import IdTagInfo, Request, Response
from ocppgw.ocpp.operations import Version
from ocppgw.storage.base import Change, Document, Projection, Storage

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)
RequestT = TypeVar("RequestT", bound=Request)


class CentralContext(Protocol):
    """The central system, as hooks see it at start-up and may keep."""

    storage: Storage
    clock: Clock

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration (``plugins.options.<plugin>``)."""

    async def call(self, identity: str, request: Request, deadline: float) -> Response:
        """Sends a command to a station; raises ``ocppgw.link.PeerError`` if it fails, or
        ``ocppgw.storage.StorageError``, before it is sent, if the store is away."""

    async def call_later(
        self, identity: str, request: Request, keep: timedelta, *, now: bool = True
    ) -> PendingCommand:
        """Sends a command; if it certainly did not get through, it is sent again after the
        station's next message, until ``keep`` (at most 30 days) is over.

        With ``now=False`` it is not tried at once, which is for handlers: their station waits
        for an answer, and that message counts as the next one. Gives what has become
        of it so far. Raises ``ocppgw.link.NoEndpoint`` for a station that is not known or not
        accepted, ``ocppgw.errors.UserError`` if it cannot be kept.
        """


class Purpose(Enum):
    """Why an authorizer is asked."""

    AUTHORIZE = "authorize"
    START = "start"
    STOP = "stop"


class AuthorizeContext(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of a tag; ``connector_id`` is known for a start only."""

    identity: str
    version: Version
    purpose: Purpose
    at: datetime
    connector_id: int | None = None


class CentralCall(Protocol):
    """One call of a station, as its handlers see it."""

    identity: str
    version: Version
    received_at: datetime
    remote_address: str
    storage: Storage
    clock: Clock

    @property
    def station(self) -> Document:
        """The station's document (O-12), read only."""

    def also(self, *changes: Projection) -> None:
        """Adds to what is committed with this call, by whichever handler answers it."""

    async def commit(self, *changes: Change) -> None:
        """Makes these changes and all of ``also`` durable, now."""

    def later(self, change: Projection) -> None:
        """Stores a change soon, without making the station wait (Heartbeat)."""

    async def authorize(
        self, id_tag: str, purpose: Purpose, connector_id: int | None = None
    ) -> IdTagInfo:
        """What the authorizers say of a tag; Invalid if none knows it."""


CentralHandler: TypeAlias = Callable[[RequestT, CentralCall], Awaitable[Response | None]]
AnyCentralHandler: TypeAlias = CentralHandler[Any]
