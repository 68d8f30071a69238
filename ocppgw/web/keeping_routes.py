"""Routes of the control API that keep the gateway itself: reload, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from klein import Klein
from msgspec import Meta
from twisted.web.http import Request as WebRequest

from ocppgw.tree import from_plain
from ocppgw.typed import read
from ocppgw.web.answering import Begins, answering, body_of
from ocppgw.web.keeping import Keeping
from ocppgw.web.queries import by_of


class HasKeeping(Begins, Protocol):
    """What has these routes."""

    @property
    def keeping(self) -> Keeping: ...


class BackupOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /api/backup``."""

    target: Annotated[Path, Meta(description="The archive to be written; an absolute path.")]


class RestoreOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /api/restore``."""

    source: Annotated[Path, Meta(description="The archive; an absolute path.")]
    only: Annotated[
        tuple[str, ...], Meta(description="Names of stores; empty for all in the archive.")
    ] = ()


def add_keeping(app: Klein) -> None:
    """Adds the routes to an API."""

    @app.route("/api/reload", methods=["POST"])
    @answering
    async def reload(self: HasKeeping, request: WebRequest) -> Any:
        """What was done: ``{"done": […], "restart": […], "failed": […]}``."""
        reloaded = await self.keeping.reload()
        return {name: list(told) for name, told in msgspec.structs.asdict(reloaded).items()}

    @app.route("/api/backup", methods=["POST"])
    @answering
    async def backup(self: HasKeeping, request: WebRequest) -> Any:
        """Body: ``{"target": "/path/archive.tar"}``; answer: the archive's manifest.

        ``?by=`` says who wants it.
        """
        order = read(from_plain(body_of(request)), BackupOrder, source="backup")
        return msgspec.to_builtins(await self.keeping.backup(order.target, by_of(request)))

    @app.route("/api/restore", methods=["POST"])
    @answering
    async def restore(self: HasKeeping, request: WebRequest) -> Any:
        """Body: ``{"source": "/path/archive.tar", "only": […]}``; answer: ``{"stores": […]}``."""
        order = read(from_plain(body_of(request)), RestoreOrder, source="restore")
        return {"stores": list(await self.keeping.restore(order.source, order.only))}
