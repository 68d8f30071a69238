"""Runs the gateway as a process: in the foreground, or as a daemon by twistd's machinery."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast

import click
from twisted.application import service
from twisted.internet import asyncioreactor
from twisted.internet.base import ReactorBase
from twisted.internet.task import LoopingCall
from twisted.scripts._twistd_unix import ServerOptions, UnixApplicationRunner

from ocppgw import logs
from ocppgw.ending import leave_at_last
from ocppgw.errors import UserError
from ocppgw.service import GatewayService
from ocppgw.systemd import ALIVE, Notify, notifier, silent, watchdog

PIPE = 4096  # bytes that a pipe takes in one piece


def install_reactor() -> ReactorBase:
    """Makes Twisted run on asyncio; must come before anything imports the reactor."""
    if "twisted.internet.reactor" not in sys.modules:
        asyncioreactor.install(asyncio.new_event_loop())
    from twisted.internet import reactor

    if not isinstance(reactor, asyncioreactor.AsyncioSelectorReactor):
        raise UserError(
            f"the gateway needs Twisted's asyncio reactor, but {type(reactor).__name__} is"
            " installed; with twistd, add --reactor=asyncio"
        )
    return cast("ReactorBase", reactor)


def make_service(
    file: Path,
    kind: type[GatewayService] = GatewayService,
    *,
    log_level: str | None = None,
    notify: Notify = silent,
) -> GatewayService:
    """The service of a configuration file; raises ``UserError`` if anything is wrong with it.

    ``log_level`` goes before the file's; ``notify`` tells a service manager.
    """
    reactor = install_reactor()
    from ocppgw import config, gateway  # plugins may import the reactor, so not before

    configuration, plugins = config.load(file)
    logs.set_level(log_level or configuration.settings.logging.level)
    made = gateway.Gateway(
        configuration,
        plugins,
        reactor,
        set_level=logs.set_level if log_level is None else None,
        notify=notify,
    )
    return kind(made, reactor)


def foreground(file: Path, *, log_level: str | None = None) -> int:
    """Runs until SIGTERM or SIGINT; the exit code. ``log_level`` goes before the file's."""
    logs.to_console()
    reactor = install_reactor()
    notify = notifier()
    gateway = make_service(file, log_level=log_level, notify=notify)
    gateway.privilegedStartService()
    gateway.startService()
    reactor.addSystemEventTrigger("before", "shutdown", gateway.stopService)
    reactor.addSystemEventTrigger("before", "shutdown", _leave_at_last)
    if (interval := watchdog()) is not None:
        LoopingCall(notify, ALIVE).start(interval)
    reactor.run()
    return gateway.exit_code


def background(file: Path, *, pid_file: Path, log_file: Path) -> int:
    """Runs as a daemon; returns in the parent when the ports are bound, with its exit code."""
    logs.to_twisted()
    gateway = make_service(file)
    options: Any = DaemonOptions()
    options.parseOptions(
        [
            "--no_save",
            f"--pidfile={pid_file.absolute()}",
            f"--logfile={log_file.absolute()}",
        ]
    )
    install_reactor().addSystemEventTrigger("before", "shutdown", _leave_at_last)
    Daemon(options, gateway).run()
    return gateway.exit_code


def _leave_at_last() -> None:
    leave_at_last()


class DaemonOptions(ServerOptions):
    """twistd's options, without its search for service makers: we have ours."""

    subCommands: list[Any] = []  # noqa: N815, RUF012  Twisted's name


class Daemon(UnixApplicationRunner):
    """twistd's runner with our service, telling in whole sentences why it did not start."""

    def __init__(self, options: ServerOptions, gateway: GatewayService) -> None:
        super().__init__(options)
        self._gateway = gateway

    def preApplication(self) -> None:  # noqa: N802  Twisted's name
        try:
            super().preApplication()
        except SystemExit as error:
            raise UserError(
                f"{self.config['pidfile']}: a gateway runs already with this pid file;"
                " stop it, or name other files with --pid-file and --log-file"
            ) from error

    def createOrGetApplication(self) -> Any:  # noqa: N802  Twisted's name
        application = service.Application("ocppgw")
        self._gateway.setServiceParent(service.IServiceCollection(application))
        return application

    def _formatChildException(self, exception: Exception) -> bytes:  # noqa: N802
        # twistd does this only after it has told the parent, who may be looked at by then
        self.removePID(self.config["pidfile"])
        self.config["pidfile"] = ""
        return f"1 {exception}".encode()[:PIPE]

    def _waitForStart(self, readPipe: int) -> int:  # noqa: N802, N803
        said = os.read(readPipe, PIPE)
        if said == b"0":
            return 0
        # sys.stderr is the log file by now
        click.echo(said[2:].decode(errors="replace"), file=sys.__stderr__)
        return 1
