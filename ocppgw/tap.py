"""The ``ocppgw`` subcommand of twistd: ``twistd -n --reactor=asyncio ocppgw FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.python import usage

from ocppgw import logs
from ocppgw.errors import UserError
from ocppgw.runner import make_service
from ocppgw.service import GatewayService


class Options(usage.Options):
    """One argument, the configuration file, which is checked before anything starts."""

    synopsis = "FILE"
    longdesc = "Runs the gateway of a configuration file. Needs --reactor=asyncio."

    def parseArgs(self, file: str) -> None:  # type: ignore[override]  # noqa: N802
        self["file"] = Path(file)

    def postOptions(self) -> None:  # noqa: N802  Twisted's name
        logs.to_twisted()
        try:
            self["service"] = make_service(self["file"], TwistdService)
        except UserError as error:
            raise usage.UsageError(str(error)) from error


class TwistdService(GatewayService):
    """Under plain twistd a port that cannot be bound is a sentence, too, not a traceback."""

    def privilegedStartService(self) -> None:  # noqa: N802  Twisted's name
        try:
            super().privilegedStartService()
        except UserError as error:
            sys.exit(str(error))


def makeService(options: Options) -> GatewayService:  # noqa: N802  twistd's name
    """The service that twistd runs."""
    made: GatewayService = options["service"]
    return made
