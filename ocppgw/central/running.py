"""The transactions that run, at hand: which one a connector is charging for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import reduce

import msgspec

from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.storage.base import Document

ACTIVE = "active"
STOPPED = "stopped"
UNSTARTED = "unstarted"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """When a transaction began: by the station's clock, and by ours when we were told."""

    said: datetime
    received: datetime
    believed: bool
    meter: int
    transaction_id: int

    @classmethod
    def of(cls, start: Document) -> Begun:
        """The start of a transaction that has not ended: what is suspect of it is its clock."""
        return cls(
            said=start["timestamp"],
            received=start["receivedAt"],
            believed=not start.get("suspect"),
            meter=start["meterStart"],
            transaction_id=start["transactionId"],
        )

    def before(self, other: Begun) -> bool:
        """Whether this one began earlier; by receipt where a clock cannot be believed.

        Of two at the same moment one is the earlier for everybody who asks.
        """
        if self.believed and other.believed and self.said != other.said:
            return self.said < other.said
        mine = self.received, self.meter, self.transaction_id
        return mine < (other.received, other.meter, other.transaction_id)


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that runs, as far as it is needed at hand."""

    transaction_id: int
    identity: str
    connector_id: int
    id_tag_key: str
    authorized: bool
    started_at: datetime
    begun: Begun


def newest(starts: Iterable[Document]) -> Document:
    """The transaction that began last."""
    return reduce(lambda a, b: a if Begun.of(b).before(Begun.of(a)) else b, starts)


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

    def numbers(self) -> frozenset[int]:
        """The ids of those that are remembered."""
        return frozenset(self._by_id)

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
        """Takes up a transaction if it runs and none that began later is at its connector."""
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
            begun=Begun.of(document),
        )
        place = (running.identity, connector_id)
        before = self._by_place.get(place)
        if before is not None:
            if running.begun.before(before.begun):
                return
            self._by_id.pop(before.transaction_id, None)
        self._by_place[place] = self._by_id[running.transaction_id] = running

    def forget(self, number: int) -> None:
        """A transaction has stopped."""
        running = self._by_id.pop(number, None)
        if running is not None:
            place = (running.identity, running.connector_id)
            if self._by_place.get(place) is running:
                del self._by_place[place]

    def refresh(self, stored: Iterable[Document], before: frozenset[int]) -> None:
        """Brings the memory up to what other processes have stored.

        ``before`` is :meth:`numbers` from before ``stored`` was read: what began or ended
        here in between is newer than that.
        """
        active = {document["transactionId"]: document for document in stored}
        for number in before - active.keys():
            self.forget(number)
        for number, document in active.items():
            if number not in before:
                self.remember(document)
