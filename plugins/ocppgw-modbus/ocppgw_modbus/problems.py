"""What is wrong with a map: all of it at once, each with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

from ocppgw.errors import UserError


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong: in which line, under which key, and what."""

    line: int
    path: str
    text: str


class MapError(UserError):
    """A register map that cannot be used; the message has one line for each problem."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.name = name
        self.problems = tuple(sorted(set(problems)))
        super().__init__(
            "\n".join(
                f"{name}:{p.line}: {p.path + ': ' if p.path else ''}{p.text}" for p in self.problems
            )
        )


def near_miss(word: str, known: Iterable[str]) -> str:
    """``", did you mean 'x'?"`` when a known word is close, else nothing."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f", did you mean {lowered[close[0]]!r}?" if close else ""
