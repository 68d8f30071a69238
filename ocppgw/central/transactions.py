"""Transactions: started once, stopped once, whatever is repeated or comes out of order.

A transaction's id follows from its start key (DESIGN: the id is an HMAC over secret, start
key and attempt), so that the store's Insert decides who is first and every repeat finds the
same id. A MessageID plays no part: stations repeat those at will (Q19).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ocppgw.central.context import CentralCall
from ocppgw.central.ids import digest, transaction_id
from ocppgw.central.plausible import clock_fault, energy_fault
from ocppgw.central.running import ACTIVE, STOPPED, UNSTARTED, RunningTransactions
from ocppgw.central.schema import STOP, TRANSACTION
from ocppgw.central.settings import CentralSettings
from ocppgw.ocpp.model import IdTagInfo, StartTransactionRequest, StopTransactionRequest
from ocppgw.storage.base import (
    Change,
    Conflict,
    Document,
    Ensure,
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
    """Starts, stops and finds transactions. ``secret`` is set before the first start."""

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        *,
        new_commit_id: Callable[[], str],
    ) -> None:
        self.secret = b""
        self._settings = settings
        self._storage = storage
        self._new_commit_id = new_commit_id
        self.running = RunningTransactions(settings.max_connectors)

    async def load(self) -> None:
        """Takes up the transactions that were running when we stopped."""
        for document in await self._storage.find(
            TRANSACTION, {"state": ACTIVE}, order_by="receivedAt"
        ):
            self.running.remember(document)

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
                self.running.remember(document)
                return number
            if taken.get("startKey") == key:
                if taken["state"] == ACTIVE or not document.get("suspect"):
                    self.running.remember(taken)
                    return number
                first = first or number
                attempt = max(attempt + 1, taken.get("latestAttempt", 0))
            elif taken.get("state") == UNSTARTED and taken["chargeBoxIdentity"] == call.identity:
                if await self._joined(call, document, taken):
                    return number
            else:
                attempt += 1
        raise StorageError(f"no transaction id found in {ATTEMPTS} attempts")

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
        fields = document | self._ended(document, stop["meterStop"]) | {"state": STOPPED}
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

    # Stop

    async def stop(self, call: CentralCall, request: StopTransactionRequest) -> Document:
        """Records a stop and gives its transaction; durable when it returns.

        A second stop changes nothing (Q19). One whose id is not a transaction of this
        station is linked by tag and time (Q21), or, where that is not unambiguous, stored
        as a transaction whose start is not known; it never touches another station's.
        """
        number = request.transaction_id
        known = await self._storage.get(TRANSACTION, (number,)) if number > 0 else None
        if known is not None and known["chargeBoxIdentity"] == call.identity:
            return await self._close(call, request, known)
        return await self._stop_of_unknown(call, request, taken=known is not None)

    async def _close(
        self, call: CentralCall, request: StopTransactionRequest, known: Document
    ) -> Document:
        number = known["transactionId"]
        if known["state"] == ACTIVE:
            fields = _stopped(call, request) | self._ended(known, request.meter_stop)
            fields["state"] = STOPPED
            expect = {"state": ACTIVE, "chargeBoxIdentity": call.identity}
            change = Update(TRANSACTION, (number,), fields, expect, self._new_commit_id())
            try:
                await call.commit(change)
            except Conflict as conflict:
                # stopped by a repeat that another process took
                known = conflict.current or known
            else:
                known = known | fields
        self.running.forget(number)
        return known

    async def _stop_of_unknown(
        self, call: CentralCall, request: StopTransactionRequest, *, taken: bool
    ) -> Document:
        number = request.transaction_id
        identified: tuple[Any, ...] = (number,)
        if number <= 0:
            identified = (request.id_tag, request.timestamp, request.meter_stop)
        key = digest("stop", call.identity, *identified)
        given_to = await self._storage.get(STOP, (key,))
        apart = transaction_id(self.secret, key, 0)
        if given_to is None:
            linked = await self._linked(call.identity, request)
            if linked is not None:
                number = linked["transactionId"]
            elif number <= 0 or taken:
                number = apart
            given_to = {"id": key, "transactionId": number}
            await self._storage.commit(Ensure(STOP, given_to))
        for candidate in (given_to["transactionId"], apart):
            known = await self._storage.get(TRANSACTION, (candidate,))
            if known is None:
                known = await self._alone(call, request, candidate)
            if known["chargeBoxIdentity"] == call.identity:
                return await self._close(call, request, known)
        raise StorageError(f"no id found for a stop of {call.identity}")

    async def _linked(self, identity: str, request: StopTransactionRequest) -> Document | None:
        """The one running transaction that the stop can belong to."""
        running = await self._storage.find(
            TRANSACTION, {"chargeBoxIdentity": identity, "state": ACTIVE}
        )
        possible = [
            document
            for document in running
            if document["timestamp"] <= request.timestamp
            and document["meterStart"] <= request.meter_stop
        ]
        if request.id_tag is not None:
            tag = request.id_tag.casefold()
            same_tag = [d for d in possible if d["idTag"].casefold() == tag]
            # an id above 0 may be that of a start which has not come yet: only its own tag
            possible = same_tag if same_tag or request.transaction_id > 0 else possible
        return possible[0] if len(possible) == 1 else None

    async def _alone(
        self, call: CentralCall, request: StopTransactionRequest, number: int
    ) -> Document:
        """Stores a stop whose start is not known (yet); gives what has that id then."""
        document = _stopped(call, request) | {
            "transactionId": number,
            "chargeBoxIdentity": call.identity,
            "receivedAt": call.received_at,
            "state": UNSTARTED,
            "suspect": ["the start of this transaction is not known"],
        }
        if request.id_tag is not None:
            document["idTag"] = request.id_tag
        try:
            await call.commit(Insert(TRANSACTION, document, self._new_commit_id()))
        except Conflict as conflict:
            if conflict.current is None:
                raise
            return conflict.current  # it has come just now
        return document

    def _ended(self, start: Document, meter_stop: int) -> Document:
        """What an end adds to a start: the energy, and why not to believe it."""
        energy = meter_stop - start["meterStart"]
        fields: Document = {"energy": energy, "meterStop": meter_stop}
        fault = energy_fault(energy, self._settings.max_session_energy)
        if fault is not None:
            fields["suspect"] = [*start.get("suspect", ()), fault]
        return fields

    # Finding

    async def belonging(
        self, identity: str, number: int | None, connector_id: int, at: datetime
    ) -> tuple[int | None, bool]:
        """The transaction that meter values belong to, and whether it runs.

        By its id if that is not another station's; else, for ids that cannot be one
        (Q21) or none at all, the one running on that connector since before ``at``.
        """
        if number is not None and number > 0:
            running = self.running.get(number)
            if running is not None:
                if running.identity == identity:
                    return number, True
            else:
                known = await self._storage.get(TRANSACTION, (number,))
                if known is None or known["chargeBoxIdentity"] == identity:
                    return number, known is not None and known["state"] == ACTIVE
        here = self.running.on_connector(identity, connector_id)
        if here is not None and here.started_at <= at:
            return here.transaction_id, True
        return None, False

    def reading(self, number: int, energy: float, at: datetime, version: int) -> Projection:
        """The last meter value of a running transaction, for its document."""
        return Put(
            TRANSACTION, (number,), {"lastMeter": energy, "lastMeterAt": at}, version, "meter"
        )


def _stopped(call: CentralCall, request: StopTransactionRequest) -> Document:
    document: Document = {
        "meterStop": request.meter_stop,
        "stopTimestamp": request.timestamp,
        "stopReceivedAt": call.received_at,
    }
    if request.id_tag is not None:
        document["stopIdTag"] = request.id_tag
    if request.reason is not None:
        document["reason"] = request.reason.value
    return document
