"""The devices of a station, and what they say together.

Each device counts connectors as its map does and knows nothing of the others; here its
numbers become the station's, and what several devices see becomes one station's word.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ocppgw.plc import (
    ConnectorStatus,
    Event,
    Identity,
    Measured,
    Observation,
    Offline,
    Online,
    Reading,
    Station,
)
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.device import Device
from ocppgw_modbus.spec import CommandKind

log = logging.getLogger(__name__)


class Numbering(msgspec.Struct, frozen=True, kw_only=True):
    """How the connectors of a map are those of the station.

    ``count`` connectors of the map are there; ``at`` is the station's connector that
    connector 1 of the map is (or all of the map, if it has none), ``None``: the same.
    """

    count: int
    at: int | None = None

    def outward(self, connector: int) -> int:
        """The station's number of a connector of the map."""
        if self.at is None or (connector == 0 and self.count):
            return connector
        return self.at

    def inward(self, connector: int) -> tuple[int, ...]:
        """The map's numbers of a connector of the station, the most particular first."""
        own = range(self.count, -1, -1)
        return tuple(number for number in own if self.outward(number) == connector)


class Part(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One device of a station; the only one has no ``name``."""

    station: str
    name: str
    bound: BoundMap
    numbering: Numbering
    required: bool
    device: Device

    @property
    def label(self) -> str:
        """Its name and map, for people."""
        return f"{self.name} ({self.bound.name})" if self.name else self.bound.name

    @property
    def prefix(self) -> str:
        """What its notes and the ids of its events begin with."""
        return f"{self.name}/" if self.name else ""

    def event_of(self, event_id: str) -> str:
        """The device's own id of an event of the station; empty: it is of another device."""
        own = event_id.startswith(self.prefix)
        return event_id.removeprefix(self.prefix) if own else ""

    def __hash__(self) -> int:
        return id(self)


def doers_of(
    parts: Sequence[Part], kind: CommandKind, connector: int, connectors: int
) -> list[tuple[Part, int]]:
    """The devices that do that at a connector of the station, of which there are so many,
    each with its own number of it."""
    found = []
    for part in parts:
        numbers = part.numbering.inward(connector)
        if kind is CommandKind.ANSWER_TAG and connectors == 1:
            numbers += part.numbering.inward(1 - connector)
        found += [(part, number) for number in numbers if part.device.does(kind, number)][:1]
    return found


class Whole:
    """What the station is told: it is online once every device is that it needs.

    ``back`` is called when one comes that the station is already online without.
    """

    def __init__(
        self, parts: Sequence[Part], station: Station, back: Callable[[Part], object]
    ) -> None:
        self._parts = parts
        self._station = station
        self._back = back
        self._reasons: dict[Part, str | None] = {}
        self._online = False
        self._said: str | None = None
        self._identity: Identity | None = None
        self._identities: dict[Part, Identity] = {}
        self._statuses: dict[Part, dict[int, ConnectorStatus]] = {p: {} for p in parts}
        self._readings: dict[Part, dict[int, Reading]] = {p: {} for p in parts}

    def saw(self, part: Part, observation: Observation) -> None:
        """Takes what one device saw, in the station's numbers."""
        match observation:
            case Online():
                if self._online and self._reasons.get(part) is not None:
                    log.info("%s: the device %s is back", part.station, part.label)
                self._reasons[part] = None
                if self._online:
                    self._back(part)
                self._perhaps_online()
            case Offline(reason=reason):
                self._went_offline(part, reason)
            case Identity():
                self._identities[part] = observation
                self._say_identity()
            case ConnectorStatus():
                self._statuses[part][observation.connector_id] = observation
                if self._online:
                    self._station.saw(observation)
            case Reading():
                self._readings[part][observation.connector_id] = observation
                if self._online:
                    self._station.saw(self._merged(observation))

    def _perhaps_online(self) -> None:
        if self._online or any(
            part.required and self._reasons.get(part, "") is not None for part in self._parts
        ):
            return
        self._online = True
        self._said = None
        self._station.saw(Online())
        # The others were there already, and are not going to repeat themselves.
        self._identity = None
        self._say_identity()
        for part in self._parts:
            for status in self._statuses[part].values():
                self._station.saw(status)
        for reading in self._newest_readings():
            self._station.saw(self._merged(reading))

    def _went_offline(self, part: Part, reason: str) -> None:
        """What the device said before counts no longer."""
        was_there = self._reasons.get(part) is None
        self._reasons[part] = reason
        self._identities.pop(part, None)
        self._statuses[part].clear()
        self._readings[part].clear()
        if not part.required:
            if was_there:
                text = "%s: the device %s is offline, the station goes on: %s"
                log.warning(text, part.station, part.label, reason)
            return
        self._online = False
        said = "; ".join(
            f"{one.name}: {why}" if one.name else why
            for one in self._parts
            if one.required and (why := self._reasons.get(one)) is not None
        )
        if said != self._said:
            self._said = said
            self._station.saw(Offline(reason=said))

    def _say_identity(self) -> None:
        """Who the station is, once every device that is there has said its part."""
        there = [part for part in self._parts if self._reasons.get(part, "") is None]
        if not self._online or any(part not in self._identities for part in there):
            return
        texts: dict[str, str] = {}
        for part in there:
            for field in Identity.__struct_fields__:
                text = getattr(self._identities[part], field)
                if isinstance(text, str):
                    texts.setdefault(field, text)
        running = all(self._identities[part].running for part in there)
        identity = Identity(running=running, **(texts if running else {}))
        if identity != self._identity:
            self._identity = identity
            self._station.saw(identity)

    def _newest_readings(self) -> list[Reading]:
        newest: dict[int, Reading] = {}
        for readings in self._readings.values():
            for connector, reading in readings.items():
                if connector not in newest or newest[connector].at < reading.at:
                    newest[connector] = reading
        return list(newest.values())

    def _merged(self, newest: Reading) -> Reading:
        """All that the devices measure at that connector, at the time of the newest."""
        values: list[Measured] = []
        for part in self._parts:
            reading = self._readings[part].get(newest.connector_id)
            if reading is not None:
                values += reading.values
        return msgspec.structs.replace(newest, values=tuple(values))


class PartStation:
    """The :class:`Station` that one device sees: its own numbers, events and notes."""

    def __init__(self, part: Part, whole: Whole, station: Station) -> None:
        self._part = part
        self._whole = whole
        self._station = station
        self._prefix = part.prefix

    def saw(self, observation: Observation) -> None:
        if isinstance(observation, (ConnectorStatus, Reading)):
            number = self._part.numbering.outward(observation.connector_id)
            observation = msgspec.structs.replace(observation, connector_id=number)
        self._whole.saw(self._part, observation)

    async def take(self, event: Event, *, remember: Mapping[str, str] | None = None) -> None:
        number = self._part.numbering.outward(event.connector_id)
        notes = {self._prefix + key: text for key, text in (remember or {}).items()}
        event_id = self._prefix + event.event_id
        await self._station.take(
            msgspec.structs.replace(event, connector_id=number, event_id=event_id), remember=notes
        )

    async def remember(self, notes: Mapping[str, str | None]) -> None:
        await self._station.remember({self._prefix + key: text for key, text in notes.items()})

    def notes(self) -> Mapping[str, str]:
        whole = self._station.notes()
        if not self._prefix:
            return whole
        return {
            key.removeprefix(self._prefix): text
            for key, text in whole.items()
            if key.startswith(self._prefix)
        }
