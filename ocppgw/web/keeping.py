"""What may be done to a running gateway itself: reload, backup, restore."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ocppgw.storage.backup import Manifest


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of reading the configuration file again; each a sentence.

    ``restart`` is what counts from the next start on only, ``failed`` what still runs
    with its old settings, or not at all. All empty: nothing has changed.
    """

    done: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class Keeping(Protocol):
    """What may be done to a running gateway; one thing at a time, each to its end."""

    async def reload(self) -> Reloaded:
        """Reads the configuration file again and puts in force what has changed.

        Raises ``UserError`` with everything that is wrong with the file; nothing has
        changed then.
        """

    async def backup(self, target: Path, by: str | None = None) -> Manifest:
        """Writes all stores that are files into a new archive. Raises ``StorageError``.

        ``by`` is who wants it, for the log.
        """

    async def restore(self, source: Path, only: Sequence[str]) -> Sequence[str]:
        """Puts stores of an archive back, all of them or those named; gives their names.

        Raises ``UserError`` or ``StorageError``.
        """
