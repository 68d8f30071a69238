"""What the simulated PLC saw and did, for people and for tests."""

from __future__ import annotations

from typing import Any

import msgspec

STEPS = frozenset({"raised", "finished", "asked", "closed"})
"""Steps of a hand-shake before and after the one that tells what came of it."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    ``event`` is a word to look for ("raised", "acknowledged", "asked", "answered",
    "charging", …), ``about`` the hand-shake or command it belongs to ("start",
    "remote_start"; empty for the connector's own states), ``details`` its fields, and
    ``text`` the same in plain words. ``at`` is in simulated seconds since the start.
    """

    at: float
    event: str
    connector: int = 0
    about: str = ""
    details: dict[str, Any] = {}
    text: str = ""

    @property
    def is_step(self) -> bool:
        """Whether it is a mere step of a hand-shake: of an event the word that it was
        acknowledged is enough, of a command whether it was accepted."""
        return bool(self.about) and self.event in STEPS
