"""Storage in tests: a store in memory, and the suite that every back end must pass."""

from ocppgw.testing.storage.memory import MemoryStorage

__all__ = ["MemoryStorage"]
