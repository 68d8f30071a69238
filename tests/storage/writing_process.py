"""A process that writes as fast as it can and says what was acknowledged; it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ocppgw.storage import Collection, Ensure, Insert
from ocppgw.storage.file import FileOptions, open_file

STARTS = Collection("starts", ("writer", "number"), ("at",))
JOURNAL = Collection("journal", ("id",))


async def main(path: Path) -> None:
    storage = await open_file(FileOptions(path=path), [STARTS, JOURNAL])

    async def write(writer: int) -> None:
        for number in range(1_000_000):
            document = {"writer": writer, "number": number, "text": "x" * 300}
            await storage.commit(
                Insert(STARTS, document, f"{writer}/{number}"),
                Ensure(JOURNAL, {"id": f"{writer}/{number}"}),
            )
            sys.stdout.write(f"{writer} {number}\n")
            sys.stdout.flush()

    await asyncio.gather(*(write(writer) for writer in range(16)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
