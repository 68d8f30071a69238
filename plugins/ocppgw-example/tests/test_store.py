"""The back end keeps the contract: the suite that ocppgw ships says so."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ocppgw.storage import Collection, Ensure, Storage, StorageUnavailable
from ocppgw.testing.storage import StorageContract
from ocppgw.testing.storage.shared import Opener
from ocppgw_example.store import Options, open_memory


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        """A memory of its own for each test."""

        async def open_store(collections: Sequence[Collection]) -> Storage:
            return await open_memory(Options(name=str(tmp_path)), collections)

        return open_store


async def test_a_full_store_says_so_and_stores_nothing(tmp_path: Path) -> None:
    notes = Collection("notes", ("name",))
    store = await open_memory(Options(name=str(tmp_path), capacity=1), [notes])
    await store.commit(Ensure(notes, {"name": "first"}))

    with pytest.raises(StorageUnavailable, match="full: 1"):
        await store.commit(Ensure(notes, {"name": "second"}))

    assert [note["name"] async for note in store.scan(notes)] == ["first"]
