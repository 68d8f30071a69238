"""The handlers of each operation, asked one after another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec

from ocppgw.central.calls import StationCall
from ocppgw.central.context import AnyCentralHandler
from ocppgw.central.core import is_built_in
from ocppgw.central.seldom import Seldom
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, by_request
from ocppgw.storage.base import StorageError

LOG = logging.getLogger(__name__)


class Link(msgspec.Struct, frozen=True):
    """One handler, and whose it is."""

    plugin: str
    handler: AnyCentralHandler
    built_in: bool


class Chain:
    """Runs the handlers of a request's type until one answers.

    Third-party handlers have ``deadline`` seconds each. What they raise, but for faults and
    storage errors, and what they answer wrongly becomes an InternalError fault and one log
    entry that names the plugin.
    """

    def __init__(
        self,
        handlers: Mapping[type[Request], Sequence[tuple[str, AnyCentralHandler]]],
        deadline: float,
        seldom: Seldom,
    ) -> None:
        self._links = {
            request: tuple(Link(name, handler, is_built_in(handler)) for name, handler in chain)
            for request, chain in handlers.items()
        }
        self._deadline = deadline
        self._seldom = seldom

    async def run(self, request: Request, call: StationCall) -> Response:
        """The first answer; raises :class:`Fault` or ``StorageError`` if there is none."""
        for link in self._links.get(type(request), ()):
            if link.built_in:
                response = await link.handler(request, call)
            else:
                response = await self._guarded(link, request, call)
            if response is not None:
                return response
        raise Fault.not_supported(f"no plugin answers {type(request).__name__}")

    async def _guarded(self, link: Link, request: Request, call: StationCall) -> Response | None:
        expected = by_request(Direction.TO_CENTRAL_SYSTEM, type(request)).response
        try:
            async with asyncio.timeout(self._deadline):
                response = await link.handler(request, call)
        except (Fault, StorageError):
            raise
        except Exception as e:
            if self._seldom(f"handler {link.plugin} {expected.__name__}"):
                LOG.exception(
                    "plugin %s: its handler of %s failed", link.plugin, type(request).__name__
                )
            raise Fault.internal_error(f"plugin {link.plugin} failed: {e!r}") from e
        if response is not None and type(response) is not expected:
            if self._seldom(f"answer {link.plugin} {expected.__name__}"):
                LOG.error(
                    "plugin %s: its handler of %s must return %s or None, not %s",
                    link.plugin,
                    type(request).__name__,
                    expected.__name__,
                    type(response).__name__,
                )
            raise Fault.internal_error(f"plugin {link.plugin} gave a wrong answer")
        return response
