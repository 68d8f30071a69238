"""A PLC in memory: what its registers would hold, and what people and cars do to it.

It keeps its state when the charge box is gone, and its requests have the four phases of
a real hand-shake (request up, acknowledged, request down, acknowledge down).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from ocppgw.clock import Clock
from ocppgw.ocpp.enums import Reason
from ocppgw.plc.base import (
    AnswerBoot,
    AnswerStart,
    AnswerStop,
    AnswerTag,
    CancelReserve,
    Command,
    Configure,
    ConnectorStatus,
    Event,
    LimitCurrent,
    PlcRefused,
    PlcUnsupported,
    Reading,
    RemoteStart,
    RemoteStop,
    Reserve,
    ResetPlc,
    SetAvailability,
    SetTime,
    StartWanted,
    StopWanted,
    TagPresented,
    Unlock,
)
from ocppgw.plc.simulated_connector import SimulatedConnector

SUPPORTED: frozenset[type[Command]] = frozenset(
    {
        AnswerBoot,
        AnswerStart,
        AnswerStop,
        AnswerTag,
        CancelReserve,
        Configure,
        LimitCurrent,
        RemoteStart,
        RemoteStop,
        Reserve,
        ResetPlc,
        SetAvailability,
        SetTime,
        Unlock,
    }
)


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of ``plc`` with ``driver: simulator``."""

    power: Annotated[
        float, msgspec.Meta(ge=0, description="What a charging car draws, in watts.")
    ] = 11000.0
    poll: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds between two looks at the PLC.")
    ] = 1.0
    model: Annotated[str, msgspec.Meta(description="The model it says it is.")] = "simulator"


class SimulatedPlc:
    """The device. Its methods are what people and cars do to it."""

    def __init__(self, connectors: int, clock: Clock, options: SimulatorOptions) -> None:
        self.clock = clock
        self.options = options
        self.connectors = {number: SimulatedConnector() for number in range(1, connectors + 1)}
        self.running = True
        self.reachable = True
        self.boots: list[AnswerBoot] = []
        self.time: datetime | None = None
        self.resets: list[ResetPlc] = []
        self.answers: list[Command] = []
        self.configuration: dict[str, str] = {}
        self.refused: set[type[Command]] = set()
        self.muted: set[type[Command]] = set()
        self.unsupported: set[type[Command]] = set()
        self.requests: list[Event] = []
        self._sequence = 0
        self._metered = clock.monotonic()
        self._watchers: list[Callable[[], None]] = []

    # What happens at the station

    def arrive(self, connector_id: int) -> None:
        """A car is plugged in."""
        self.connectors[connector_id].car = True
        self._changed()

    def leave(self, connector_id: int) -> None:
        """The car is unplugged; a session ends with that."""
        connector = self.connectors[connector_id]
        if connector.charging:
            self.stop(connector_id, reason=Reason.EV_DISCONNECTED)
        connector.car = connector.locked = False
        self._changed()

    def present_tag(self, connector_id: int, id_tag: str) -> str:
        """A tag is held to the reader; gives the event's id."""
        if connector_id:
            self.connectors[connector_id].tag_accepted = None
        return self._request(
            TagPresented(
                event_id=self._next(), connector_id=connector_id, at=self.clock.now(), id_tag=id_tag
            )
        )

    def start(self, connector_id: int, id_tag: str) -> str:
        """The PLC begins a session; gives the event's id."""
        self.measure()
        connector = self.connectors[connector_id]
        connector.charging = connector.locked = True
        connector.id_tag = id_tag
        connector.transaction_id = connector.start_accepted = None
        return self._request(
            StartWanted(
                event_id=self._next(),
                connector_id=connector_id,
                at=self.clock.now(),
                id_tag=id_tag,
                meter_start_wh=round(connector.energy_wh),
            )
        )

    def stop(self, connector_id: int, reason: Reason | None = None) -> str:
        """The PLC ends the session; gives the event's id."""
        self.measure()
        connector = self.connectors[connector_id]
        connector.charging = connector.locked = False
        return self._request(
            StopWanted(
                event_id=self._next(),
                connector_id=connector_id,
                at=self.clock.now(),
                meter_stop_wh=round(connector.energy_wh),
                id_tag=connector.id_tag,
                transaction_id=connector.transaction_id,
                reason=reason,
            )
        )

    def charge(self, connector_id: int, wh: float) -> None:
        """The meter moves."""
        self.connectors[connector_id].energy_wh += wh
        self._changed()

    def break_down(self, connector_id: int, fault: str | None) -> None:
        """A fault, or its end."""
        self.connectors[connector_id].fault = fault
        self._changed()

    def go_offline(self) -> None:
        """The cable to the PLC is pulled."""
        self.reachable = False
        self._changed()

    def come_online(self) -> None:
        self.reachable = True
        self._changed()

    def halt(self) -> None:
        """The PLC's program stops."""
        self.running = False
        self._changed()

    def run(self) -> None:
        """The PLC's program starts."""
        self.running = True
        self._changed()

    # What a driver sees and does

    def watch(self, call: Callable[[], None]) -> None:
        """``call`` is told of every change."""
        self._watchers.append(call)

    def unwatch(self, call: Callable[[], None]) -> None:
        self._watchers.remove(call)

    def acknowledge(self, event: Event) -> None:
        """The driver has it: the PLC takes its request down."""
        self.requests = [request for request in self.requests if request is not event]

    def measure(self) -> None:
        """Moves the meters on to now."""
        now = self.clock.monotonic()
        gained = self.options.power * (now - self._metered) / 3600
        self._metered = now
        for connector in self.connectors.values():
            if connector.charging:
                connector.energy_wh += gained

    def status(self, connector_id: int) -> ConnectorStatus:
        return self.connectors[connector_id].status(connector_id, self.clock.now())

    def reading(self, connector_id: int) -> Reading:
        connector = self.connectors[connector_id]
        return connector.reading(connector_id, self.clock.now(), self.options.power)

    def obey(self, command: Command) -> None:
        """Does a command, or says no with :class:`PlcRefused`."""
        match command:
            case AnswerTag() | AnswerStart() | AnswerStop():
                self._answered(command)
            case AnswerBoot():
                self.boots.append(command)
                self.time = command.time
            case SetTime(time=time):
                self.time = time
            case ResetPlc():
                self.resets.append(command)
            case Configure(key=key, value=value):
                self.configuration[key] = value
            case _:
                self._obey_at_connector(command)
        self._changed()

    def _obey_at_connector(self, command: Command) -> None:
        number = getattr(command, "connector_id", 0)
        connector = self.connectors.get(number)
        if connector is None:
            raise PlcRefused(f"there is no connector {number}")
        match command:
            case SetAvailability(available=available):
                connector.available = available
            case Unlock():
                connector.locked = False
            case LimitCurrent(amperes=amperes):
                connector.limit = amperes
            case CancelReserve(reservation_id=reservation_id):
                if connector.reserved and connector.reserved.reservation_id == reservation_id:
                    connector.reserved = None
            case RemoteStart() | RemoteStop() | Reserve():
                self._begin_or_end(connector, command)
            case _:
                raise PlcUnsupported(f"the simulated PLC has no {type(command).__name__}")

    def _begin_or_end(
        self, connector: SimulatedConnector, command: RemoteStart | RemoteStop | Reserve
    ) -> None:
        """Whether a reservation's tag may charge is not asked here: only the station knows
        the tags of a group."""
        number = command.connector_id
        if connector.charging == isinstance(command, RemoteStart | Reserve):
            state = "charging already" if connector.charging else "not charging"
            raise PlcRefused(f"connector {number} is {state}")
        match command:
            case RemoteStart(id_tag=id_tag):
                self.start(number, id_tag)
            case RemoteStop():
                self.stop(number, reason=Reason.REMOTE)
            case Reserve():
                connector.reserved = command

    def _answered(self, answer: AnswerTag | AnswerStart | AnswerStop) -> None:
        self.answers.append(answer)
        connector = self.connectors.get(answer.connector_id)
        if connector is None:
            return
        if isinstance(answer, AnswerTag):
            connector.tag_accepted = answer.accepted
        elif isinstance(answer, AnswerStart) and answer.current:
            connector.transaction_id = answer.transaction_id
            connector.start_accepted = answer.accepted
            if not answer.accepted:
                connector.charging = connector.locked = False

    def _request(self, event: Event) -> str:
        self.requests.append(event)
        self._changed()
        return event.event_id

    def _next(self) -> str:
        """The sequence register; it comes round again as a 16-bit one does."""
        self._sequence = (self._sequence + 1) % 2**16
        return str(self._sequence)

    def _changed(self) -> None:
        for call in tuple(self._watchers):
            call()
