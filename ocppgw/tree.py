"""What a user wrote, before it is typed: values that know their line.

YAML files and JSON bodies both become such a tree; :mod:`ocppgw.typed` turns it into
settings or messages and collects every :class:`Problem` on the way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ocppgw.errors import UserError


class Node(msgspec.Struct, frozen=True):
    """A scalar, a tuple of nodes, or a mapping of nodes, with its line (from 1).

    ``raw`` is a scalar's text as written; a ``secret`` is never shown. What is ``broken``
    could not be read, and its problem has been told already. The keys of a mapping are
    text; ``key_values`` has what YAML makes of those that look like something else.
    """

    value: Any
    line: int | None = None
    raw: str | None = None
    secret: bool = False
    broken: bool = False
    key_lines: Mapping[str, int] = {}
    key_values: Mapping[str, Any] = {}

    def at(self, *steps: str | int) -> Node | None:
        """The node down there, ``None`` if there is none."""
        node: Node | None = self
        for step in steps:
            if node is None:
                return None
            if isinstance(step, str):
                node = node.value.get(step) if isinstance(node.value, dict) else None
            else:
                inside = isinstance(node.value, tuple) and step < len(node.value)
                node = node.value[step] if inside else None
        return node

    def nearest(self, *steps: str | int) -> Node:
        """The node down there, or the last one that there is on the way."""
        node = self
        for step in steps:
            below = node.at(step)
            if below is None:
                break
            node = below
        return node

    def shown(self) -> str:
        """The value as an error message quotes it."""
        if self.secret:
            return "a value that is not shown"
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, tuple):
            return "a list"
        if self.value is None:
            return "nothing"
        text = self.raw if self.raw is not None else str(self.value)
        text = text if len(text) <= 60 else text[:57] + "..."
        return f'"{text}"' if isinstance(self.value, str) else text

    def plain(self) -> Any:
        """The value as plain dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


def from_plain(value: object) -> Node:
    """The tree of a decoded JSON value."""
    if isinstance(value, Mapping):
        return Node({str(key): from_plain(entry) for key, entry in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Node(tuple(from_plain(entry) for entry in value))
    return Node(value)


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong: where, and a sentence."""

    line: int | None
    path: str
    message: str

    def told(self, source: str) -> str:
        place = source if self.line is None else f"{source}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ProblemsError(UserError):
    """Everything that is wrong with one file or body, a line each."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(problem.told(source) for problem in self.problems))


def joined(path: str, step: str | int) -> str:
    """The path one step further down: ``charge_boxes[0].identity``."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


def camel(name: str) -> str:
    """A field's name as the wire and JSON spell it: ``idTag`` for ``id_tag``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def near_miss(name: str, known: Iterable[str]) -> str:
    """``"; did you mean `backend`?"``, or nothing."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[close[0]]}`?" if close else ""
