"""Our own back ends keep the contract that others are held to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ocppgw.storage import Collection, Storage
from ocppgw.storage.file import FileOptions, open_file
from ocppgw.testing.storage import MemoryContents, MemoryStorage, StorageContract
from ocppgw.testing.storage.shared import Opener


class TestFile(StorageContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        async def open_store(collections: Sequence[Collection]) -> Storage:
            return await open_file(FileOptions(path=tmp_path / "var" / "x.db"), collections)

        return open_store


class TestMemory(StorageContract):
    @pytest.fixture
    def opener(self) -> Opener:
        contents = MemoryContents()

        async def open_store(collections: Sequence[Collection]) -> Storage:
            return MemoryStorage(collections, contents=contents)

        return open_store
