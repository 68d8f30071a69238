"""The device of the counting station: a folder with two small files for each connector.

``connector-1`` holds a tag while a car is there; somebody writes it and takes it away.
``connector-1.answer`` is what the station shows: an event's number and its answer.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Card(NamedTuple):
    """A tag as it lies there; the one that is put there next has another stamp."""

    tag: str
    stamp: int


NO_CARD = Card("", 0)


class Folder:
    """Reads and writes the files. What the disk refuses or has lost is an OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def make(self) -> None:
        """Makes the folder, unless it is there."""
        await asyncio.to_thread(self._path.mkdir, parents=True, exist_ok=True)

    async def cards(self) -> dict[int, Card]:
        """The card on each connector that has one."""
        return await asyncio.to_thread(self._cards)

    async def put_card(self, connector: int, tag: str) -> None:
        """Puts a card there; an empty tag takes it away."""
        await self._write(f"connector-{connector}", tag)

    async def show(self, connector: int, text: str) -> None:
        await self._write(f"connector-{connector}.answer", text)

    def _cards(self) -> dict[int, Card]:
        cards = {}
        for path in self._path.iterdir():
            name, _, number = path.name.partition("-")
            if name == "connector" and number.isdecimal():
                with suppress(FileNotFoundError):  # taken away this very moment
                    tag = path.read_text(encoding="ascii", errors="replace").strip()
                    cards[int(number)] = Card(tag, path.stat().st_mtime_ns) if tag else NO_CARD
        return cards

    async def _write(self, name: str, text: str) -> None:
        """All or nothing: a write that is cancelled while it waits has no effect."""
        new = self._path / f"{name}.new"
        await asyncio.to_thread(new.write_text, f"{text}\n", encoding="ascii")
        self._rename(new, name)

    def _rename(self, new: Path, name: str) -> None:
        new.replace(self._path / name)
