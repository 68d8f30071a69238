"""How transactions end: by the station's word, once, whatever is repeated or comes early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from ocppgw.central.context import CentralCall
from ocppgw.central.ids import digest, transaction_id
from ocppgw.central.plausible import clock_fault, energy_fault
from ocppgw.central.running import ACTIVE, STOPPED, UNSTARTED, RunningTransactions
from ocppgw.central.schema import STOP, TRANSACTION
from ocppgw.central.settings import CentralSettings
from ocppgw.ocpp.model import StopTransactionRequest
from ocppgw.storage.base import Conflict, Document, Ensure, Insert, Storage, StorageError, Update


class Rule(Enum):
    """Why a transaction was ended without the station's word; its field ``synthetic``."""

    NEW_START = "new start"
    AVAILABLE = "available"


class Stops:
    """Records stops. ``secret`` is set before the first one."""

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        running: RunningTransactions,
        *,
        new_commit_id: Callable[[], str],
    ) -> None:
        self.secret = b""
        self._settings = settings
        self._storage = storage
        self._running = running
        self._new_commit_id = new_commit_id

    async def stop(self, call: CentralCall, request: StopTransactionRequest) -> Document:
        """Records a stop and gives its transaction; durable when it returns.

        A second stop changes nothing (Q19), but the first true one replaces an end that a
        rule made. One whose id is not a transaction of this station is linked by tag and
        time (Q21), or, where that is not unambiguous, stored as a transaction whose start
        is not known; it never touches another station's.
        """
        number = request.transaction_id
        known = await self._storage.get(TRANSACTION, (number,)) if number > 0 else None
        if known is not None and known["chargeBoxIdentity"] == call.identity:
            return await self._close(call, request, known)
        return await self._stop_of_unknown(call, request, taken=known is not None)

    async def _close(
        self, call: CentralCall, request: StopTransactionRequest, known: Document
    ) -> Document:
        """Every turn but the last finds that somebody else got in first: a rule, or a repeat
        that another process took."""
        number = known["transactionId"]
        while (expect := _still_open(known)) is not None:
            fields = _stopped(call, request) | ended(known, request.meter_stop, self._settings)
            fields["state"] = STOPPED
            remove = ["synthetic"] if "synthetic" in known else []
            if "suspect" in known and "suspect" not in fields:
                remove.append("suspect")  # the rule was all that was wrong with it
            change = Update(
                TRANSACTION,
                (number,),
                fields,
                expect | {"chargeBoxIdentity": call.identity},
                self._new_commit_id(),
                tuple(remove),
            )
            try:
                await call.commit(change)
            except Conflict as conflict:
                if conflict.current is None:
                    raise
                known = conflict.current
            else:
                known = {k: v for k, v in known.items() if k not in remove} | fields
                break
        self._running.forget(number)
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
        """The one transaction without a true end that the stop can belong to."""
        running = await self._storage.find(
            TRANSACTION, {"chargeBoxIdentity": identity, "state": ACTIVE}
        )
        possible = _fitting(running, request)
        if request.id_tag is not None:
            same_tag = _of_tag(possible, request.id_tag)
            if not same_tag:
                same_tag = _of_tag(await self._ended_by_rule(identity, request), request.id_tag)
            # an id above 0 may be that of a start which has not come yet: only its own tag
            possible = same_tag if same_tag or request.transaction_id > 0 else possible
        return possible[0] if len(possible) == 1 else None

    async def _ended_by_rule(
        self, identity: str, request: StopTransactionRequest
    ) -> list[Document]:
        found: list[Document] = []
        for rule in Rule:
            where = {"chargeBoxIdentity": identity, "synthetic": rule.value}
            found += await self._storage.find(TRANSACTION, where)
        return _fitting(found, request)

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


def _still_open(known: Document) -> Document | None:
    """What a true stop finds there if it may end the transaction; ``None`` if one has."""
    if known["state"] == ACTIVE:
        return {"state": ACTIVE}
    if "synthetic" in known:
        return {"synthetic": known["synthetic"]}
    return None


def _fitting(documents: Sequence[Document], request: StopTransactionRequest) -> list[Document]:
    return [
        document
        for document in documents
        if document["timestamp"] <= request.timestamp
        and document["meterStart"] <= request.meter_stop
    ]


def _of_tag(documents: Sequence[Document], id_tag: str) -> list[Document]:
    return [d for d in documents if d["idTag"].casefold() == id_tag.casefold()]


def ended(
    start: Document, meter_stop: int, settings: CentralSettings, why: str | None = None
) -> Document:
    """What an end adds to a start: the energy, and why not to believe it (``why`` first)."""
    energy = meter_stop - start["meterStart"]
    faults = [
        clock_fault(start["timestamp"], start["receivedAt"], settings.clock_tolerance),
        why,
        energy_fault(energy, settings.max_session_energy),
    ]
    fields: Document = {"energy": energy, "meterStop": meter_stop}
    suspect = [fault for fault in faults if fault is not None]
    return fields | {"suspect": suspect} if suspect else fields


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
