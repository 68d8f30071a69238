"""Answers to the PLC's events: durable, in order for each connector, repeated until done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import ANSWERS
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.plc.base import AnswerStart, AnswerStop, AnswerTag, Driver, PlcError, PlcRefused
from ocppgw.storage.base import Delete, Document, Key, Projection, Put, StorageError

log = logging.getLogger(__name__)

Answer: TypeAlias = AnswerTag | AnswerStart | AnswerStop

KINDS: Mapping[str, type[Answer]] = {
    "tag": AnswerTag,
    "start": AnswerStart,
    "stop": AnswerStop,
}
NAMES = {kind: name for name, kind in KINDS.items()}

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
# A PLC that says no to an answer may have been busy; it is not asked for ever, since
# the answers behind this one wait.
REFUSALS = 5


class Answers:
    """Hands the PLC its answers, one connector beside the other.

    What is to be handed over is read from the store, so an answer that is not durable
    does not exist. ``delivered`` is told of every answer that the PLC took, finally
    refused, or has no place for.
    """

    def __init__(
        self,
        ledger: Ledger,
        driver: Driver,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        deadline: float,
        delivered: Callable[[Answer], None],
        running: Callable[[int], str | None],
    ) -> None:
        """``running`` gives the event id of the start of the session on a connector."""
        self._ledger = ledger
        self._driver = driver
        self._clock = clock
        self._narrator = narrator
        self._deadline = deadline
        self._delivered = delivered
        self._running = running
        self._bells = {number: Bell(clock) for number in range(connectors + 1)}

    def put(self, answer: Answer, *, until: datetime | None = None) -> Projection:
        """An answer, as a change for the commit that makes it due; then :meth:`wake`.

        An accepted tag is a refused one if it is handed over later than ``until``: who
        held it to the reader has left, and another stands there.
        """
        number = self._ledger.number()
        fields: Document = {
            "connector_id": self._lane_of(answer.connector_id),
            "kind": NAMES[type(answer)],
            "answer": msgspec.to_builtins(answer),
        }
        if until is not None:
            fields["until"] = until
        return Put(ANSWERS, (self._ledger.box, number), fields, version=number)

    def wake(self, connector_id: int) -> None:
        """An answer for that connector was committed."""
        self._bells[self._lane_of(connector_id)].ring()

    def nudge(self) -> None:
        """The PLC is back: do not wait any longer."""
        for bell in self._bells.values():
            bell.ring()

    async def pending(self) -> list[Answer]:
        """What the PLC has not taken yet, oldest first."""
        documents = await self._ledger.storage.find(ANSWERS, {"box": self._ledger.box})
        return [_answer_of(document) for document in documents]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for connector_id in self._bells:
                group.create_task(self._serve(connector_id))

    async def _serve(self, connector_id: int) -> None:
        """Hands over one connector's answers, oldest first."""
        bell = self._bells[connector_id]
        delay = FIRST_DELAY
        while True:
            bell.hush()
            try:
                document = await self._oldest(connector_id)
                if document is None:
                    await bell.wait()
                    continue
                if await self._hand_over(document):
                    delay = FIRST_DELAY
                    continue
            except StorageError as error:
                log.warning("%s: an answer to the PLC waits: %s", self._ledger.box, error)
            await bell.wait(delay)
            delay = min(LONGEST_DELAY, 2 * delay)

    async def _oldest(self, connector_id: int) -> Document | None:
        where = {"box": self._ledger.box, "connector_id": connector_id}
        found = await self._ledger.storage.find(ANSWERS, where, limit=1)
        return found[0] if found else None

    async def _hand_over(self, document: Document) -> bool:
        """Whether that answer is done with."""
        meant = _answer_of(document)
        answer = self._as_of_now(meant, document.get("until"))
        key: Key = (document["box"], document["number"])
        refusals = document.get("refusals", 0)
        try:
            if self._driver.supports(type(answer)):
                await self._driver.execute(answer, self._deadline)
        except PlcError as error:
            if not isinstance(error, PlcRefused):
                log.info("%s: the PLC did not take an answer: %s", self._ledger.box, error)
                return False
            if refusals + 1 < REFUSALS:
                version = self._ledger.number()
                counted = Put(ANSWERS, key, {"refusals": refusals + 1}, version, part="refusals")
                await self._ledger.storage.commit(counted)
                return False
            self._narrator.say("plc", f"refused the answer to its {document['kind']}: {error}")
        await self._ledger.storage.commit(Delete(ANSWERS, key))
        if isinstance(answer, AnswerTag) and answer != meant:
            what = "the PLC could not be told in time that the tag is accepted: it is refused"
            self._narrator.say(connector(answer.connector_id), what)
        self._delivered(answer)
        return True

    def _as_of_now(self, answer: Answer, until: datetime | None) -> Answer:
        """The answer as it is right at this moment, which may be hours after it was made."""
        if isinstance(answer, AnswerTag) and until is not None and self._clock.now() > until:
            return msgspec.structs.replace(answer, accepted=False)
        if isinstance(answer, AnswerStart):
            running = self._running(answer.connector_id)
            return msgspec.structs.replace(answer, current=running in {None, answer.event_id})
        return answer

    def _lane_of(self, connector_id: int) -> int:
        """A connector that this station does not have is served with the station's own."""
        return connector_id if connector_id in self._bells else 0


def _answer_of(document: Document) -> Answer:
    return msgspec.convert(document["answer"], KINDS[document["kind"]])
