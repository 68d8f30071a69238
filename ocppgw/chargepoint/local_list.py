"""The local authorization list that the central system sends (O-26, O-32, O-38)."""

from __future__ import annotations

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.ocpp.enums import UpdateStatus
from ocppgw.ocpp.model import IdTagInfo, SendLocalListRequest


class LocalList:
    """What SendLocalList brought, tag by tag; tags compare without regard to case."""

    def __init__(self, ledger: Ledger, *, longest: int) -> None:
        self._ledger = ledger
        self._longest = longest
        self.version = 0

    async def load(self) -> None:
        """Learns the list from the store."""

    def get(self, id_tag: str) -> IdTagInfo | None:
        """What the list says of a tag, expired or not; ``None`` if it is not listed."""
        return None

    async def update(self, request: SendLocalListRequest) -> UpdateStatus:
        """Takes a full or differential list, whole or not at all; durable when it returns."""
        return UpdateStatus.NOT_SUPPORTED
