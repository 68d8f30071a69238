"""The tags that the central system has judged, remembered for the time without it."""

from __future__ import annotations

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.ocpp.model import IdTagInfo


class TagCache:
    """Tags learned from the answers to Authorize, StartTransaction and StopTransaction."""

    def __init__(self, ledger: Ledger, *, longest: int) -> None:
        self._ledger = ledger
        self._longest = longest

    async def load(self) -> None:
        """Learns from the store what was remembered."""

    def get(self, id_tag: str) -> IdTagInfo | None:
        """What the central system last said of a tag, expired or not."""
        return None

    async def clear(self) -> None:
        """Forgets all; durable when it returns."""
