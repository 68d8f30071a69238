"""One connector of the counting station: takes what happened, says what follows.

No file, no clock and no storage in here, so a test is a plain function.
"""

from datetime import datetime
from enum import Enum

import msgspec

from ocppgw.ocpp.enums import ChargePointStatus, Measurand, UnitOfMeasure
from ocppgw.plc import AnswerStart, AnswerStop, Event, Measured, Reading, StartWanted, StopWanted


class Phase(Enum):
    """Where a session is; ``ASKING`` and ``STOPPING`` wait for the charge box's answer."""

    FREE = "free"
    ASKING = "asking"
    CHARGING = "charging"
    STOPPING = "stopping"
    REFUSED = "refused"


STATUS = {
    Phase.FREE: ChargePointStatus.AVAILABLE,
    Phase.ASKING: ChargePointStatus.PREPARING,
    Phase.CHARGING: ChargePointStatus.CHARGING,
    Phase.STOPPING: ChargePointStatus.FINISHING,
    Phase.REFUSED: ChargePointStatus.FINISHING,
}


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector must know after a restart; the charge box keeps it as a note."""

    phase: Phase = Phase.FREE
    since: datetime | None = None
    energy_wh: float = 0.0  # as the phase began
    id_tag: str = ""
    transaction_id: int | None = None
    events: int = 0
    available: bool = True


class Counter:
    """The session and the meter of one connector."""

    def __init__(self, number: int, power: float) -> None:
        self._number = number
        self._power = power
        self._memory = Memory()

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
        if memory.phase is Phase.ASKING:
            return StartWanted(
                event_id=self._event_id,
                connector_id=self._number,
                at=memory.since,
                id_tag=memory.id_tag,
                meter_start_wh=round(memory.energy_wh),
            )
        if memory.phase is Phase.STOPPING:
            return StopWanted(
                event_id=self._event_id,
                connector_id=self._number,
                at=memory.since,
                id_tag=memory.id_tag,
                meter_stop_wh=round(memory.energy_wh),
                transaction_id=memory.transaction_id,
            )
        return None

    def step(self, tag: str, now: datetime) -> Event | None:
        """Takes what the file says (``""``: no car) and gives the event that makes."""
        memory = self._memory
        if self.free and tag:
            self._enter(Phase.ASKING, now, id_tag=tag, events=memory.events + 1)
        elif memory.phase is Phase.CHARGING and tag != memory.id_tag:
            self._enter(Phase.STOPPING, now, events=memory.events + 1)
        elif memory.phase is Phase.REFUSED and tag != memory.id_tag:
            self._enter(Phase.FREE, now)
        else:
            return None
        return self.unanswered

    def started(self, answer: AnswerStart, now: datetime) -> None:
        """The answer to our start; one that is repeated or out of date changes nothing."""
        if self._memory.phase is Phase.ASKING and answer.event_id == self._event_id:
            phase = Phase.CHARGING if answer.accepted else Phase.REFUSED
            self._enter(phase, now, transaction_id=answer.transaction_id)

    def stopped(self, answer: AnswerStop, now: datetime) -> None:
        """The answer to our stop, likewise."""
        if self._memory.phase is Phase.STOPPING and answer.event_id == self._event_id:
            self._enter(Phase.FREE, now, transaction_id=None)

    def set_available(self, available: bool) -> None:
        """In or out of service; a running session goes on to its end."""
        self._memory = msgspec.structs.replace(self._memory, available=available)

    def reading(self, now: datetime) -> Reading:
        """What the meter shows."""
        power = self._power if self._memory.phase is Phase.CHARGING else 0.0
        return Reading(
            connector_id=self._number,
            at=now,
            values=(
                Measured(
                    measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
                    value=round(self._energy(now)),
                    unit=UnitOfMeasure.WH,
                ),
                Measured(
                    measurand=Measurand.POWER_ACTIVE_IMPORT, value=power, unit=UnitOfMeasure.W
                ),
            ),
        )

    @property
    def _event_id(self) -> str:
        return f"{self._number}-{self._memory.events}"

    def _energy(self, now: datetime) -> float:
        memory = self._memory
        if memory.phase is not Phase.CHARGING or memory.since is None:
            return memory.energy_wh
        return memory.energy_wh + self._power * (now - memory.since).total_seconds() / 3600

    def _enter(self, phase: Phase, now: datetime, **changes: str | int | None) -> None:
        self._memory = msgspec.structs.replace(
            self._memory, phase=phase, since=now, energy_wh=self._energy(now), **changes
        )
