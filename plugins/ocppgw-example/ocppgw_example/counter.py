"""One connector of the counting station: takes what happened, says what follows.

No file, no clock and no storage in here, so a test is a plain function.
"""

from datetime import datetime
from enum import Enum

import msgspec

from ocppgw.ocpp.enums import ChargePointStatus, Measurand, UnitOfMeasure
from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    AnswerTag,
    Event,
    Measured,
    Reading,
    StartWanted,
    StopWanted,
    TagPresented,
)
from ocppgw_example.folder import Card

Answer = AnswerTag | AnswerStart | AnswerStop


class Phase(Enum):
    """Where a session is. Presented, asking and stopping wait for an answer."""

    FREE = "free"
    PRESENTED = "presented"
    ACCEPTED = "accepted"
    ASKING = "asking"
    CHARGING = "charging"
    STOPPING = "stopping"
    REFUSED = "refused"


STATUS = {
    Phase.FREE: ChargePointStatus.AVAILABLE,
    Phase.PRESENTED: ChargePointStatus.PREPARING,
    Phase.ACCEPTED: ChargePointStatus.PREPARING,
    Phase.ASKING: ChargePointStatus.PREPARING,
    Phase.CHARGING: ChargePointStatus.CHARGING,
    Phase.STOPPING: ChargePointStatus.FINISHING,
    Phase.REFUSED: ChargePointStatus.FINISHING,
}

# What an answer leads to: from the phase that waits for it, accepted and refused.
AFTER = {
    AnswerTag: (Phase.PRESENTED, Phase.ACCEPTED, Phase.REFUSED),
    AnswerStart: (Phase.ASKING, Phase.CHARGING, Phase.REFUSED),
    AnswerStop: (Phase.STOPPING, Phase.FREE, Phase.FREE),
}


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector must know after a restart; the charge box keeps it as a note."""

    phase: Phase = Phase.FREE
    since: datetime | None = None
    energy_wh: float = 0.0  # as the phase began
    card: Card = Card("", 0)
    transaction_id: int | None = None
    events: int = 0
    available: bool = True


class Counter:
    """The session and the meter of one connector."""

    def __init__(self, number: int, power: float) -> None:
        self._number = number
        self._power = power
        self._memory = Memory()
        self._granted = ""

    @property
    def note(self) -> str:
        """The memory as text."""
        return msgspec.json.encode(self._memory).decode()

    def restore(self, note: str) -> None:
        """Goes on from a note."""
        self._memory = msgspec.json.decode(note, type=Memory)

    @property
    def free(self) -> bool:
        """Whether a session could start."""
        return self._memory.phase is Phase.FREE and self._memory.available

    @property
    def status(self) -> ChargePointStatus:
        """What the station is told of this connector."""
        if self._memory.phase is Phase.FREE and not self._memory.available:
            return ChargePointStatus.UNAVAILABLE
        return STATUS[self._memory.phase]

    @property
    def unanswered(self) -> Event | None:
        """The event that waits for its answer, the same however often one asks."""
        memory = self._memory
        if memory.since is None:
            return None
        event_id, connector_id, at = self._event_id, self._number, memory.since
        id_tag, energy = memory.card.tag, round(memory.energy_wh)
        match memory.phase:
            case Phase.PRESENTED:
                return TagPresented(
                    event_id=event_id, connector_id=connector_id, at=at, id_tag=id_tag
                )
            case Phase.ASKING:
                return StartWanted(
                    event_id=event_id,
                    connector_id=connector_id,
                    at=at,
                    id_tag=id_tag,
                    meter_start_wh=energy,
                )
            case Phase.STOPPING:
                return StopWanted(
                    event_id=event_id,
                    connector_id=connector_id,
                    at=at,
                    id_tag=id_tag,
                    meter_stop_wh=energy,
                    transaction_id=memory.transaction_id,
                )
            case _:
                return None

    def grant(self, tag: str) -> None:
        """A remote start: the card with that tag, when it comes, need not be asked for."""
        self._granted = tag

    def step(self, card: Card, now: datetime) -> Event | None:
        """Takes what lies there and gives the event that makes."""
        there = bool(card.tag) and card == self._memory.card
        match self._memory.phase:
            case Phase.FREE if self.free and card.tag:
                granted = card.tag == self._granted
                self._granted = ""
                self._enter(Phase.ASKING if granted else Phase.PRESENTED, now, card=card)
            case Phase.ACCEPTED if there:
                self._enter(Phase.ASKING, now)
            case Phase.CHARGING if not there:
                self._enter(Phase.STOPPING, now)
            case Phase.PRESENTED | Phase.ACCEPTED | Phase.REFUSED if not there:
                self._enter(Phase.FREE, now)
            case _:
                return None
        return self.unanswered

    def answered(self, answer: Answer, now: datetime) -> None:
        """An answer; one that is repeated or out of date changes nothing."""
        waiting, accepted, refused = AFTER[type(answer)]
        if self._memory.phase is not waiting or answer.event_id != self._event_id:
            return
        if isinstance(answer, AnswerStart):
            self._memory = msgspec.structs.replace(
                self._memory, transaction_id=answer.transaction_id
            )
        self._enter(accepted if is_yes(answer) else refused, now)

    def set_available(self, available: bool) -> None:
        """In or out of service; a running session goes on to its end."""
        self._memory = msgspec.structs.replace(self._memory, available=available)

    def reading(self, now: datetime) -> Reading:
        """What the meter shows."""
        power = self._power if self._memory.phase is Phase.CHARGING else 0.0
        energy = Measured(
            measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
            value=round(self._energy(now)),
            unit=UnitOfMeasure.WH,
        )
        draws = Measured(measurand=Measurand.POWER_ACTIVE_IMPORT, value=power, unit=UnitOfMeasure.W)
        return Reading(connector_id=self._number, at=now, values=(energy, draws))

    @property
    def _event_id(self) -> str:
        return f"{self._number}-{self._memory.events}"

    def _energy(self, now: datetime) -> float:
        memory = self._memory
        if memory.phase is not Phase.CHARGING or memory.since is None:
            return memory.energy_wh
        return memory.energy_wh + self._power * (now - memory.since).total_seconds() / 3600

    def _enter(self, phase: Phase, now: datetime, card: Card | None = None) -> None:
        """Begins a phase; one that waits for an answer gets an event of its own."""
        event = any(phase is waiting for waiting, _, _ in AFTER.values())
        self._memory = msgspec.structs.replace(
            self._memory,
            phase=phase,
            since=now,
            energy_wh=self._energy(now),
            card=card or self._memory.card,
            events=self._memory.events + event,
        )


def is_yes(answer: Answer) -> bool:
    """Whether it is a yes; a stop is always one."""
    return isinstance(answer, AnswerStop) or answer.accepted
