"""What was acknowledged is on the disk: killed, full, away."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocppgw.storage import Collection, Ensure, Insert, Storage, StorageError, StorageUnavailable
from ocppgw.storage.file import FileOptions, open_file

STARTS = Collection("starts", ("writer", "number"), ("at",))
JOURNAL = Collection("journal", ("id",))


async def fill(storage: Storage) -> tuple[list[int], StorageUnavailable]:
    """Writes until that fails; what was stored, and the failure."""
    stored: list[int] = []
    try:
        while True:
            document = {"writer": 1, "number": len(stored), "text": "x" * 5000}
            await storage.commit(Insert(STARTS, document, str(len(stored))))
            stored.append(len(stored))
    except StorageUnavailable as error:
        return stored, error


async def test_killed_under_load_everything_acknowledged_is_stored(
    tmp_path: Path, writing: Any
) -> None:
    acknowledged: list[tuple[int, int]] = []
    for path in (tmp_path / "1.db", tmp_path / "2.db", tmp_path / "3.db"):
        with writing(path) as process:
            lines = [process.stdout.readline() for _ in range(500)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
            assert process.wait() == -signal.SIGKILL
        whole = [line.split() for line in lines if line.endswith("\n")]
        acknowledged = [(int(writer), int(number)) for writer, number in whole]
        assert len(acknowledged) >= 500

        storage = await open_file(FileOptions(path=path), [STARTS, JOURNAL])
        stored = {(d["writer"], d["number"]) for d in await storage.find(STARTS)}
        journal = {d["id"] for d in await storage.find(JOURNAL)}
        await storage.close()
        assert set(acknowledged) <= stored
        assert journal == {f"{writer}/{number}" for writer, number in stored}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_loses_nothing_and_ends(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 500_000)
    storage = await open_file(FileOptions(path=small_disk / "x.db"), [STARTS])
    stored, error = await fill(storage)
    assert "the disk is full" in str(error)
    refused = len(stored)
    assert refused > 10
    outcomes = await asyncio.gather(
        *(
            storage.commit(Ensure(STARTS, {"writer": 2, "number": n, "text": "x" * 50_000}))
            for n in range(10)
        ),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}

    # Reading goes on, and writing when there is space again.
    assert [d["number"] for d in await storage.find(STARTS)] == stored
    filler.unlink()
    await storage.commit(Insert(STARTS, {"writer": 1, "number": refused}, "again"))
    await storage.close()
    storage = await open_file(FileOptions(path=small_disk / "x.db"), [STARTS])
    assert [d["number"] for d in await storage.find(STARTS)] == [*stored, refused]
    await storage.close()


async def test_a_file_that_may_not_grow_fails_and_recovers(tmp_path: Path) -> None:
    storage = await open_file(FileOptions(path=tmp_path / "x.db"), [STARTS])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        stored, error = await fill(storage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error).startswith(f"{tmp_path}/x.db: ")
    await storage.commit(Ensure(STARTS, {"writer": 1, "number": len(stored)}))
    assert [d["number"] for d in await storage.find(STARTS)] == [*stored, len(stored)]
    await storage.close()


async def test_a_full_disk_at_the_start_is_said(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * (1024 * 1024 - 4096))
    with pytest.raises(StorageError, match="disk"):
        await open_file(FileOptions(path=small_disk / "x.db"), [STARTS])
