"""One connector of the simulated station: its car, its session, its meter."""

from __future__ import annotations

from enum import Enum

import msgspec

from ocppgw.ocpp.enums import ChargePointStatus, Reason
from ocppgw_modbus.simulate.handshakes import EventOut, Raised, Tell
from ocppgw_modbus.simulate.keys import OWN_TIMEOUT
from ocppgw_modbus.simulate.registers import SimValue
from ocppgw_modbus.spec import EventField, EventKind

FULL_POWER = 11000.0  # W
TAG_PATIENCE = 60.0  # simulated seconds that a tag waits for its answer
LEAVES_AFTER = 3.0  # simulated seconds that a fetched car stays when it no longer charges


class Phase(Enum):
    FREE = "free"
    STARTING = "starting"
    CHARGING = "charging"
    STOPPING = "stopping"
    ENDED = "ended"


STATUS = {
    Phase.STARTING: ChargePointStatus.PREPARING,
    Phase.CHARGING: ChargePointStatus.CHARGING,
    Phase.STOPPING: ChargePointStatus.FINISHING,
    Phase.ENDED: ChargePointStatus.FINISHING,
}


class Retained(msgspec.Struct, kw_only=True):
    """What survives a power cut."""

    energy: float
    plugged: bool = False
    fetched: bool = False  # the car came for a remote start, and leaves by itself
    available: bool = True
    phase: Phase = Phase.FREE
    session_tag: str = ""
    start: int = 0  # the number of the event that began the session
    transaction: int = 0


class Reserved(msgspec.Struct, kw_only=True):
    """What the connector keeps itself for; ``seconds`` until that is over."""

    reservation: int
    id_tag: str
    seconds: float


class Connector:
    """The program of one connector, one :meth:`scan` a cycle.

    Tags are left to the gateway's judgement where there is a way to ask, as only that one
    knows which tags belong together.
    """

    def __init__(
        self, number: int, events: dict[EventKind, EventOut], tell: Tell, *, energy: float
    ) -> None:
        self.number = number
        self.kept = Retained(energy=energy)
        self.fault = 0
        self.limit = FULL_POWER
        self.load = 0.0  # W that a meter of its own sees
        self.reserved: Reserved | None = None
        self.connection_timeout = OWN_TIMEOUT
        self._events = events
        self._tell = tell
        self._authorized: str | None = None
        self._asked: tuple[str, int] | None = None
        self._patience = 0.0
        self._arrives_in: float | None = None
        self._leaves_in = LEAVES_AFTER

    def acknowledged(self, kind: EventKind, event: Raised) -> None:
        """The gateway has taken an event of this connector."""
        if kind is EventKind.START and self.kept.phase is Phase.STARTING:
            self._enter(Phase.CHARGING, "charging")
        elif kind is EventKind.STOP and self.kept.phase is Phase.STOPPING:
            self.kept.session_tag, self.kept.transaction = "", 0
            self._enter(Phase.ENDED if self.kept.plugged else Phase.FREE, "session ended")

    # What people do

    def arrive(self) -> None:
        self.kept.plugged, self.kept.fetched = True, False
        self._arrives_in = None
        self._say("arrived", "a car is plugged in")

    def leave(self) -> None:
        self.kept.plugged = self.kept.fetched = False
        self._say("left", "the car is unplugged")
        if self.kept.phase is Phase.CHARGING:
            self.stop(Reason.EV_DISCONNECTED)
        elif self.kept.phase is Phase.ENDED:
            self.kept.phase = Phase.FREE

    def present_tag(self, id_tag: str) -> None:
        """Somebody holds a tag to the reader; the tag of a running session ends it."""
        if self.kept.phase is Phase.CHARGING and id_tag == self.kept.session_tag:
            self._say("tag", f"tag {id_tag} ends its session", id_tag=id_tag)
            self.stop(Reason.LOCAL)
            return
        if EventKind.TAG not in self._events:
            if self.reserved is None or self.reserved.id_tag == id_tag:
                self._authorize(id_tag)
            return
        number = self._send(EventKind.TAG, {EventField.ID_TAG: id_tag})
        self._asked, self._patience = (id_tag, number), TAG_PATIENCE
        self._say("tag", f"tag {id_tag} is presented", id_tag=id_tag)

    # What the gateway says

    def tag_answered(self, accepted: bool, sequence: int, id_tag: str) -> None:
        if EventKind.TAG not in self._events:
            self._tag_of_another_reader(accepted, id_tag)
            return
        if self._asked is None or (sequence and sequence != self._asked[1]):
            return
        id_tag, self._asked = self._asked[0], None
        if accepted and EventKind.START in self._events:
            self._authorize(id_tag)
        self._say_answer(accepted, id_tag)

    def _tag_of_another_reader(self, accepted: bool, id_tag: str) -> None:
        """A tag that a device beside this one has read."""
        self._say_answer(accepted, id_tag)
        if accepted and self.kept.phase is Phase.CHARGING and id_tag == self.kept.session_tag:
            self.stop(Reason.LOCAL)
        elif accepted and self.kept.phase is Phase.FREE:
            self._authorize(id_tag)

    def _say_answer(self, accepted: bool, id_tag: str) -> None:
        event = "tag accepted" if accepted else "tag refused"
        self._say(event, f"{event}: {id_tag}", id_tag=id_tag)

    def start_answered(self, accepted: bool, transaction: int, sequence: int) -> None:
        """The answer to a session before this one may come late: it is not this one's."""
        other = sequence not in (0, self.kept.start)
        if other or self.kept.phase not in (Phase.STARTING, Phase.CHARGING):
            return
        self.kept.transaction = transaction
        self._say("transaction", f"this is transaction {transaction}", transaction=transaction)
        if not accepted and self.kept.phase is Phase.CHARGING:
            self.stop(Reason.DE_AUTHORIZED)

    def may_start(self) -> bool:
        return self.kept.available and not self.fault and self.kept.phase is Phase.FREE

    def remote_start(self, id_tag: str, *, car_after: float | None) -> None:
        self._authorize(id_tag)
        if not self.kept.plugged:
            self._arrives_in = car_after

    def reserve(self, reserved: Reserved) -> bool:
        """Keeps itself for a tag from now on; whether it can."""
        if not self.may_start():
            return False
        self.reserved = reserved
        self._say("reserved", f"reserved for {reserved.id_tag}", reservation=reserved.reservation)
        return True

    def cancel_reservation(self, reservation: int | None) -> None:
        """Ends the reservation of that number (``None``: whichever there is)."""
        if self.reserved is not None and reservation in (None, self.reserved.reservation):
            self._free("the reservation is cancelled")

    def unlock(self) -> None:
        """Lets the cable go; a session that runs is ended."""
        self._say("unlocked", "the cable is unlocked")
        if self.kept.phase is Phase.CHARGING:
            self.stop(Reason.UNLOCK_COMMAND)

    def put_in_service(self, available: bool) -> None:
        if available is not self.kept.available:
            self.kept.available = available
            event = "in service" if available else "out of service"
            self._say(event, f"is {event}")

    def charges_on(self, transaction: int) -> bool:
        return self.kept.phase is Phase.CHARGING and self.kept.transaction == transaction

    def stop(self, reason: Reason) -> None:
        """Ends the session that runs."""
        self.kept.phase = Phase.STOPPING
        self._send(
            EventKind.STOP,
            {
                EventField.ID_TAG: self.kept.session_tag,
                EventField.METER: int(self.kept.energy),
                EventField.TRANSACTION: self.kept.transaction,
                EventField.REASON: reason.value,
            },
        )
        self._say("stopping", f"the session ends ({reason.value}) at {self._meter}")

    @property
    def _meter(self) -> str:
        return f"{int(self.kept.energy) / 1000:.3f} kWh"  # whole Wh, as its registers have it

    # The cycle

    @property
    def power(self) -> float:
        """What its meter sees, in W."""
        return self.load + (min(FULL_POWER, self.limit) if self.charging else 0.0)

    @property
    def charging(self) -> bool:
        """Whether a session of its own draws power."""
        return self.kept.phase is Phase.CHARGING

    @property
    def status(self) -> ChargePointStatus:
        if self.fault:
            return ChargePointStatus.FAULTED
        if self.kept.phase in STATUS:
            return STATUS[self.kept.phase]
        if not self.kept.available:
            return ChargePointStatus.UNAVAILABLE
        if self.kept.plugged or self._authorized is not None:
            return ChargePointStatus.PREPARING
        if self.reserved is not None:
            return ChargePointStatus.RESERVED
        return ChargePointStatus.AVAILABLE

    def scan(self, seconds: float) -> None:
        self.kept.energy += self.power * seconds / 3600
        self._let_expire(seconds)
        if self._arrives_in is not None:
            self._arrives_in -= seconds
            if self._arrives_in <= 0:
                self.arrive()
                self.kept.fetched = True
        self._let_leave(seconds)
        if self._authorized is not None and self.kept.plugged and self.may_start():
            self._start(self._authorized)
        elif self._authorized is not None or self._asked is not None:
            self._patience -= seconds
            if self._patience <= 0:
                self._authorized = self._asked = None
                self._say("gave up", "nobody answered or no car came, the tag is forgotten")

    def restart(self, *, forgetful: bool) -> None:
        """After a power cut: a session that ran is ended."""
        self._authorized = self._asked = self._arrives_in = self.reserved = None
        if forgetful:
            self.kept.phase, self.kept.session_tag, self.kept.transaction = Phase.FREE, "", 0
        elif self.kept.phase is Phase.CHARGING:
            self.stop(Reason.POWER_LOSS)

    def _start(self, id_tag: str) -> None:
        self._authorized = None
        if self.reserved is not None and self.reserved.id_tag == id_tag:
            self._free("the reservation is used")
        self.kept.session_tag, self.kept.transaction = id_tag, 0
        self._enter(Phase.STARTING, "starting")
        fields: dict[EventField, SimValue] = {
            EventField.ID_TAG: id_tag,
            EventField.METER: int(self.kept.energy),
        }
        self.kept.start = self._send(EventKind.START, fields)

    def _authorize(self, id_tag: str) -> None:
        self._authorized, self._patience = id_tag, self.connection_timeout

    def _let_leave(self, seconds: float) -> None:
        """A fetched car frees its connector, as nobody else unplugs it."""
        waits = self._authorized is None and self.kept.phase in (Phase.FREE, Phase.ENDED)
        self._leaves_in = self._leaves_in - seconds if waits else LEAVES_AFTER
        if self.kept.fetched and self._leaves_in <= 0:
            self.leave()

    def _let_expire(self, seconds: float) -> None:
        if self.reserved is not None:
            self.reserved.seconds -= seconds
            if self.reserved.seconds <= 0:
                self._free("the reservation is over")

    def _free(self, why: str) -> None:
        self.reserved = None
        self._say("not reserved", why)

    def _send(self, kind: EventKind, fields: dict[EventField, SimValue]) -> int:
        event = self._events.get(kind)
        if event is None:
            return 0
        return event.send({**fields, EventField.CONNECTOR: self.number})

    def _enter(self, phase: Phase, event: str) -> None:
        self.kept.phase = phase
        self._say(event, f"{event} at {self._meter}")

    def _say(self, event: str, text: str, **details: object) -> None:
        self._tell(event, self.number, "", text, details)
