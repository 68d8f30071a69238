"""The transactions that run, at hand: which one a connector is charging for."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.storage.base import Document

ACTIVE = "active"
STOPPED = "stopped"
UNSTARTED = "unstarted"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that runs, as far as it is needed at hand."""

    transaction_id: int
    identity: str
    connector_id: int
    id_tag_key: str
    authorized: bool
    started_at: datetime


class RunningTransactions:
    """The newest running transaction of each connector, as this process knows them.

    A memory of what the store holds, to save looking there; the store decides.
    Connectors beyond ``highest`` are not remembered, so that a station that names any
    number fills nobody's memory.
    """

    def __init__(self, highest: int) -> None:
        self._highest = highest
        self._by_id: dict[int, Running] = {}
        self._by_place: dict[tuple[str, int], Running] = {}

    def get(self, number: int) -> Running | None:
        """The running transaction of that id, if it is remembered."""
        return self._by_id.get(number)

    def on_connector(self, identity: str, connector_id: int) -> Running | None:
        """What a connector is charging for."""
        return self._by_place.get((identity, connector_id))

    def elsewhere(self, id_tag: str, identity: str, connector_id: int | None) -> bool:
        """Whether a tag charges at any other place."""
        key, here = id_tag.casefold(), (identity, connector_id)
        return any(
            running.authorized and running.id_tag_key == key and place != here
            for place, running in self._by_place.items()
        )

    def remember(self, document: Document) -> None:
        """Takes up a transaction if it runs."""
        connector_id = document.get("connectorId", -1)
        if document["state"] != ACTIVE or not 0 <= connector_id <= self._highest:
            return
        running = Running(
            transaction_id=document["transactionId"],
            identity=document["chargeBoxIdentity"],
            connector_id=connector_id,
            id_tag_key=document["idTag"].casefold(),
            authorized=document.get("authorization") == AuthorizationStatus.ACCEPTED.value,
            started_at=document["timestamp"],
        )
        place = (running.identity, connector_id)
        before = self._by_place.get(place)
        if before is not None:
            self._by_id.pop(before.transaction_id, None)
        self._by_place[place] = self._by_id[running.transaction_id] = running

    def forget(self, number: int) -> None:
        """A transaction has stopped."""
        running = self._by_id.pop(number, None)
        if running is not None:
            place = (running.identity, running.connector_id)
            if self._by_place.get(place) is running:
                del self._by_place[place]
