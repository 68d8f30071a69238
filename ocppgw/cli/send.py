"""``ocppgw send``: a command to a station, through the running gateway."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlencode

import click

from ocppgw.cli.check import FILE
from ocppgw.errors import UserError
from ocppgw.web.client import ControlClient, RefusedError

DEFAULT_SOCKETS = (Path("var/control.sock"), Path("/run/ocppgw/control.sock"))
REFUSED = 3  # exit code


@click.command(short_help="Send an OPERATION to the station IDENTITY.")
@click.argument("identity")
@click.argument("operation")
@click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--json",
    "file",
    type=click.File(),
    help="Take the fields from a JSON file, - for standard input.",
)
@click.option(
    "--later",
    metavar="TIME",
    help="If the station cannot be reached, keep the command for that time (30m, 2h, 1d) and"
    " send it right after the station's next message; `ocppgw pending` tells what became of it.",
)
@click.option(
    "--users",
    is_flag=True,
    help="With SendLocalList: the list is the central system's users who may charge.",
)
@click.option("--config", type=FILE, help="The configuration file of the running gateway.")
@click.option("--socket", type=FILE, help="The control socket of the running gateway.")
def send(
    identity: str,
    operation: str,
    fields: tuple[str, ...],
    file: TextIO | None,
    later: str | None,
    users: bool,
    config: Path | None,
    socket: Path | None,
) -> None:
    """Send an OPERATION to the station IDENTITY and show what it answers.

    Fields have the names of the specification, in any case (idTag=…). A list is JSON
    ([…]), or its key comes once for each entry. The gateway is found by --socket, --config, the
    environment variable OCPPGW_SOCKET, or at var/control.sock.

    The exit code is 0 when the station did it (or, with --later, the command is kept), 3
    when it refused, 1 when there is no answer.
    """
    body = _body(fields, file)
    client = ControlClient(control_socket(config, socket))
    path = f"/api/stations/{quote(identity, safe='')}/operations/{quote(operation, safe='')}"
    options = {"users": "true"} if users else {}
    if later is not None:
        options |= {"later": later, "by": who()}
    try:
        reply = client.call("POST", f"{path}?{urlencode(options)}" if options else path, body)
    except RefusedError as error:
        if later is None and error.may_wait:
            raise UserError(f"{error}; --later 1h would keep it until the station calls") from error
        raise
    click.echo(_told(reply))
    sys.exit(0 if reply["done"] or "pending" in reply else REFUSED)


def who() -> str:
    """Who gives the command; a container may run as a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _told(reply: dict[str, Any]) -> str:
    """The answer in a line, and what else it holds below."""
    if "pending" in reply:
        return f"{reply['operation']}: {_kept(reply['pending'])}"
    response = dict(reply["response"])
    words = _IN_WORDS.get(reply["operation"])
    if words is not None:
        line, below = words(response)
    else:
        line = response.pop("status", "answered")
        below = [json.dumps(response, indent=2)] if response else []
    if reply.get("explanation"):
        line += f": {reply['explanation']}"
    return "\n".join([f"{reply['operation']}: {line}", *below])


def _keys(response: dict[str, Any]) -> tuple[str, list[str]]:
    keys = response.get("configurationKey", [])
    below = [
        f"{key['key']} = {key.get('value', '')}{'  (read-only)' if key['readonly'] else ''}"
        for key in keys
    ]
    if "unknownKey" in response:
        below.append(f"not known: {', '.join(response['unknownKey'])}")
    return f"{len(keys)} key{'' if len(keys) == 1 else 's'}", below


# What has no status of its own; each gives the first line, and those below.
_IN_WORDS: dict[str, Callable[[dict[str, Any]], tuple[str, list[str]]]] = {
    "GetConfiguration": _keys,
    "GetDiagnostics": lambda response: (response.get("fileName", "there is no file"), []),
    "GetLocalListVersion": lambda response: (f"version {response['listVersion']}", []),
}


def _kept(command: dict[str, Any]) -> str:
    if command["state"] == "sending":
        return f"command {command['number']} is being sent; see `ocppgw pending`"
    why = f": {command['reason']}" if "reason" in command else ""
    return f"waits as command {command['number']} until {command['until']}{why}"


def _body(fields: tuple[str, ...], file: TextIO | None) -> Any:
    if file is not None:
        if fields:
            raise UserError("give the fields either as KEY=VALUE or with --json, not both")
        return _parsed(file.read(), file.name)
    body: dict[str, Any] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise UserError(f"`{field}`: expected KEY=VALUE, such as idTag=04A1B2C3")
        body[key] = [*_several(body[key]), value] if key in body else value
    return body


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{name}: not valid JSON: {error}") from error


def control_socket(config: Path | None, socket: Path | None) -> Path:
    """The control socket to use; ``UserError`` if none is known."""
    if socket is not None:
        return socket
    if config is not None:
        return _configured(config)
    if named := os.environ.get("OCPPGW_SOCKET"):
        return Path(named)
    for path in DEFAULT_SOCKETS:
        if path.exists():
            return path
    raise UserError(
        "no running gateway found: there is no"
        f" {' and no '.join(str(path) for path in DEFAULT_SOCKETS)}; start one with"
        " `ocppgw run FILE`, or say where it is with --config or --socket"
    )


def _configured(file: Path) -> Path:
    """The socket that a configuration file names; the rest of the file does not matter."""
    from ocppgw import yaml_lines
    from ocppgw.config import ControlSettings
    from ocppgw.tree import Node, ProblemsError
    from ocppgw.typed import Reader

    file = file.absolute()
    section = yaml_lines.load(file)[0].at("control")
    if section is None:
        raise UserError(f"{file}: has no `control` section, so its gateway takes no commands")
    reader = Reader(base=file.parent)
    settings = reader.read(section or Node({}), ControlSettings, "control")
    if reader.problems:
        raise ProblemsError(str(file), reader.problems)
    path: Path = settings.socket
    return path
