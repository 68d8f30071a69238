"""Transactions: started once, whatever is repeated or comes out of order.

A transaction's id follows from its start key (DESIGN: the id is an HMAC over secret, start
key and attempt), so that the store's Insert decides who is first and every repeat finds the
same id. A MessageID plays no part: stations repeat those at will (Q19).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from ocppgw.central.context import CentralCall
from ocppgw.central.ids import digest, transaction_id
from ocppgw.central.plausible import clock_fault
from ocppgw.central.running import ACTIVE, STOPPED, UNSTARTED, RunningTransactions
from ocppgw.central.schema import TRANSACTION
from ocppgw.central.settings import CentralSettings
from ocppgw.central.stops import ended
from ocppgw.ocpp.model import IdTagInfo, StartTransactionRequest
from ocppgw.storage.base import (
    Change,
    Conflict,
    Document,
    Insert,
    Projection,
    Put,
    Storage,
    StorageError,
    Update,
)

ATTEMPTS = 32
"""Ids tried for one start; each but the first is a coincidence of one in 2^31."""


class Transactions:
    """Starts and finds transactions. ``secret`` is set before the first start.

    ``begun`` is told of a start that is stored where another transaction was known to run.
    """

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        running: RunningTransactions,
        *,
        new_commit_id: Callable[[], str],
        begun: Callable[[Document], Awaitable[None]],
    ) -> None:
        self.secret = b""
        self._settings = settings
        self._storage = storage
        self._new_commit_id = new_commit_id
        self._running = running
        self._begun = begun

    async def load(self) -> None:
        """Takes up the transactions that were running when we stopped."""
        for document in await self._storage.find(
            TRANSACTION, {"state": ACTIVE}, order_by="receivedAt"
        ):
            self._running.remember(document)

    # Start

    async def start(
        self, call: CentralCall, request: StartTransactionRequest, info: IdTagInfo
    ) -> int:
        """Records a start and gives its id; durable when it returns.

        The same start again gives the same id and changes nothing; it is told by its
        start key (station, connector, tag, timestamp, meter). A key that comes again
        after its transaction has stopped is a new session if the station's clock cannot
        be believed, since then nothing else tells two sessions apart.
        """
        key = digest(
            "start",
            call.identity,
            request.connector_id,
            request.id_tag.casefold(),
            request.timestamp,
            request.meter_start,
        )
        document = self._started(call, request, info, key)
        attempt = 0
        first: int | None = None  # the id of the key's first session, if this is a later one
        for _ in range(ATTEMPTS):
            number = transaction_id(self.secret, key, attempt)
            document |= {"transactionId": number, "attempt": attempt}
            if number == 0:
                attempt += 1
                continue
            try:
                await call.commit(*self._inserts(document, first))
            except Conflict as conflict:
                taken = conflict.current or {}
            else:
                await self._recorded(document)
                return number
            if taken.get("startKey") == key:
                if taken["state"] == ACTIVE or not document.get("suspect"):
                    if taken["state"] == ACTIVE:  # what it closes may not be closed yet
                        await self._recorded(taken)
                    return number
                first = first or number
                attempt = max(attempt + 1, taken.get("latestAttempt", 0))
            elif taken.get("state") == UNSTARTED and taken["chargeBoxIdentity"] == call.identity:
                if await self._joined(call, document, taken):
                    await self._recorded(document | {"state": STOPPED})
                    return number
            else:
                attempt += 1
        raise StorageError(f"no transaction id found in {ATTEMPTS} attempts")

    async def _recorded(self, document: Document) -> None:
        """Looks into the store only where another one is known to run; a sweep does the rest."""
        place = document["chargeBoxIdentity"], document["connectorId"]
        beside = self._running.on_connector(*place)
        self._running.remember(document)
        if beside is not None and beside.transaction_id != document["transactionId"]:
            await self._begun(document)

    def _started(
        self, call: CentralCall, request: StartTransactionRequest, info: IdTagInfo, key: str
    ) -> Document:
        document: Document = {
            "idTag": request.id_tag,
            "chargeBoxIdentity": call.identity,
            "connectorId": request.connector_id,
            "meterStart": request.meter_start,
            "timestamp": request.timestamp,
            "receivedAt": call.received_at,
            "state": ACTIVE,
            "startKey": key,
            "authorization": info.status.value,
        }
        if request.reservation_id is not None:
            document["reservationId"] = request.reservation_id
        fault = clock_fault(request.timestamp, call.received_at, self._settings.clock_tolerance)
        if fault is not None:
            document["suspect"] = [fault]
        return document

    def _inserts(self, document: Document, first: int | None) -> list[Change]:
        """The start and, at the key's first session, the word that there is a later one,
        so that the latest of many is found at once."""
        changes: list[Change] = [Insert(TRANSACTION, document, self._new_commit_id())]
        if first is not None:
            latest = document["attempt"]
            changes.append(Put(TRANSACTION, (first,), {"latestAttempt": latest}, latest, "latest"))
        return changes

    async def _joined(self, call: CentralCall, document: Document, stop: Document) -> bool:
        """Completes a stop that came before its start."""
        fields = document | ended(document, stop["meterStop"], self._settings)
        fields["state"] = STOPPED
        del fields["transactionId"]
        expect = {"state": UNSTARTED}
        key = (stop["transactionId"],)
        resolved = () if "suspect" in fields else ("suspect",)
        change = Update(TRANSACTION, key, fields, expect, self._new_commit_id(), resolved)
        try:
            await call.commit(change)
        except Conflict:
            return False
        return True

    # Finding

    async def belonging(
        self, identity: str, number: int | None, connector_id: int, at: datetime
    ) -> tuple[int | None, bool]:
        """The transaction that meter values belong to, and whether it runs.

        By its id if that is not another station's; else, for ids that cannot be one
        (Q21) or none at all, the one running on that connector since before ``at``.
        """
        if number is not None and number > 0:
            running = self._running.get(number)
            if running is not None:
                if running.identity == identity:
                    return number, True
            else:
                known = await self._storage.get(TRANSACTION, (number,))
                if known is None or known["chargeBoxIdentity"] == identity:
                    return number, known is not None and known["state"] == ACTIVE
        here = self._running.on_connector(identity, connector_id)
        if here is not None and here.started_at <= at:
            return here.transaction_id, True
        return None, False

    def reading(self, number: int, energy: float, at: datetime, version: int) -> Projection:
        """The last meter value of a running transaction, for its document."""
        return Put(
            TRANSACTION, (number,), {"lastMeter": energy, "lastMeterAt": at}, version, "meter"
        )
