"""The gateway as a Twisted service."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred

from ocppgw.bridge import later, when_running
from ocppgw.errors import UserError
from ocppgw.hangup import Hangup
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)


class Startable(Protocol):
    """What has ports to bind, a start and an end that take time, and a configuration."""

    def bind(self) -> None: ...

    async def start(self) -> None: ...

    async def reload(self) -> object: ...

    async def stop(self) -> None: ...


class GatewayService(Service):
    """Binds before anything runs, starts on the reactor's first turn, stops in order.

    A start that fails late ends the process; ``exit_code`` is then 1, and plain twistd
    ends as if interrupted. SIGHUP has the configuration read again.
    """

    def __init__(self, gateway: Startable, reactor: ReactorBase) -> None:
        self.exit_code = 0
        self._gateway = gateway
        self._reactor = reactor
        self._starting: asyncio.Task[None] | None = None
        self._hangup: Hangup | None = None
        self._reload_wanted = False  # and has not begun
        self._reloading: asyncio.Task[None] | None = None

    def privilegedStartService(self) -> None:  # noqa: N802  Twisted's name
        """Binds the ports; raises ``UserError`` if one cannot be had."""
        self._gateway.bind()
        super().privilegedStartService()

    def startService(self) -> None:  # noqa: N802  Twisted's name
        super().startService()
        when_running(self._begin)

    def stopService(self) -> Deferred[None]:  # noqa: N802  Twisted's name
        super().stopService()
        return later(self._end())

    def _begin(self) -> None:
        if self.running:
            self._starting = asyncio.ensure_future(self._start())
            self._hangup = Hangup(self._reactor, self._begin_reload, self._terminal_gone)

    async def _start(self) -> None:
        try:
            await self._gateway.start()
        except (UserError, StorageError) as error:
            self._give_up(str(error))
        except Exception as error:  # noqa: BLE001  whatever it is, the process must not linger
            self._give_up(f"unexpected {type(error).__name__}", error)

    def _give_up(self, why: str, error: Exception | None = None) -> None:
        log.critical("the gateway could not start: %s", why, exc_info=error)
        self.exit_code = 1
        self._reactor.sigInt(signal.SIGINT)

    def _begin_reload(self) -> None:
        """However often it is asked for during a reload, one follows: it reads what is there."""
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.ensure_future(self._reload_while_wanted())

    async def _reload_while_wanted(self) -> None:
        if self._starting is not None:
            await asyncio.wait([self._starting])  # the file may have changed since it was read
        while self._reload_wanted:
            self._reload_wanted = False
            await self._reload()

    async def _reload(self) -> None:
        try:
            await self._gateway.reload()
        except UserError:
            return  # the gateway has told it
        except Exception:
            log.exception("the reload failed; restart the gateway")

    def _terminal_gone(self) -> None:
        log.info("the terminal is gone")
        self._reactor.sigTerm(signal.SIGTERM)

    async def _end(self) -> None:
        log.info("stopping; what is under way is finished first")
        if self._hangup is not None:
            self._hangup.forget()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._gateway.stop()
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
        log.info("stopped")
