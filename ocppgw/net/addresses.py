"""The addresses in a configuration file: what nobody could listen at, or call."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ocppgw.errors import UserError
from ocppgw.net import binding
from ocppgw.net.base import ConnectFailed
from ocppgw.net.urls import target_of
from ocppgw.tree import Node, Problem, joined


def check_addresses(root: Node, *, files: bool) -> list[Problem]:
    """What is wrong with the listeners and URLs of a file, as far as it shows without I/O;
    with ``files``, also with the certificates and keys that listeners name."""
    listener = functools.partial(binding.check, files=files)
    problems: list[Problem] = []
    for section in ("central_system", "charge_point_server"):
        problems += _checked(root, section, "listen", check=listener)
        problems += _checked(root, section, "public_url", check=_check_url)
    boxes = root.at("charge_boxes")
    for index in range(len(boxes.value) if boxes and isinstance(boxes.value, tuple) else 0):
        problems += _checked(root, "charge_boxes", index, "public_url", check=_check_url)
    return problems


def _check_url(url: str) -> None:
    """Raises ``UserError`` for a URL that nobody could call."""
    try:
        port = target_of(url).port
    except ConnectFailed as error:
        raise UserError(str(error)) from error
    if port == 0:
        raise UserError(
            f"nobody listens at port 0; a port is a number from 1 to {binding.LAST_PORT}"
        )


def _checked(root: Node, *steps: str | int, check: Callable[[str], None]) -> list[Problem]:
    said = root.at(*steps)
    text = None if said is None or said.broken else said.raw or said.value
    if said is None or not isinstance(text, str):
        return []
    try:
        check(text)
    except UserError as error:
        told = str(error).replace(repr(text), said.shown()) if said.secret else str(error)
        return [Problem(said.line, functools.reduce(joined, steps, ""), told)]
    return []
