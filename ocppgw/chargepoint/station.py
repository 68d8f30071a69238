"""What the driver hands over: observations at once, events only when they are durable."""

from __future__ import annotations

from collections.abc import Mapping

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.authorization import Authorization
from ocppgw.chargepoint.availability import Availability
from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.metering import Metering
from ocppgw.chargepoint.plc_keys import PlcKeys
from ocppgw.chargepoint.presence import Presence
from ocppgw.chargepoint.records import LAST_EVENTS, PLC_NOTES
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.sessions import Sessions
from ocppgw.chargepoint.status import StatusBoard
from ocppgw.plc.base import (
    ConnectorStatus,
    Event,
    Identity,
    Observation,
    Offline,
    Online,
    Reading,
    StartWanted,
    StopWanted,
    TagPresented,
)
from ocppgw.storage.base import Conflict, Guard, Insert, Projection, Put, Update

KINDS: Mapping[type[Event], str] = {
    TagPresented: "tag",
    StartWanted: "start",
    StopWanted: "stop",
}


class EventLog:
    """The last event of each kind and connector, and the driver's notes.

    Only the last one is compared, since the PLC's sequence numbers come round again.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last: dict[tuple[int, str], str] = {}
        self.notes: Mapping[str, str] = {}

    async def load(self) -> None:
        box, storage = self._ledger.box, self._ledger.storage
        self._last = {
            (document["connector_id"], document["kind"]): document["event_id"]
            for document in await storage.find(LAST_EVENTS, {"box": box})
        }
        noted = await storage.get(PLC_NOTES, (box,))
        self.notes = {note["name"]: note["text"] for note in noted["notes"]} if noted else {}

    def knows(self, event: Event) -> bool:
        return self._last.get(_place(event)) == event.event_id

    def plan_event(self, plan: Plan, event: Event) -> None:
        """Adds the guard that lets an event be taken once."""
        plan.changes.append(self._guard(event))
        plan.done.append(lambda: self._last.update({_place(event): event.event_id}))

    def plan_notes(self, plan: Plan, notes: Mapping[str, str | None]) -> None:
        merged = {**self.notes, **notes}
        kept = {name: text for name, text in merged.items() if text is not None}
        if kept == self.notes:
            return
        plan.changes.append(self._noted(kept))
        plan.done.append(lambda: self._remember(kept))

    def _guard(self, event: Event) -> Guard:
        connector_id, kind = _place(event)
        before = self._last.get((connector_id, kind))
        commit_id = f"{kind}.{connector_id}.{event.event_id}.{self._ledger.number()}"
        fields = {"event_id": event.event_id, "at": event.at}
        if before is None:
            key_fields = {"box": self._ledger.box, "connector_id": connector_id, "kind": kind}
            return Insert(LAST_EVENTS, {**key_fields, **fields}, commit_id)
        key = (self._ledger.box, connector_id, kind)
        return Update(LAST_EVENTS, key, fields, expect={"event_id": before}, commit_id=commit_id)

    def _noted(self, notes: dict[str, str]) -> Projection:
        """A list, since names of notes are the driver's and names of fields are not free."""
        listed = [{"name": name, "text": text} for name, text in sorted(notes.items())]
        key = (self._ledger.box,)
        return Put(PLC_NOTES, key, {"notes": listed}, version=self._ledger.number())

    def _remember(self, notes: dict[str, str]) -> None:
        self.notes = notes


class BoxStation:
    """The charge box as its driver sees it: a :class:`ocppgw.plc.base.Station`."""

    def __init__(
        self,
        ledger: Ledger,
        log: EventLog,
        *,
        presence: Presence,
        boot: Boot,
        status: StatusBoard,
        metering: Metering,
        authorization: Authorization,
        sessions: Sessions,
        availability: Availability,
        reservations: Reservations,
        plc_keys: PlcKeys,
        answers: Answers,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._presence = presence
        self._boot = boot
        self._status = status
        self._metering = metering
        self._authorization = authorization
        self._sessions = sessions
        self._availability = availability
        self._reservations = reservations
        self._plc_keys = plc_keys
        self._answers = answers
        self._online = False

    def saw(self, observation: Observation) -> None:
        match observation:
            case Reading():
                self._metering.saw(observation)
            case ConnectorStatus():
                self._status.saw(observation)
            case Identity():
                self._boot.saw(observation)
            case Online():
                self._came_online()
            case Offline(reason=reason):
                self._went_offline(reason)

    async def take(self, event: Event, *, remember: Mapping[str, str] | None = None) -> None:
        async def prepare() -> Plan:
            plan = Plan()
            if not self._log.knows(event):
                self._log.plan_event(plan, event)
                await self._plan(plan, event)
            elif isinstance(event, StartWanted | StopWanted):
                await self._sessions.plan_answer_again(plan, event)
            self._log.plan_notes(plan, remember or {})
            return plan

        try:
            await self._ledger.write(prepare)
        except Conflict:
            await self._log.load()
            raise

    async def remember(self, notes: Mapping[str, str | None]) -> None:
        async def prepare() -> Plan:
            plan = Plan()
            self._log.plan_notes(plan, notes)
            return plan

        await self._ledger.write(prepare)

    def notes(self) -> Mapping[str, str]:
        return dict(self._log.notes)

    async def _plan(self, plan: Plan, event: Event) -> None:
        match event:
            case TagPresented():
                await self._authorization.plan_tag(plan, event)
            case StartWanted():
                await self._sessions.plan_start(plan, event)
            case StopWanted():
                await self._sessions.plan_stop(plan, event)

    def _came_online(self) -> None:
        """The PLC may have been restarted meanwhile, however short that was."""
        if self._online:
            return
        self._online = True
        self._boot.plc_is_back()
        self._presence.online()
        self._availability.plc_is_back()
        self._reservations.plc_is_back()
        self._plc_keys.plc_is_back()
        self._answers.nudge()

    def _went_offline(self, reason: str) -> None:
        self._online = False
        self._boot.plc_is_away()
        self._plc_keys.plc_is_away()
        self._metering.plc_is_away()
        self._presence.offline(reason)


def _place(event: Event) -> tuple[int, str]:
    return event.connector_id, KINDS[type(event)]
