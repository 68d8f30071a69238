"""Transactions whose stop never came, closed by rule until it comes after all.

A transaction is closed when a later one starts on its connector, and when its connector has
been reported Available, since the start, for ``close_after_available`` seconds in which
neither another status nor a value of the transaction came: a charge box's newest status may
overtake what it has queued. That does not hold for connector 0, the whole station. Such an
end is marked ``synthetic`` with its rule. Values that come later move it to what they say;
the true StopTransaction replaces it (``stops``).

Nothing here is remembered. What a start could not close, a sweep closes, also that of
another process; an end that a station sends at the same moment wins by the store's guard.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from ocppgw.central.metervalues import energy_register, samples_of
from ocppgw.central.plausible import clock_fault
from ocppgw.central.running import ACTIVE, STOPPED, RunningTransactions, newest
from ocppgw.central.schema import CONNECTOR, METERVALUES, NOTIFICATION, TRANSACTION
from ocppgw.central.seldom import Seldom
from ocppgw.central.settings import CentralSettings
from ocppgw.central.stops import Rule, ended
from ocppgw.clock import Clock
from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.storage.base import Conflict, Document, Storage, StorageError, Update

LOG = logging.getLogger(__name__)

REPORTS = 100  # of a station's last notifications, how many tell since when it is Available
READINGS = 20  # of a transaction's last meter values, among how many an energy is looked for

_WHY = {
    Rule.NEW_START: "closed without a stop: another transaction started on its connector",
    Rule.AVAILABLE: "closed without a stop: its connector was reported Available",
}
_AVAILABLE = ChargePointStatus.AVAILABLE.value


class Zombies:
    """Closes what no longer runs. ``closed`` is told of each, with the document as closed,
    and again when its end has moved."""

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        clock: Clock,
        seldom: Seldom,
        running: RunningTransactions,
        *,
        new_commit_id: Callable[[], str],
        closed: Callable[[Document], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._seldom = seldom
        self._running = running
        self._new_commit_id = new_commit_id
        self._closed = closed

    async def begun(self, started: Document) -> None:
        """A transaction has started: what began before it on its connector has ended.

        Never raises ``StorageError``: the start is stored, and a sweep does the rest.
        """
        if started["connectorId"] < 1:
            return
        where = {"chargeBoxIdentity": started["chargeBoxIdentity"], "state": ACTIVE}
        try:
            active = await self._storage.find(TRANSACTION, where)
            here = [d for d in active if d["connectorId"] == started["connectorId"]]
            if here:
                await self._close_all_but(newest([*here, started]), here)
        except StorageError as e:
            if self._seldom("zombies"):
                LOG.warning("transactions without a stop are closed later, the store failed: %s", e)

    async def sweep(self) -> None:
        """Closes by both rules what is stored as running; raises ``StorageError``."""
        before = self._running.numbers()
        active = await self._storage.find(TRANSACTION, {"state": ACTIVE}, order_by="receivedAt")
        self._running.refresh(active, before)
        places: dict[tuple[str, int], list[Document]] = {}
        for document in active:
            place = document["chargeBoxIdentity"], document["connectorId"]
            if document["connectorId"] > 0:
                places.setdefault(place, []).append(document)
        for here in places.values():
            last = newest(here)
            await self._close_all_but(last, here)
            if self._settings.close_after_available:
                await self._close_if_available(last)

    async def _close_all_but(self, last: Document, here: list[Document]) -> None:
        for document in here:
            if document["transactionId"] != last["transactionId"]:
                await self._close(document, Rule.NEW_START, self._when(last))

    async def _close_if_available(self, document: Document) -> None:
        place = document["chargeBoxIdentity"], document["connectorId"]
        connector = await self._storage.get(CONNECTOR, place)
        if connector is None or connector.get("reported") != _AVAILABLE:
            return
        first = await self._first_available(document)
        if first is None:
            return
        heard = [value["receivedAt"] for value in await self._last_values(document)]
        quiet_since: datetime = max([first["receivedAt"], *heard])
        grace = timedelta(seconds=self._settings.close_after_available)
        if self._clock.now() - quiet_since >= grace:
            await self._close(document, Rule.AVAILABLE, self._when(first))

    async def _first_available(self, document: Document) -> Document | None:
        """The report since which the connector is Available, after the transaction's start."""
        reports = await self._storage.find(
            NOTIFICATION,
            {"station.chargeBoxIdentity": document["chargeBoxIdentity"]},
            order_by="receivedAt",
            descending=True,
            limit=REPORTS,
        )
        first = None
        for report in reports:
            if report.get("connectorId") != document["connectorId"]:
                continue
            if report["status"] != _AVAILABLE or not self._since(document, report):
                break
            first = report
        return first

    def _since(self, start: Document, report: Document) -> bool:
        """Whether a report is not older than a start; by receipt if a clock is not believed,
        or the report told no time (it has that of its receipt then, by our clock)."""
        said, received = report["timestamp"], report["receivedAt"]
        if said != received and self._believed(report) and "suspect" not in start:
            return bool(said >= start["timestamp"])
        return bool(received >= start["receivedAt"])

    def _believed(self, document: Document) -> bool:
        """Whether what it says of its time can be."""
        said, received = document["timestamp"], document["receivedAt"]
        return clock_fault(said, received, self._settings.clock_tolerance) is None

    def _when(self, document: Document) -> datetime:
        """When it was, by the station's clock if that can be."""
        at: datetime = document["timestamp" if self._believed(document) else "receivedAt"]
        return at

    async def _close(self, document: Document, rule: Rule, at: datetime) -> None:
        """Ends it with its last reading, or with the meter's start ``at`` that time."""
        reading = await self._last_reading(document) or (document["meterStart"], at)
        fields = self._end(document, rule, reading) | {
            "state": STOPPED,
            "synthetic": rule.value,
            "stopReceivedAt": self._clock.now(),
        }
        number = document["transactionId"]
        change = Update(TRANSACTION, (number,), fields, {"state": ACTIVE}, self._new_commit_id())
        try:
            await self._storage.commit(change)
        except Conflict:
            return  # it has just ended otherwise
        self._running.forget(number)
        await self._closed(document | fields)

    async def late(self, number: int) -> bool:
        """Values are stored of a transaction that is not known to run here; says if it does.

        If its end was made by a rule, it goes on to them.
        """
        document = await self._storage.get(TRANSACTION, (number,))
        while document is not None and "synthetic" in document:
            reading = await self._last_reading(document)
            ends = document["meterStop"], document["stopTimestamp"]
            if reading is None or reading == ends:
                return False
            rule = Rule(document["synthetic"])
            fields = self._end(document, rule, reading)
            change = Update(
                TRANSACTION,
                (number,),
                fields,
                {"synthetic": rule.value, "meterStop": ends[0], "stopTimestamp": ends[1]},
                self._new_commit_id(),
            )
            try:
                await self._storage.commit(change)
            except Conflict as conflict:
                document = conflict.current
            else:
                await self._closed(document | fields)
                return False
        return document is not None and document["state"] == ACTIVE

    def _end(self, document: Document, rule: Rule, reading: tuple[int, datetime]) -> Document:
        meter, at = reading
        return ended(document, meter, self._settings, _WHY[rule]) | {"stopTimestamp": at}

    async def _last_reading(self, document: Document) -> tuple[int, datetime] | None:
        """The energy register, in Wh, when it was last read for the transaction."""
        for value in await self._last_values(document):
            reading = energy_register(samples_of(value))
            if reading is not None and reading[0] >= document["meterStart"]:
                at = value["receivedAt"] if "suspect" in value else reading[1]
                return int(reading[0]), at
        return None

    async def _last_values(self, document: Document) -> list[Document]:
        return await self._storage.find(
            METERVALUES,
            {"transactionId": document["transactionId"]},
            descending=True,  # their keys are in the order of time
            limit=READINGS,
        )
