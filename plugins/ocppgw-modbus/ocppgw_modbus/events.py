"""Doing what the table of :mod:`ocppgw_modbus.eventshake` asks for, one hand-shake each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from ocppgw.clock import Clock
from ocppgw.ocpp.enums import Reason
from ocppgw.plc import Event, StartWanted, Station, StopWanted, TagPresented
from ocppgw.storage import StorageError
from ocppgw_modbus.bound import BoundEvent, Point
from ocppgw_modbus.bus import Bus, Urgency
from ocppgw_modbus.codec import Value
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.eventshake import Act, EventId, Seen, identify, next_act
from ocppgw_modbus.failures import DeviceSaysNo, Lost
from ocppgw_modbus.sense import Sense
from ocppgw_modbus.spec import EventField, EventKind
from ocppgw_modbus.watch import Words

log = logging.getLogger(__name__)

FRESH = 10.0  # seconds that a reading may be old at which a session begins
ENERGY_SOON = 10.0  # seconds that the next reading may take before it is worth a word
RETRY_STORAGE = 1.0  # seconds to wait after the station could not make an event durable
LARGEST_TRANSACTION = 2**31 - 1


class _NoEnergyError(Exception):
    """The energy of an event is not known yet."""


class EventHandshake:
    """One hand-shake that the PLC begins.

    :meth:`polled` looks at what a poll read and gives the work to be done, if any, as a
    coroutine for a task of its own: the poll loop never waits for storage.
    """

    def __init__(
        self,
        bound: BoundEvent,
        *,
        name: str,
        connectors: int,
        clock: Clock,
        sense: Sense,
        fresh: Callable[[], str],
        energies: Energies,
    ) -> None:
        self.bound = bound
        self._name = name
        self._connectors = connectors
        self._clock = clock
        self._sense = sense
        self._fresh = fresh
        self._energies = energies
        self._raised_at: float | None = None
        self._busy = False
        self._verified = False
        self._not_before = 0.0
        self._trouble: str | None = None

    @property
    def points(self) -> Iterator[tuple[str, Point]]:
        """What has to be polled for this, all in the poll group of the request."""
        for one in (self.bound.request, self.bound.acknowledge, self.bound.sequence):
            if one is not None:
                yield self.bound.request.poll, one

    def reconnected(self) -> None:
        """The PLC may be another one by now: compare before acknowledging again."""
        self._verified = False

    def polled(self, words: Words, station: Station, bus: Bus) -> Coroutine[Any, Any, None] | None:
        """The work that this poll asks for; ``None`` if there is none, or some goes on."""
        if self._busy or self._clock.monotonic() < self._not_before:
            return None
        seen = self._seen(words)
        if seen is None:
            return None
        act = next_act(self._note(station), seen, verified=self._verified)
        if act is not Act.FETCH:
            self._raised_at = None
        elif self._raised_at is None:
            self._raised_at = self._clock.monotonic()
        if act is Act.NOTHING:
            return None
        self._busy = True
        return self._do(act, station, bus)

    def _note(self, station: Station, suffix: str = "") -> EventId | None:
        text = station.notes().get(self.bound.key + suffix)
        return None if text is None else EventId.parse(text)

    def _seen(self, words: Words) -> Seen | None:
        """The hand-shake's registers, or ``None`` if they were not read or make no sense."""
        bound = self.bound
        wanted = [bound.request, bound.acknowledge]
        if bound.sequence is not None:
            wanted.append(bound.sequence)
        if any(point not in words for point in wanted):
            return None

        def objection(value: Value) -> str | None:
            expected = (bound.up, bound.down)
            return None if value in expected else f"{value} is neither up nor down"

        request = self._sense.value(bound.request, words[bound.request], objection)
        acknowledge = self._sense.value(bound.acknowledge, words[bound.acknowledge])
        sequence = None
        if bound.sequence is not None:
            sequence = self._sense.value(bound.sequence, words[bound.sequence])
        if request is None or acknowledge is None:
            return None
        return Seen(
            request=request == bound.up,
            acknowledge=acknowledge == bound.up,
            sequence=sequence if isinstance(sequence, int) else None,
        )

    async def _do(self, act: Act, station: Station, bus: Bus) -> None:
        bound = self.bound
        try:
            if act is Act.FETCH:
                await self._fetch(station, bus)
            elif act is Act.RAISE:
                await bus.write(bound.acknowledge, bound.up, Urgency.COMMAND)
            else:
                if act is Act.FORGET:
                    await station.remember({bound.key: None})
                await bus.write(bound.acknowledge, bound.down, Urgency.COMMAND)
            self._trouble = None
        except _NoEnergyError as error:
            if self._clock.monotonic() - self._raised >= ENERGY_SOON:
                self._complain(str(error))
        except StorageError as error:
            self._not_before = self._clock.monotonic() + RETRY_STORAGE
            self._complain(f"not acknowledged, tried again: {error}")
        except DeviceSaysNo as error:
            self._complain(f"the PLC answers {error} to the hand-shake's registers")
        except Lost:
            pass  # the poll loop meets it too, says so and reconnects
        finally:
            self._busy = False

    def _complain(self, why: str) -> None:
        if self._trouble != why:
            self._trouble = why
            log.warning("%s: hand-shake %s: %s", self._name, self.bound.key, why)

    async def _fetch(self, station: Station, bus: Bus) -> None:
        """Reads the event whole, after its request was seen up, and has it taken.

        The poll may have read the fields before the PLC wrote them and the request after.
        """
        bound = self.bound
        words = await bus.read(bound.points, Urgency.COMMAND)
        if self._sense.value(bound.request, words[bound.request]) != bound.up:
            return
        fields = self._fields(words)
        if fields is None:
            return
        sequence = self._sequence(words)
        if sequence is None and bound.sequence is not None:
            return
        note = self._note(station)
        turn = self._turn(fields)
        event_id = identify(
            bound.key,
            bound.kind,
            sequence=sequence,
            fields={field.value: value for field, value in fields.items()},
            note=note,
            last=self._note(station, ".last"),
            went_on=station.notes().get(turn) != bound.kind.value,
            fresh=self._fresh,
        )
        if event_id != note:
            event = self._event(str(event_id), fields, self._meter(fields))
            notes = {bound.key: str(event_id)}
            if sequence is not None:
                notes[bound.key + ".last"] = str(event_id)
                if bound.kind is not EventKind.TAG:
                    notes[turn] = bound.kind.value
            await station.take(event, remember=notes)
        self._verified = True
        await bus.write(bound.acknowledge, bound.up, Urgency.COMMAND)

    def _meter(self, fields: Mapping[EventField, Value | None]) -> int:
        """The event's energy in Wh: its own, or that of the connector's meter.

        Raises :class:`_NoEnergyError` until there is one; it is never invented. A session
        ends with what the meter shows after the PLC has said so.
        """
        if self.bound.kind is EventKind.TAG:
            return 0
        meter = fields.get(EventField.METER)
        if isinstance(meter, int):
            return meter
        since = self._raised if self.bound.kind is EventKind.STOP else self._raised - FRESH
        connector = self._connector(fields)
        energy = self._energies.newest(connector, since)
        if energy is None:
            raise _NoEnergyError(
                f"it has no meter field, and no device reads the energy of connector {connector};"
                " it is not acknowledged before one does"
            )
        return energy

    @property
    def _raised(self) -> float:
        """Since when the request is seen up, in monotonic time."""
        return self._clock.monotonic() if self._raised_at is None else self._raised_at

    def _turn(self, fields: Mapping[EventField, Value | None]) -> str:
        """The name of the note that says which of start and stop came last there."""
        return f"{self._connector(fields)}.turn"

    def _connector(self, fields: Mapping[EventField, Value | None]) -> int:
        connector = fields.get(EventField.CONNECTOR)
        return connector if isinstance(connector, int) else self.bound.connector

    def _sequence(self, words: Words) -> int | None:
        point = self.bound.sequence
        value = None if point is None else self._sense.value(point, words[point])
        return value if isinstance(value, int) else None

    def _fields(self, words: Words) -> dict[EventField, Value | None] | None:
        """What the event says, or ``None`` if something it needs makes no sense."""
        bound, sense = self.bound, self._sense
        found: dict[EventField, Value | None] = {}
        for field, point in bound.fields.items():
            read = words[point]
            if field is EventField.METER:
                found[field] = sense.energy(point, bound.meter_factor, read)
            elif field is EventField.ID_TAG and bound.kind is EventKind.STOP:
                # A session that nobody's tag ended still ends.
                empty = not any(read) or not str(sense.value(point, read) or "").strip()
                found[field] = None if empty else sense.tag(point, read)
            elif field is EventField.ID_TAG:
                found[field] = sense.tag(point, read)
            elif field is EventField.CONNECTOR:
                found[field] = sense.value(point, read, self._connector_objection)
            else:
                found[field] = sense.value(point, read)
        optional = {EventField.TRANSACTION, EventField.REASON}
        if bound.kind is EventKind.STOP:
            optional.add(EventField.ID_TAG)
        missing = [field for field, value in found.items() if value is None]
        return found if set(missing) <= optional else None

    def _connector_objection(self, value: Value) -> str | None:
        lowest = 0 if self.bound.kind is EventKind.TAG else 1
        if isinstance(value, int) and lowest <= value <= self._connectors:
            return None
        return f"{value} is no connector of {lowest} to {self._connectors}"

    def _event(self, event_id: str, fields: Mapping[EventField, Value | None], meter: int) -> Event:
        connector_id = self._connector(fields)
        tag = fields.get(EventField.ID_TAG)
        at = self._clock.now()
        if self.bound.kind is EventKind.TAG:
            return TagPresented(
                event_id=event_id, connector_id=connector_id, at=at, id_tag=str(tag)
            )
        if self.bound.kind is EventKind.START:
            return StartWanted(
                event_id=event_id,
                connector_id=connector_id,
                at=at,
                id_tag=str(tag),
                meter_start_wh=meter,
            )
        return StopWanted(
            event_id=event_id,
            connector_id=connector_id,
            at=at,
            meter_stop_wh=meter,
            id_tag=None if tag is None else str(tag),
            transaction_id=_transaction(fields.get(EventField.TRANSACTION)),
            reason=self._reason(fields.get(EventField.REASON)),
        )

    def _reason(self, value: Value | None) -> Reason | None:
        return self.bound.reasons.get(value) if isinstance(value, (int, str)) else None


def _transaction(value: Value | None) -> int | None:
    """What the PLC believes the transaction is; 0 or a number OCPP cannot have: nothing."""
    return value if isinstance(value, int) and 0 < value <= LARGEST_TRANSACTION else None
