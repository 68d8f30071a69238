"""The PLC contract: what a driver tells the station, and what the station asks of it.

Three kinds of thing pass between a driver and the charge box:

* **observations** (driver → station): what the driver saw in a poll. Handed over with
  ``station.saw``, which returns at once; the newest replaces the one before.
* **events** (driver → station): something somebody did that must not be lost (a tag, a
  start, a stop). Handed over with ``await station.take``; when it returns the event and
  the driver's hand-shake notes are durable, and only then may the driver acknowledge.
* **commands** (station → driver): executed with ``await driver.execute``, which returns
  when the PLC has done it, or raises the one reason why not.

Energy is in whole Wh, power in W, current in A, voltage in V. Connectors count from 1;
0 is the whole station (its main meter, its tag reader).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from ocppgw.clock import Clock
from ocppgw.ocpp.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Phase,
    Reason,
    UnitOfMeasure,
)

STATION = 0

# Observations


class Online(msgspec.Struct, frozen=True, kw_only=True):
    """The driver reads the PLC again."""


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """The driver lost the PLC; ``reason`` is one sentence for the operator."""

    reason: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the station is (O-14, O-29); what the PLC does not say comes from the YAML.

    ``running`` is the PLC's own word that its program runs (BN_PLC_RUNNING): the
    charge box does not boot towards the central system before.
    """

    running: bool = True
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    software_version: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


class ConnectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a connector (0: of the station)."""

    connector_id: int
    status: ChargePointStatus
    error_code: ChargePointErrorCode = ChargePointErrorCode.NO_ERROR
    info: str | None = None
    vendor_error_code: str | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity, in the unit given."""

    measurand: Measurand
    value: float
    unit: UnitOfMeasure
    phase: Phase | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the meter of a connector showed at one poll.

    Values that made no sense are left out by the driver, with a warning.
    """

    connector_id: int
    at: datetime
    values: tuple[Measured, ...]

    @property
    def energy_wh(self) -> int | None:
        """The active import register in Wh, if it was read."""
        for value in self.values:
            if (
                value.measurand is Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
                and value.unit is UnitOfMeasure.WH
                and value.phase is None
            ):
                return round(value.value)
        return None


Observation: TypeAlias = Online | Offline | Identity | ConnectorStatus | Reading


# Events


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be lost.

    ``event_id`` is the same whenever the same event is handed over again, and differs
    from that of every other event of the station.
    """

    event_id: str
    connector_id: int
    at: datetime


class TagPresented(Event, frozen=True, kw_only=True):
    """A tag was held to the reader; answered by :class:`AnswerTag`."""

    id_tag: str


class StartWanted(Event, frozen=True, kw_only=True):
    """The PLC starts a session; answered by :class:`AnswerStart`."""

    id_tag: str
    meter_start_wh: int


class StopWanted(Event, frozen=True, kw_only=True):
    """The PLC ended a session; answered by :class:`AnswerStop`.

    ``transaction_id`` is what the PLC believes it is, ``None`` if it does not say.
    """

    meter_stop_wh: int
    id_tag: str | None = None
    transaction_id: int | None = None
    reason: Reason | None = None


# Commands


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something the PLC is to do or to know; harmless when repeated."""


class AnswerTag(Command, frozen=True, kw_only=True):
    """The answer to the :class:`TagPresented` with that event id.

    Repeated until it is taken; once nobody stands there any more (``tag_answer_age``), as
    a refusal.
    """

    event_id: str
    connector_id: int
    id_tag: str
    accepted: bool


class AnswerStart(Command, frozen=True, kw_only=True):
    """The answer to the :class:`StartWanted` with that event id.

    A transaction id is there even for a refused start, since OCPP gives one. After an
    outage the answer may come when that session has ended; ``current`` is false if another
    one runs on the connector by now. A device that cannot tell from the answer which start
    it means must not be given such a one: it would end the wrong session.
    """

    event_id: str
    connector_id: int
    accepted: bool
    transaction_id: int
    current: bool = True


class AnswerStop(Command, frozen=True, kw_only=True):
    """The :class:`StopWanted` with that event id has been booked."""

    event_id: str
    connector_id: int


class AnswerBoot(Command, frozen=True, kw_only=True):
    """Whether the central system accepted the station, and its time (O-14)."""

    accepted: bool
    time: datetime


class SetTime(Command, frozen=True, kw_only=True):
    """The central system's time from a heartbeat (O-15, O-34)."""

    time: datetime


class SetAvailability(Command, frozen=True, kw_only=True):
    """Takes a connector (0: the station) into or out of service (O-23)."""

    connector_id: int
    available: bool


class Unlock(Command, frozen=True, kw_only=True):
    """Opens the lock of a connector (O-24)."""

    connector_id: int


class RemoteStart(Command, frozen=True, kw_only=True):
    """Asks the PLC to start a session (O-21); it then raises :class:`StartWanted`."""

    connector_id: int
    id_tag: str


class RemoteStop(Command, frozen=True, kw_only=True):
    """Asks the PLC to end a session (O-22); it then raises :class:`StopWanted`."""

    connector_id: int
    transaction_id: int


class Reserve(Command, frozen=True, kw_only=True):
    """Reserves a connector (O-25)."""

    connector_id: int
    reservation_id: int
    id_tag: str
    expires_at: datetime


class CancelReserve(Command, frozen=True, kw_only=True):
    """Ends a reservation (O-25)."""

    connector_id: int
    reservation_id: int


class Configure(Command, frozen=True, kw_only=True):
    """A configuration key of the station, in force from now on (O-27).

    ``value`` is its text as GetConfiguration reports it. :class:`PlcUnsupported` where
    the device has no place for that key.
    """

    key: str
    value: str


class LimitCurrent(Command, frozen=True, kw_only=True):
    """The most a connector may draw, in amperes."""

    connector_id: int
    amperes: float


class ResetPlc(Command, frozen=True, kw_only=True):
    """Restarts the station; ``hard`` means its hardware."""

    hard: bool


# Why a command was not done


class PlcError(Exception):
    """The command was not done; the message is one sentence for the operator."""


class PlcOffline(PlcError):
    """There is no connection to the PLC; nothing was written."""


class PlcRefused(PlcError):
    """The PLC said no."""


class PlcUnsupported(PlcRefused):
    """The map or the device has no way to do it."""


class PlcTimeout(PlcError):
    """The PLC did not answer in time.

    ``withdrawn`` says whether the request could be taken back; if not, the operator
    is told that it may still happen.
    """

    def __init__(self, message: str, *, withdrawn: bool) -> None:
        super().__init__(message)
        self.withdrawn = withdrawn


class Station(Protocol):
    """What a driver sees of the charge box it works for."""

    def saw(self, observation: Observation) -> None:
        """Takes what a poll showed; returns at once, never raises."""

    async def take(self, event: Event, *, remember: Mapping[str, str] | None = None) -> None:
        """Takes an event; when this returns, it and the notes are durable together.

        A known ``event_id`` is not taken twice; the notes are stored all the same, and
        a start or stop gets its answer once more.
        Raises ``storage.StorageError`` when it could not be made durable: the driver
        must not acknowledge then, and hands it over again later.
        """

    async def remember(self, notes: Mapping[str, str | None]) -> None:
        """Makes notes of the driver durable; ``None`` removes one."""

    def notes(self) -> Mapping[str, str]:
        """The notes as they stand, e.g. after a restart."""


class Driver(ABC):
    """A PLC in reach of a charge box. Made by :attr:`PlcDriver.open`."""

    @abstractmethod
    async def run(self, station: Station) -> None:
        """Connects, polls and reconnects for ever; ends only by cancellation.

        Never waits for storage or network in its poll loop, and lets go of every
        socket and task when cancelled.
        """

    @abstractmethod
    async def execute(self, command: Command, deadline: float) -> None:
        """Returns when the PLC has done the command; raises :class:`PlcError` if not.

        ``deadline`` is in seconds from now. A request that was put to the PLC and not
        answered is withdrawn before :class:`PlcTimeout` is raised, where the device
        lets one.
        """

    @abstractmethod
    def supports(self, command: type[Command]) -> bool:
        """Whether this device has a way to do that command."""


class DriverContext(msgspec.Struct, frozen=True):
    """What a driver may need when it is made.

    ``base`` is the folder that relative paths in the options start from, ``keys`` are the
    configuration keys that :class:`Configure` may bring (none: not told).
    """

    station: str
    connectors: int
    base: Path
    clock: Clock
    keys: frozenset[str] = frozenset()


class PlcDriver(msgspec.Struct, frozen=True):
    """What a plugin registers (hook ``ocppgw_plc_drivers``).

    ``options_type`` is the msgspec Struct of the driver's keys in the YAML file, less
    ``driver`` itself; ``open(options, context)`` gives the :class:`Driver` without any
    I/O to the device, or raises ``ocppgw.errors.UserError`` (a wrong map).
    """

    name: str
    options_type: type[msgspec.Struct]
    open: Callable[..., Driver]
    description: str = ""
