"""What an operator sees: stations, transactions, notifications, meter values."""

from __future__ import annotations

from typing import Any

from ocppgw.central.commands import Commands
from ocppgw.central.core import Core
from ocppgw.central.metervalues import samples_of
from ocppgw.central.running import ACTIVE
from ocppgw.central.schema import CONNECTOR, METERVALUES, NOTIFICATION, STATION, TRANSACTION
from ocppgw.central.station import Connector, Registration
from ocppgw.errors import UserError
from ocppgw.ocpp.model import MeterValue
from ocppgw.storage.base import Conflict, Document, Update


class Views:
    """Reads the store for people; documents as O-12 has them, and what is known besides."""

    def __init__(self, core: Core, commands: Commands) -> None:
        self._core = core
        self._storage = core.storage
        self._commands = commands

    async def stations(self, registration: Registration | None = None) -> list[Document]:
        """All stations by identity, or those with one registration (pending, say).

        To each document come its connectors in full (with connector 0), ``lastSeen`` to the
        second, the ``endpoint`` commands go to, and ``reachability`` {state, since, why}.
        """
        documents = {d["chargeBoxIdentity"]: d for d in await self._storage.find(STATION)}
        for identity in self._core.settings.stations:
            documents.setdefault(identity, {"chargeBoxIdentity": identity})
        connectors: dict[str, list[Document]] = {}
        for connector in await self._storage.find(CONNECTOR):
            connectors.setdefault(connector["chargeBoxIdentity"], []).append(connector)
        views = [
            self._station(document, connectors.get(identity, []))
            for identity, document in sorted(documents.items())
        ]
        if registration is None:
            return views
        return [view for view in views if view["registration"] == registration.value]

    async def station(self, identity: str) -> Document | None:
        """One station, as in :meth:`stations`."""
        identity = self._core.stations.canonical(identity)
        document = await self._storage.get(STATION, (identity,))
        if document is None and identity not in self._core.settings.stations:
            return None
        connectors = await self._storage.find(CONNECTOR, {"chargeBoxIdentity": identity})
        return self._station(document or {"chargeBoxIdentity": identity}, connectors)

    def _station(self, document: Document, connectors: list[Document]) -> Document:
        identity: str = document["chargeBoxIdentity"]
        known = self._core.stations.known(identity)
        if known is not None:
            document = document | known.document()
        settings = self._core.settings.stations.get(identity)
        if settings is not None:
            document["registration"] = Registration.CONFIGURED.value
            if settings.endpoint is not None:
                document["endpoint"] = settings.endpoint
        document.setdefault("registration", Registration.ACCEPTED.value)
        by_id = {c["id"]: c for c in document.get("connectors", ())}
        by_id |= {c["id"]: _connector(c) for c in connectors}
        document["connectors"] = [by_id[number] for number in sorted(by_id)]
        reach = self._commands.reachability(identity, document.get("endpoint"))
        document["reachability"] = {"state": reach.state.value, "why": reach.why}
        if reach.since is not None:
            document["reachability"]["since"] = reach.since
        return document

    async def transactions(
        self,
        identity: str | None = None,
        *,
        running: bool = False,
        limit: int = 100,
        after: Document | None = None,
    ) -> list[Document]:
        """The newest transactions first: of a station, those that run, or all."""
        where: dict[str, Any] = {}
        if identity is not None:
            where["chargeBoxIdentity"] = self._core.stations.canonical(identity)
        if running:
            where["state"] = ACTIVE
        return await self._storage.find(
            TRANSACTION, where, order_by="receivedAt", descending=True, limit=limit, after=after
        )

    async def transaction(self, number: int) -> Document | None:
        """One transaction."""
        return await self._storage.get(TRANSACTION, (number,))

    async def meter_values(self, number: int) -> list[MeterValue]:
        """All values of a transaction, those of the stop included, in the order of time, and
        of their receipt within one second."""
        documents = await self._storage.find(METERVALUES, {"transactionId": number})
        documents.sort(key=lambda document: document["receivedAt"])
        values = [value for document in documents for value in samples_of(document)]
        return sorted(values, key=lambda value: value.timestamp)

    async def notifications(
        self, *, unread: bool = False, identity: str | None = None, limit: int = 100
    ) -> list[Document]:
        """The newest notifications first."""
        where: dict[str, Any] = {"unread": True} if unread else {}
        if identity is not None:
            where["station.chargeBoxIdentity"] = self._core.stations.canonical(identity)
        return await self._storage.find(
            NOTIFICATION, where, order_by="receivedAt", descending=True, limit=limit
        )

    async def mark_read(self, notification: str) -> None:
        """Takes a notification off the unread ones; UserError if there is none."""
        change = Update(
            NOTIFICATION, (notification,), {"unread": False}, {}, self._core.new_commit_id()
        )
        try:
            await self._storage.commit(change)
        except Conflict:
            raise UserError(f"there is no notification {notification}") from None


def _connector(document: Document) -> Document:
    """A connector in full, with the status as shown."""
    return document | Connector(document["id"], document).summary()
