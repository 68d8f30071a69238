"""The PLC's side of the four-phase hand-shakes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

import msgspec

from ocppgw.clock import Clock
from ocppgw_modbus.bound import BoundCommand, BoundEvent, FieldTarget
from ocppgw_modbus.simulate.registers import Registers, SimValue, places
from ocppgw_modbus.spec import CommandField, CommandKind, EventField

LAST_NUMBER = 65535  # then 1 again, since a sequence register may have 16 bits only


def number_now(clock: Clock) -> int:
    """A number for a PLC that is made anew to go on from: a charge box that knew it before
    takes an old one with the same tag and meter for the old event."""
    return int(clock.now().timestamp()) % LAST_NUMBER


class Tell(Protocol):
    """Notes that something happened."""

    def __call__(
        self,
        event: str,
        connector: int,
        about: str,
        text: str,
        details: Mapping[str, Any] | None = None,
    ) -> None: ...


class Raised(msgspec.Struct, kw_only=True):
    """An event on its way: retained over a restart, until it was acknowledged."""

    sequence: int
    fields: Mapping[EventField, SimValue]


class EventOut:
    """Raises events one after another, each until it is acknowledged."""

    def __init__(
        self, bound: BoundEvent, registers: Registers, tell: Tell, *, sequence: int = 0
    ) -> None:
        self.bound = bound
        self._registers = registers
        self._tell = tell
        self._queue: deque[Raised] = deque()
        self._up: Raised | None = None
        self._lowering = False
        self._acknowledged: Callable[[Raised], None] = lambda _: None
        self.sequence = sequence

    def send(self, fields: Mapping[EventField, SimValue]) -> int:
        """Queues an event; gives its sequence number."""
        self.sequence = self.sequence % LAST_NUMBER + 1
        self._queue.append(Raised(sequence=self.sequence, fields=fields))
        return self.sequence

    def when_acknowledged(self, call: Callable[[Raised], None]) -> None:
        self._acknowledged = call

    def restart(self, *, forgetful: bool) -> None:
        """After a power cut what was not acknowledged is raised again, if it is retained."""
        if self._up is not None and not self._lowering:
            self._queue.appendleft(self._up)
        self._up, self._lowering = None, False
        if forgetful:
            self._queue.clear()
            self.sequence = 0

    def scan(self) -> None:
        """One cycle of the program."""
        bound, registers = self.bound, self._registers
        acknowledged = registers.get(bound.acknowledge) == bound.up
        if self._up is None:
            if self._queue and not acknowledged:
                self._raise(self._queue.popleft())
        elif not self._lowering and acknowledged:
            self._lowering = True
            registers.put(bound.request, bound.down)
            self._say("acknowledged", self._up)
            self._acknowledged(self._up)
        elif self._lowering and not acknowledged:
            self._say("finished", self._up)
            self._up, self._lowering = None, False

    def _raise(self, event: Raised) -> None:
        for field, point in self.bound.fields.items():
            value = event.fields.get(field, 0)
            if field is EventField.METER and isinstance(value, (int, float)):
                value = float(value) / float(self.bound.meter_factor)
            if field is EventField.REASON:
                value = _reason_value(self.bound, value)
            self._registers.put(point, value)
        if self.bound.sequence is not None:
            self._registers.put(self.bound.sequence, event.sequence)
        self._registers.put(self.bound.request, self.bound.up)
        self._up = event
        self._say("raised", event)

    def _say(self, what: str, event: Raised) -> None:
        kind = self.bound.kind.value
        connector = self.bound.connector or int(event.fields.get(EventField.CONNECTOR, 0))
        details = {field.value: value for field, value in event.fields.items()}
        text = f"the PLC's {kind} is {what}"
        self._tell(what, connector, kind, text, {"sequence": event.sequence, **details})


def _reason_value(bound: BoundEvent, wanted: SimValue) -> SimValue:
    """The register's value for an OCPP reason; 0 if the map has none for it."""
    return next((value for value, reason in bound.reasons.items() if reason.value == wanted), 0)


class Verdict(Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENCE = "never answered"


Fields = Mapping[CommandField, SimValue]
Decide = Callable[[BoundCommand, int, Fields], Verdict]


class CommandIn:
    """Answers requests; a command without a hand-shake is done when it is written."""

    def __init__(
        self, bound: BoundCommand, registers: Registers, tell: Tell, decide: Decide
    ) -> None:
        self.bound = bound
        self._registers = registers
        self._tell = tell
        self._decide = decide
        self._answered = False

    def restart(self) -> None:
        self._answered = False

    def scan(self) -> None:
        """One cycle of the program."""
        bound, registers = self.bound, self._registers
        if bound.request is None or bound.answer is None:
            if self._was_written():
                self._take()
            return
        up = registers.get(bound.request) == bound.up
        if up and not self._answered:
            self._answered = True
            verdict = self._take()
            if verdict is Verdict.ACCEPTED:
                registers.put(bound.answer, bound.accepted)
            elif verdict is Verdict.REFUSED:
                registers.put(bound.answer, bound.refused)
        elif not up and self._answered:
            self._answered = False
            registers.put(bound.answer, bound.idle)
            self._say("closed", {})

    @property
    def idle(self) -> bool:
        """Whether no hand-shake is going on."""
        return not self._answered

    def _was_written(self) -> bool:
        mine = [target.register for target in self.bound.fields.values()]
        mine += [point for point, _ in self.bound.fixed]
        return any(place in self._registers.written for point in mine for place in places(point))

    def _take(self) -> Verdict:
        fields = {field: self._field(field, target) for field, target in self.bound.fields.items()}
        connector = self.bound.connector or int(fields.get(CommandField.CONNECTOR, 0))
        self._say("asked", fields)
        verdict = self._decide(self.bound, connector, fields)
        self._say(verdict.value.replace(" ", "_"), fields)
        return verdict

    def _field(self, field: CommandField, target: FieldTarget) -> SimValue:
        value = self._registers.get(target.register)
        if field in (CommandField.ACCEPTED, CommandField.AVAILABLE, CommandField.HARD):
            return int(value == target.true_value)
        return value

    def _say(self, what: str, fields: Fields) -> None:
        kind: CommandKind = self.bound.kind
        connector = self.bound.connector or int(fields.get(CommandField.CONNECTOR, 0))
        details = {field.value: value for field, value in fields.items()}
        words = ", ".join(f"{name} {value}" for name, value in details.items())
        text = f"{kind.value.replace('_', ' ')} {what}{': ' + words if words else ''}"
        self._tell(what, connector, kind.value, text, details)
