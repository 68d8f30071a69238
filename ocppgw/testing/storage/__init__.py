"""Storage in tests: a store in memory, and the suite that every back end must pass.

A back end's tests hold::

    from ocppgw.testing.storage import StorageContract


    class TestMyStorage(StorageContract):
        @pytest.fixture
        def opener(self, tmp_path):
            async def open_store(collections):
                return await open_mine(MyOptions(path=tmp_path / "store"), collections)

            return open_store

The place must be empty at the first call of a test; a call after a close opens the
same one again. Run it with ``pytest --reactor=asyncio -p ocppgw.testing.pytest_plugin``.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("guards", "projections", "kinds", "queries", "life"))
)

from ocppgw.testing.storage.guards import GuardContract  # noqa: E402 (after the rewrite)
from ocppgw.testing.storage.kinds import KindContract  # noqa: E402
from ocppgw.testing.storage.life import LifeContract  # noqa: E402
from ocppgw.testing.storage.memory import MemoryContents, MemoryStorage  # noqa: E402
from ocppgw.testing.storage.projections import ProjectionContract  # noqa: E402
from ocppgw.testing.storage.queries import QueryContract  # noqa: E402


class StorageContract(GuardContract, ProjectionContract, KindContract, QueryContract, LifeContract):
    """Every property of :mod:`ocppgw.storage` that callers rely on."""


__all__ = ["MemoryContents", "MemoryStorage", "StorageContract"]
