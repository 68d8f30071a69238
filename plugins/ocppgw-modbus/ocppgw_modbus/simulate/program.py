"""The program of the simulated PLC: it runs the sessions itself and asks the gateway."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from ocppgw.ocpp.enums import ChargePointStatus as Status
from ocppgw.ocpp.enums import Measurand, Reason
from ocppgw_modbus.bound import TEXTS, BoundCommand, BoundMap, BoundMeter, BoundStatus, Point
from ocppgw_modbus.simulate.connector import FULL_POWER, Connector, Reserved
from ocppgw_modbus.simulate.handshakes import CommandIn, EventOut, Fields, Raised, Tell, Verdict
from ocppgw_modbus.simulate.keys import KeysIn
from ocppgw_modbus.simulate.registers import Registers, SimValue, places
from ocppgw_modbus.spec import CommandField as F
from ocppgw_modbus.spec import CommandKind as K
from ocppgw_modbus.spec import EventField, EventKind

BOOT_SECONDS = 1.0  # simulated
VOLTAGE = 230.0

IDENTITY = {
    "vendor": "ocppgw",
    "model": "Demo PLC",
    "serial_number": "PLC-0001",
    "software_version": "1.0.0",
    "meter_type": "simulated",
    "meter_serial_number": "M-0001",
}

# What a map without the finer states of OCPP 1.6 has instead.
COARSER = {
    Status.PREPARING: (Status.OCCUPIED, Status.AVAILABLE),
    Status.CHARGING: (Status.OCCUPIED,),
    Status.FINISHING: (Status.OCCUPIED, Status.AVAILABLE),
    Status.RESERVED: (Status.UNAVAILABLE, Status.AVAILABLE),
    Status.UNAVAILABLE: (Status.FAULTED,),
}


class Behaviour:
    """How the program is told to misbehave, and what makes a demo lively."""

    def __init__(self) -> None:
        self.refuse: set[K] = set()
        self.ignore: set[K] = set()
        self.halted = False
        self.car_after_remote_start: float | None = 3.0


class Program:
    """One :meth:`scan` is one cycle: read what the gateway wrote, work, write."""

    def __init__(
        self,
        bound: BoundMap,
        registers: Registers,
        tell: Tell,
        *,
        connectors: int,
        energy: float,
        sequence: int,
        identity: Mapping[str, str],
        drop_connections: Callable[[], None],
    ) -> None:
        self._bound = bound
        self._registers = registers
        self._tell = tell
        self._drop_connections = drop_connections
        self._identity = {**IDENTITY, **identity}
        self.behaviour = Behaviour()
        self.accepted = False
        self.clock: datetime | None = None
        self.life_writes = 0
        self._events = {
            event.key: EventOut(event, registers, tell, sequence=sequence) for event in bound.events
        }
        self.connectors = {
            number: Connector(
                number, self._events_of(number), tell, energy=energy + 1000.0 * number
            )
            for number in range(1, connectors + 1)
        }
        for event in self._events.values():
            event.when_acknowledged(self._acknowledged(event))
        self._commands = [
            CommandIn(command, registers, tell, self._decide)
            for command in bound.commands.values()
            if command.connector <= connectors and not (command.keys and command.request is None)
        ]
        configure = bound.command(K.CONFIGURE, 0)
        self._keys = KeysIn(configure.keys if configure else {}, registers, tell)
        self._booting = BOOT_SECONDS
        self._restart_wanted = False

    def _events_of(self, connector: int) -> dict[EventKind, EventOut]:
        found: dict[EventKind, EventOut] = {}
        for event in self._bound.events:
            if event.connector in (0, connector):
                found[event.kind] = self._events[event.key]
        return found

    def _acknowledged(self, event: EventOut) -> Callable[[Raised], None]:
        def call(raised: Raised) -> None:
            number = event.bound.connector or int(raised.fields[EventField.CONNECTOR])
            self.connectors[number].acknowledged(event.bound.kind, raised)

        return call

    def restart(self, *, forgetful: bool = False) -> None:
        """A power cut: registers fall to zero, what is retained comes back after a moment."""
        self._tell("restarted", 0, "", "the PLC restarts")
        self._drop_connections()
        self._registers.clear()
        self._booting = BOOT_SECONDS
        self.accepted = False
        for command in self._commands:
            command.restart()
        for event in self._events.values():
            event.restart(forgetful=forgetful)
        for connector in self.connectors.values():
            connector.restart(forgetful=forgetful)

    def scan(self, seconds: float) -> None:
        """One cycle."""
        if self.behaviour.halted:
            return
        if self._booting > 0:
            self._booting -= seconds
            if self._booting > 0:
                return
            self._tell("running", 0, "", "the PLC's program runs")
        self._count_life()
        for command in self._commands:
            command.scan()
        self._keys.scan()
        self._registers.written.clear()
        if self._restart_wanted and all(command.idle for command in self._commands):
            self._restart_wanted = False
            self.restart()
            return
        if self.clock is not None:
            self.clock += timedelta(seconds=seconds)
        for connector in self.connectors.values():
            connector.connection_timeout = self._keys.connection_timeout
            connector.scan(seconds)
        for event in self._events.values():
            event.scan()
        self._show()

    def _count_life(self) -> None:
        for cyclic in self._bound.cyclic:
            if any(place in self._registers.written for place in places(cyclic.register)):
                self.life_writes += 1

    # Outputs

    def _show(self) -> None:
        identity = self._bound.identity
        if identity.running is not None:
            self._registers.put(identity.running, 1)
        for field, point in identity.texts.items():
            self._registers.put(point, _shown(point, self._identity[field]))
        for status in self._bound.statuses:
            if status.connector in self.connectors:
                self._show_status(status, self.connectors[status.connector])
        for meter in self._bound.meters:
            connector = self.connectors.get(meter.connector)
            if connector is not None:
                value = _quantity(meter, connector) / float(meter.factor)
                self._registers.put(meter.register, [value] * meter.register.phases)

    def _show_status(self, status: BoundStatus, connector: Connector) -> None:
        wanted = connector.status
        for candidate in (wanted, *COARSER.get(wanted, ())):
            for value, meaning in status.values.items():
                if meaning is candidate:
                    self._registers.put(status.register, value)
                    if status.error is not None:
                        self._registers.put(status.error, connector.fault)
                    return

    # Commands

    def _decide(self, bound: BoundCommand, connector: int, fields: Fields) -> Verdict:
        if bound.kind in self.behaviour.ignore:
            return Verdict.SILENCE
        if bound.kind in self.behaviour.refuse:
            return Verdict.REFUSED
        if connector:
            chosen = self.connectors.get(connector)
            done = chosen is not None and self._for_connector(bound.kind, chosen, fields)
        else:
            done = self._for_station(bound.kind, fields)
        return Verdict.ACCEPTED if done else Verdict.REFUSED

    def _for_station(self, kind: K, fields: Fields) -> bool:
        if kind is K.ANSWER_BOOT:
            self.accepted = bool(fields.get(F.ACCEPTED, 1))
            event = "accepted" if self.accepted else "not accepted"
            self._tell(event, 0, "", f"the station is {event} by the central system")
        if kind in (K.ANSWER_BOOT, K.TIME) and F.TIME in fields:
            self._set_clock(fields)
        if kind in (K.RESET, K.RESET_SOFT, K.RESET_HARD):
            self._restart_wanted = True
        if kind is K.AVAILABILITY:
            for connector in self.connectors.values():
                connector.put_in_service(bool(fields[F.AVAILABLE]))
        return True

    def _set_clock(self, fields: Fields) -> None:
        self.clock = _moment(fields[F.TIME])

    def _for_connector(self, kind: K, connector: Connector, fields: Fields) -> bool:
        tag = str(fields.get(F.ID_TAG, ""))
        transaction = int(fields.get(F.TRANSACTION, 0))
        if kind is K.REMOTE_START:
            if not connector.may_start():
                return False
            connector.remote_start(tag, car_after=self.behaviour.car_after_remote_start)
        elif kind is K.REMOTE_STOP:
            if not connector.charges_on(transaction):
                return False
            connector.stop(Reason.REMOTE)
        elif kind is K.ANSWER_TAG:
            sequence = int(fields.get(F.SEQUENCE, 0))
            connector.tag_answered(bool(fields[F.ACCEPTED]), sequence, tag)
        elif kind is K.ANSWER_START:
            sequence = int(fields.get(F.SEQUENCE, 0))
            connector.start_answered(bool(fields[F.ACCEPTED]), transaction, sequence)
        elif kind is K.RESERVE:
            return connector.reserve(self._reserved(fields))
        else:
            self._set_state(kind, connector, fields)
        return True

    def _reserved(self, fields: Fields) -> Reserved:
        """Without a moment or a clock to tell it, a reservation lasts until it is cancelled."""
        seconds = math.inf
        if F.EXPIRES in fields and self.clock is not None:
            seconds = (_moment(fields[F.EXPIRES]) - self.clock).total_seconds()
        return Reserved(
            reservation=int(fields.get(F.RESERVATION, 0)),
            id_tag=str(fields.get(F.ID_TAG, "")),
            seconds=seconds,
        )

    def _set_state(self, kind: K, connector: Connector, fields: Fields) -> None:
        if kind is K.AVAILABILITY:
            connector.put_in_service(bool(fields[F.AVAILABLE]))
        elif kind is K.UNLOCK:
            connector.unlock()
        elif kind is K.LIMIT_CURRENT:
            connector.limit = min(FULL_POWER, 3 * VOLTAGE * float(fields[F.AMPERES]))
        elif kind is K.CANCEL_RESERVATION:
            known = F.RESERVATION in fields
            connector.cancel_reservation(int(fields[F.RESERVATION]) if known else None)


def _shown(point: Point, text: str) -> SimValue:
    """An identity's text; a register for numbers shows the digits in it."""
    if point.type in TEXTS:
        return text
    return int("".join(one for one in text if one.isdigit()) or "0")


def _moment(value: SimValue) -> datetime:
    """A time in seconds or milliseconds since 1970: no other could be that large."""
    seconds = float(value)
    return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)


def _quantity(meter: BoundMeter, connector: Connector) -> float:
    """A measurand of a connector, for each phase, in the unit it is reported in."""
    power, phases = connector.power, meter.register.phases
    if meter.measurand is Measurand.ENERGY_ACTIVE_IMPORT_REGISTER:
        return float(int(connector.kept.energy))
    if meter.measurand is Measurand.POWER_ACTIVE_IMPORT:
        return power / phases
    if meter.measurand is Measurand.VOLTAGE:
        return VOLTAGE
    if meter.measurand is Measurand.CURRENT_IMPORT:
        return power / 3 / VOLTAGE
    return 0.0
