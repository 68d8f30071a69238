"""Tags: each gets its answer in time."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

import msgspec

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.judge import Judge
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import TAGS
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.tags import Tags
from ocppgw.clock import Clock
from ocppgw.plc.base import AnswerTag, TagPresented
from ocppgw.storage.base import Delete, Document, Put, StorageError

log = logging.getLogger(__name__)

STORE_RETRY = 1.0


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that waits for its answer; ``number`` is its key in the store."""

    number: int
    event_id: str
    connector_id: int
    id_tag: str
    at: datetime


class Authorization:
    """Answers each tag once.

    Whoever holds a tag to the reader waits only so long: an answer that comes later, after
    a restart, or when the PLC is back at last, is a refusal. What the central system said
    of a tag is remembered in the commit of the answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        answers: Answers,
        judge: Judge,
        tags: Tags,
        reservations: Reservations,
        clock: Clock,
        narrator: Narrator,
        *,
        answer_age: float,
    ) -> None:
        """``answer_age``: seconds after which nobody stands there any more."""
        self._ledger = ledger
        self._answers = answers
        self._judge = judge
        self._tags = tags
        self._reservations = reservations
        self._clock = clock
        self._narrator = narrator
        self._answer_age = timedelta(seconds=answer_age)
        self._waiting: dict[int, Tag] = {}
        self._presented: asyncio.Queue[Tag] = asyncio.Queue()

    async def load(self) -> None:
        """Learns of the tags that the life before left without an answer."""
        for document in await self._ledger.storage.find(TAGS, {"box": self._ledger.box}):
            self._present(msgspec.convert(document, Tag))

    async def plan_tag(self, plan: Plan, event: TagPresented) -> None:
        """Adds to a commit that a tag waits for its answer."""
        number = self._ledger.number()
        fields: Document = {
            "event_id": event.event_id,
            "connector_id": event.connector_id,
            "id_tag": event.id_tag,
            "at": event.at,
        }
        tag = msgspec.convert({"number": number, **fields}, Tag)
        plan.changes.append(Put(TAGS, (self._ledger.box, number), fields, version=number))
        plan.done.append(lambda: self._present(tag))

    async def run(self) -> None:
        """Answers tags, each on its own; begun again, it begins with all that wait."""
        self._presented = asyncio.Queue()
        for tag in self._waiting.values():
            self._presented.put_nowait(tag)
        async with asyncio.TaskGroup() as group:
            while True:
                tag = await self._presented.get()
                group.create_task(self._answer(tag))

    def _present(self, tag: Tag) -> None:
        self._waiting[tag.number] = tag
        self._presented.put_nowait(tag)

    async def _answer(self, tag: Tag) -> None:
        verdict = await self._judge.judge(tag.connector_id, tag.id_tag, tag.at)

        async def prepare() -> Plan:
            answer = AnswerTag(
                event_id=tag.event_id,
                connector_id=tag.connector_id,
                id_tag=tag.id_tag,
                accepted=verdict.accepted,
            )
            put = self._answers.put(answer, until=tag.at + self._answer_age)
            plan = Plan(put, Delete(TAGS, (self._ledger.box, tag.number)))
            if verdict.info is not None:
                self._tags.plan_said(plan, tag.id_tag, verdict.info)
                if verdict.accepted and verdict.info.parent_id_tag is not None:
                    self._reservations.plan_admitted(plan, tag.id_tag, verdict.info.parent_id_tag)
            plan.done.append(lambda: self._waiting.pop(tag.number, None))
            plan.done.append(lambda: self._answers.wake(tag.connector_id))
            return plan

        while True:
            try:
                await self._ledger.write(prepare)
                break
            except StorageError as error:
                log.warning("%s: a tag's answer waits: %s", self._ledger.box, error)
                await self._clock.sleep(STORE_RETRY)
        word = "accepted" if verdict.accepted else "refused"
        what = f"tag {tag.id_tag} {word}: {verdict.why}"
        self._narrator.say(connector(tag.connector_id), what, echo=verdict.info is not None)
