"""``ocppgw reload``: the running gateway reads its configuration file again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ocppgw.cli.check import FILE
from ocppgw.cli.send import control_socket
from ocppgw.web.client import ControlClient

FAILED = 1  # exit code
NEEDS_RESTART = 3  # exit code


@click.command()
@click.option("--config", type=FILE, help="The configuration file of the running gateway.")
@click.option("--socket", type=FILE, help="The control socket of the running gateway.")
def reload(config: Path | None, socket: Path | None) -> None:
    """Have the running gateway read its configuration file again.

    What has changed is put in force, and only what has changed is restarted; no session
    ends by that. A file with mistakes changes nothing. The gateway is found as by
    `ocppgw send`.

    The exit code is 0 when all of the file is in force, 3 when something of it needs a
    restart of the gateway, 1 when the file is wrong or something could not be done.
    """
    told = ControlClient(control_socket(config, socket)).call("POST", "/api/reload")
    for each in (*told["done"], *told["restart"]):
        click.echo(each)
    for each in told["failed"]:
        click.echo(each, err=True)
    if not any(told.values()):
        click.echo("nothing has changed")
    sys.exit(FAILED if told["failed"] else NEEDS_RESTART if told["restart"] else 0)
