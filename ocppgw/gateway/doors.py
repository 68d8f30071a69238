"""The listeners of a gateway: bound before anything runs, and moved while it runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocppgw.bridge import at_once
from ocppgw.errors import UserError
from ocppgw.gateway.files import digests_of_endpoint
from ocppgw.gateway.parts import GRACE, Ground
from ocppgw.net.base import HttpHandler
from ocppgw.net.server import Listener, listen
from ocppgw.net.settings import HttpLimits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where a listener is to be. Two are equal if nothing has changed, certificates
    included."""

    listen: str
    limits: HttpLimits
    files: Mapping[Path, str]


def address(listen: str, limits: HttpLimits) -> Address:
    """The address as the configuration names it, with its certificates as they are now."""
    return Address(listen, limits, digests_of_endpoint(listen))


class Door:
    """A listener of a section of the configuration file, and who answers behind it."""

    def __init__(self, section: str, ground: Ground, handler: HttpHandler) -> None:
        self.section = section
        self.address: Address | None = None
        self._ground = ground
        self._handler = handler
        self._listener: Listener | None = None

    @property
    def listener(self) -> Listener:
        """The listener; from :meth:`bind` on there is one, though it may be closed by now."""
        assert self._listener is not None
        return self._listener

    def bind(self, where: Address) -> None:
        """Binds it, before anything runs, too. Raises ``UserError``."""
        self._listener = at_once(self._bound(where))
        self.address = where

    def open(self) -> None:
        """Takes requests from now on."""
        self.listener.open()
        self._tell()

    async def close(self) -> None:
        """Stops listening; what is in flight is finished first. May be called again."""
        if self._listener is not None:
            await self._listener.stop(GRACE)

    async def move(self, where: Address) -> None:
        """Listens there instead. Raises ``UserError``, and then is where it was.

        The new address is had before the old one is given up, unless they are one.
        """
        old, before = self.listener, self.address
        try:
            new = await self._bound(where)
        except UserError:
            if before is None or not _may_be_one(before.listen, where.listen):
                raise
            new = await self._instead(old, before, where)
        self._listener, self.address = new, where
        new.open()
        self._tell()
        await old.stop(GRACE)

    async def _instead(self, old: Listener, before: Address, where: Address) -> Listener:
        """The new listener, for which the old one had to give its address up."""
        await old.unbind()
        self.address = None  # nothing that a later reload could take for the one it wants
        try:
            return await self._bound(where)
        except UserError:
            self._listener, self.address = await self._bound(before), before
            self._listener.open()
            await old.stop(GRACE)
            raise

    async def _bound(self, where: Address) -> Listener:
        try:
            return await listen(self._ground.reactor, where.listen, self._handler, where.limits)
        except UserError as error:
            where_told = f"{self._ground.path}: {self.section}.listen"
            raise UserError(f"{where_told}: {error}") from error

    def _tell(self) -> None:
        log.info(
            "%s listens at %s port %d", self.section, self.listener.address, self.listener.port
        )


def _may_be_one(one: str, other: str) -> bool:
    """Whether two endpoint strings may stand for the same address: a port, or a path."""
    ports = [set(re.findall(r":(\d+)(?=:|$)", description)) for description in (one, other)]
    return one == other or bool(ports[0] & ports[1])
