"""Tags: each gets its answer, from the central system or a refusal in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import msgspec

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import TAGS
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.clock import Clock
from ocppgw.link.base import Peer, PeerError
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import AuthorizeRequest, AuthorizeResponse
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


class Verdict(msgspec.Struct, frozen=True):
    """Whether a tag may charge, and why, in words; ``echo`` if observers just saw that."""

    accepted: bool
    why: str
    echo: bool = False


class Authorization:
    """Answers each tag once.

    Whoever holds a tag to the reader waits only so long: an answer that comes later, or
    after a restart, is a refusal. What decides is asked in :meth:`_judge`, one source
    after the other.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        answers: Answers,
        boot: Boot,
        central: Peer,
        clock: Clock,
        narrator: Narrator,
        *,
        answer_age: float,
        deadline: float,
        in_service: Callable[[int], bool],
    ) -> None:
        self._ledger = ledger
        self._register = register
        self._answers = answers
        self._boot = boot
        self._central = central
        self._clock = clock
        self._narrator = narrator
        self._answer_age = answer_age
        self._deadline = deadline
        self._in_service = in_service
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
        verdict = await self._judge(tag)

        async def prepare() -> Plan:
            answer = AnswerTag(
                event_id=tag.event_id,
                connector_id=tag.connector_id,
                id_tag=tag.id_tag,
                accepted=verdict.accepted,
            )
            plan = Plan(self._answers.put(answer), Delete(TAGS, (self._ledger.box, tag.number)))
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
        self._narrator.say(connector(tag.connector_id), what, echo=verdict.echo)

    async def _judge(self, tag: Tag) -> Verdict:
        age = (self._clock.now() - tag.at).total_seconds()
        left = self._answer_age - age
        if left <= 0 or age < -self._answer_age:
            return Verdict(False, f"it was presented {abs(age):.0f} s ago")
        if not self._in_service(tag.connector_id):
            return Verdict(False, "out of service")
        running = self._register.on(tag.connector_id)
        if running is not None and running.id_tag.casefold() == tag.id_tag.casefold():
            return Verdict(True, "it started the running session")
        return await self._ask(tag, min(left, self._deadline))

    async def _ask(self, tag: Tag, seconds: float) -> Verdict:
        """Asks the central system, once it has accepted this box."""
        until = self._clock.monotonic() + seconds
        if not await self._boot.accepted_within(seconds):
            return Verdict(False, "the central system has not accepted this charge box")
        try:
            left = max(0.1, until - self._clock.monotonic())
            response = await self._central.call(AuthorizeRequest(id_tag=tag.id_tag), left)
        except PeerError as error:
            return Verdict(False, f"no answer from the central system: {error}")
        assert isinstance(response, AuthorizeResponse)
        status = response.id_tag_info.status
        accepted = status is AuthorizationStatus.ACCEPTED
        return Verdict(accepted, f"the central system says {status.value}", echo=True)
