"""What StopTransaction brings along: values collected while the session runs (O-36)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import msgspec

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import SAMPLES, Session
from ocppgw.chargepoint.values import with_energy
from ocppgw.ocpp.enums import Measurand, ReadingContext
from ocppgw.ocpp.model import MeterValue, TransactionData
from ocppgw.plc.base import Reading
from ocppgw.storage.base import Delete, Document, Ensure

# A stored document may have 1 MB; the values stand in it as JSON within JSON.
LARGEST = 600_000
ONE_MORE_BETWEEN_BEGIN_AND_END = 3
BEGIN = ReadingContext.TRANSACTION_BEGIN


class _Series:
    """The samples of one context of one session: every ``stride``-th is kept.

    ``kept`` maps a sample's place in the series to the number it is stored under;
    ``following`` is the place of the next one.
    """

    def __init__(self) -> None:
        self.stride = 1
        self.following = 0
        self.kept: dict[int, int] = {}

    def load(self, place: int, number: int) -> None:
        self.kept[place] = number
        self.stride = math.gcd(*self.kept) or 1
        self.following = place + self.stride

    def keep(self, place: int, number: int) -> None:
        self.kept[place] = number

    def count(self) -> None:
        self.following += 1

    def thin(self, stride: int) -> None:
        self.stride = stride
        self.kept = {place: n for place, n in self.kept.items() if place % stride == 0}


class StopData:
    """Collects, durably, what the StopTxn keys ask for.

    A session keeps ``limit`` meter values at most, its begin and end among them: when
    there are more, every second of those between is dropped, and from then on every
    second new one, so that what is left is spread evenly. The keys in force at the end
    decide whether anything is sent.
    """

    def __init__(
        self, ledger: Ledger, readings: Readings, *, keys: Callable[[], Keys], limit: int
    ) -> None:
        self._ledger = ledger
        self._readings = readings
        self._keys = keys
        self._limit = limit
        self._sessions: dict[str, dict[ReadingContext, _Series]] = {}

    async def load(self) -> None:
        """Learns what was collected of the sessions that run."""
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(SAMPLES, where):
            series = self._series(document["session"], ReadingContext(document["context"]))
            series.load(document["place"], document["number"])

    def plan_begin(self, plan: Plan, session: Session) -> None:
        """Adds the values at a session's begin to the commit that begins it."""
        wanted = self._wanted()
        if wanted:
            reading = self._readings.fresh(session.connector_id)
            self._plan_keep(plan, session, _begin_of(session, wanted, reading), BEGIN)
            plan.undo.append(lambda: self._sessions.pop(session.session, None))

    def plan_sample(
        self, plan: Plan, session: Session, value: MeterValue, context: ReadingContext
    ) -> None:
        """Adds a sample of a running session to a commit, unless it is one too many."""
        series = self._series(session.session, context)
        stride = series.stride
        of_it = self._sessions[session.session]
        between = [one for context_of, one in of_it.items() if context_of is not BEGIN]
        if sum(len(one.kept) for one in between) + ONE_MORE_BETWEEN_BEGIN_AND_END > self._limit:
            longest = max(between, key=lambda one: len(one.kept))
            self._plan_thinning(plan, session, longest)
            if longest is series:
                stride *= 2
        if series.following % stride == 0:
            self._plan_keep(plan, session, value, context)
        else:
            plan.done.append(series.count)

    async def plan_end(
        self, plan: Plan, session: Session, at: datetime, meter_stop: int, *, read: bool
    ) -> tuple[TransactionData, ...]:
        """What the stop brings along; the commit that ends the session forgets it.

        ``read`` says whether the newest reading belongs to that end.
        """
        documents = await self._collected(session)
        plan.changes.extend(self._deletion(session, d["number"]) for d in documents)
        plan.done.append(lambda: self._sessions.pop(session.session, None))
        wanted = self._wanted()
        if not wanted:
            return ()
        reading = self._readings.fresh(session.connector_id) if read else None
        begins = [_begin_of(session, wanted, None)]
        between: list[MeterValue] = []
        for document in documents:
            kept = begins if document["context"] == BEGIN.value else between
            kept.append(msgspec.json.decode(document["value"], type=MeterValue))
        end = with_energy(meter_stop, at, reading, wanted, ReadingContext.TRANSACTION_END)
        return (TransactionData(values=_within((begins[-1], *between, end))),)

    # How

    def _wanted(self) -> tuple[Measurand, ...]:
        keys = self._keys()
        return (*keys.stop_sampled_data, *keys.stop_aligned_data)

    def _series(self, session: str, context: ReadingContext) -> _Series:
        return self._sessions.setdefault(session, {}).setdefault(context, _Series())

    async def _collected(self, session: Session) -> list[Document]:
        if session.session not in self._sessions:
            return []
        where = {"box": self._ledger.box, "session": session.session}
        return await self._ledger.storage.find(SAMPLES, where)

    def _plan_keep(
        self, plan: Plan, session: Session, value: MeterValue, context: ReadingContext
    ) -> None:
        series = self._series(session.session, context)
        number, place = self._ledger.number(), series.following
        document: Document = {
            "box": self._ledger.box,
            "session": session.session,
            "number": number,
            "context": context.value,
            "place": place,
            "value": msgspec.json.encode(value).decode(),
        }
        plan.changes.append(Ensure(SAMPLES, document))
        plan.done.append(lambda: series.keep(place, number))
        plan.done.append(series.count)

    def _plan_thinning(self, plan: Plan, session: Session, series: _Series) -> None:
        stride = 2 * series.stride
        for place, number in series.kept.items():
            if place % stride:
                plan.changes.append(self._deletion(session, number))
        plan.done.append(lambda: series.thin(stride))

    def _deletion(self, session: Session, number: int) -> Delete:
        return Delete(SAMPLES, (self._ledger.box, session.session, number))


def _begin_of(
    session: Session, wanted: tuple[Measurand, ...], reading: Reading | None
) -> MeterValue:
    return with_energy(session.meter_start, session.started_at, reading, wanted, BEGIN)


def _within(values: tuple[MeterValue, ...]) -> tuple[MeterValue, ...]:
    """Not more than a stored document holds, the first and the last among them."""
    while len(msgspec.json.encode(values)) > LARGEST:
        values = (values[0], *values[2:-1:2], values[-1])
    return values
