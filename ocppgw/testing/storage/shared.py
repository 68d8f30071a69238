"""What the parts of the contract suite share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from ocppgw.storage.base import Collection, Storage

USERS = Collection(
    "contract_users", ("tag",), ("name", "age", "seen_at", "active", "home.city", "home.floor")
)
READINGS = Collection(
    "contract_readings",
    ("station", "number"),
    ("at", "state"),
    retention_field="at",
    retention=timedelta(days=30),
)
COLLECTIONS = (USERS, READINGS)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

Opener: TypeAlias = Callable[[Sequence[Collection]], Awaitable[Storage]]


class ContractBase:
    """What a subclass gives: the fixture ``opener``, a fresh place for each test."""

    @pytest.fixture
    def opener(self) -> Opener:
        """An async callable that opens the store, with those collections, at one place:
        called again after a close it finds what was stored."""
        raise AssertionError(f"{type(self).__name__} needs a fixture named opener")

    @asynccontextmanager
    async def opened(self, opener: Opener) -> AsyncIterator[Storage]:
        """An open store, closed at the end."""
        storage = await opener(COLLECTIONS)
        try:
            yield storage
        finally:
            await storage.close()
