"""``ocppgw pending``: the commands that wait for their station, and what became of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from ocppgw.cli.check import FILE
from ocppgw.cli.send import control_socket
from ocppgw.web.client import ControlClient


@click.command()
@click.argument("identity", required=False)
@click.option("--cancel", type=click.IntRange(min=1), help="Take back the command of that number.")
@click.option("--limit", default=100, show_default=True, help="How many to show at most.")
@click.option("--config", type=FILE, help="The configuration file of the running gateway.")
@click.option("--socket", type=FILE, help="The control socket of the running gateway.")
def pending(
    identity: str | None,
    cancel: int | None,
    limit: int,
    config: Path | None,
    socket: Path | None,
) -> None:
    """Show the commands sent with `send --later`, the newest first.

    With IDENTITY only those of that station. A command is waiting, sending, done, refused by
    the station, failed, expired, cancelled, or unknown: it was sent, but no answer came; it
    is not sent again.
    """
    client = ControlClient(control_socket(config, socket))
    if cancel is not None:
        client.call("POST", f"/api/pending/{cancel}/cancel")
        click.echo(f"command {cancel} is cancelled")
        return
    query = {"limit": str(limit)} | ({"station": identity} if identity is not None else {})
    commands = client.call("GET", f"/api/pending?{urlencode(query)}")
    for command in commands:
        click.echo(_line(command))
    if not commands:
        click.echo("no commands")


def _line(command: dict[str, Any]) -> str:
    said = " ".join(f"{key}={_short(value)}" for key, value in command["request"].items())
    name = f"{command['operation']} {said}".rstrip()
    over = "endedAt" in command
    when = f"ended {command['endedAt']}" if over else f"until {command['until']}"
    who = f", by {command['by']}" if "by" in command else ""
    place = command["chargeBoxIdentity"]
    line = f"{command['number']:>5}  {command['state']:<9}  {place}  {name}  ({when}{who})"
    answer = command.get("response")
    if answer:
        line += f" {_short(answer.get('status', answer))}"
    return f"{line}: {command['reason']}" if "reason" in command else line


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
