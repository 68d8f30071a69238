"""From what a poll read to observations for the station."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from ocppgw.clock import Clock
from ocppgw.ocpp.enums import ChargePointErrorCode, Measurand
from ocppgw.plc import ConnectorStatus, Identity, Measured, Observation, Reading
from ocppgw_modbus.bound import BoundMap, BoundMeter, BoundStatus, Point
from ocppgw_modbus.codec import Value
from ocppgw_modbus.sense import Sense
from ocppgw_modbus.spec import Type

Words = Mapping[Point, Sequence[int]]
MeaningT = TypeVar("MeaningT")


class Watch:
    """Knows what was said last, and says what is new."""

    def __init__(self, bound: BoundMap, connectors: int, clock: Clock, sense: Sense) -> None:
        self._identity = bound.identity
        self._statuses = [s for s in bound.statuses if s.connector <= connectors]
        self._meters = [m for m in bound.meters if m.connector <= connectors]
        self._clock = clock
        self._sense = sense
        self._texts: dict[str, str | None] = {}
        self._said: dict[int | None, Observation] = {}
        self._measured: dict[BoundMeter, tuple[Measured, ...]] = {}
        self.running = True
        self._woke = False

    @property
    def points(self) -> Iterator[tuple[str, Point]]:
        """What has to be polled for this, with the poll group it belongs to.

        What is one statement is read in one poll: an error goes with its status.
        """
        for point in self._identity.texts.values():
            yield point.poll, point
        if self._identity.running is not None:
            yield self._identity.running.poll, self._identity.running
        for meter in self._meters:
            yield meter.register.poll, meter.register
        for status in self._statuses:
            for one in (status.register, status.error, status.vendor_error):
                if one is not None:
                    yield status.register.poll, one

    @property
    def wants_everything(self) -> bool:
        """Whether nothing is said before the next poll of all groups: the program has just
        begun to run, and what was read of it before is void."""
        return self._woke

    def forget(self) -> None:
        """After a new connection everything is said again."""
        self._said.clear()
        self._measured.clear()

    def look(self, words: Words, *, everything: bool) -> Iterator[Observation]:
        """What these words say; ``everything``: all poll groups were read.

        A program that does not run says nothing but that.
        """
        self._look_at_running(words)
        if self.running and self._woke and not everything:
            return
        self._woke = False
        yield from self._look_at_identity(words)
        if not self.running:
            return
        for status in self._statuses:
            seen = self._status(status, words)
            if seen is not None and self._said.get(status.connector) != seen:
                self._said[status.connector] = seen
                yield seen
        yield from self._readings(words)

    def energies(self, words: Words) -> Iterator[tuple[int, int]]:
        """The connectors whose energy was among these words, which were looked at, and the
        energy in Wh."""
        for meter in self._meters if self.running else ():
            if meter.register not in words:
                continue
            if meter.measurand is Measurand.ENERGY_ACTIVE_IMPORT_REGISTER:
                for one in self._measured.get(meter, ()):
                    if one.phase is None:
                        yield meter.connector, round(one.value)

    def _look_at_running(self, words: Words) -> None:
        point = self._identity.running
        if point is None or point not in words:
            return
        running = bool(self._sense.value(point, words[point]))
        if running and not self.running:
            self._woke = True
            self.forget()
        self.running = running

    def _look_at_identity(self, words: Words) -> Iterator[Identity]:
        for field, point in self._identity.texts.items():
            if point in words:
                value = self._sense.value(point, words[point])
                self._texts[field] = str(value).strip() or None if value is not None else None
        texts = self._texts if self.running else {}
        identity = Identity(running=self.running, **texts)
        if self._said.get(None) != identity:
            self._said[None] = identity
            yield identity

    def _status(self, spec: BoundStatus, words: Words) -> ConnectorStatus | None:
        if spec.register not in words:
            return None

        def objection(value: Value) -> str | None:
            known = _lookup(spec.register, value, spec.values) is not None
            return None if known else f"{value!r} stands for no OCPP status"

        value = self._sense.value(spec.register, words[spec.register], objection)
        status = None if value is None else _lookup(spec.register, value, spec.values)
        if status is None:
            return None
        code = ChargePointErrorCode.NO_ERROR
        if spec.error is not None and spec.error in words:
            error = self._sense.value(spec.error, words[spec.error])
            if error is not None:
                code = _lookup(spec.error, error, spec.errors) or _unlisted(error, spec)
        return ConnectorStatus(
            connector_id=spec.connector,
            status=status,
            error_code=code,
            vendor_error_code=self._vendor_error(spec, words),
        )

    def _vendor_error(self, spec: BoundStatus, words: Words) -> str | None:
        point = spec.vendor_error
        if point is None or point not in words:
            return None
        value = self._sense.value(point, words[point])
        if value in (None, 0, ""):
            return None
        return point.names.get(value, str(value)) if isinstance(value, int) else str(value)

    def _readings(self, words: Words) -> Iterator[Reading]:
        at = self._clock.now()
        touched: dict[int, None] = {}
        for meter in self._meters:
            if meter.register not in words:
                continue
            touched[meter.connector] = None
            values = self._sense.measured(meter, words[meter.register])
            self._measured[meter] = tuple(
                Measured(measurand=meter.measurand, value=value, unit=meter.unit, phase=phase)
                for phase, value in zip(meter.phases, values or (), strict=False)
            )
        for connector in touched:
            found = [
                one
                for meter in self._meters
                if meter.connector == connector
                for one in self._measured.get(meter, ())
            ]
            if found:
                yield Reading(connector_id=connector, at=at, values=tuple(found))


def _lookup(point: Point, value: Value, table: Mapping[int | str, MeaningT]) -> MeaningT | None:
    if point.type is Type.BITS and isinstance(value, int):
        return next((m for bit, m in table.items() if isinstance(bit, int) and value & bit), None)
    return table.get(value) if isinstance(value, (int, str)) else table.get(int(value))


def _unlisted(value: Value, spec: BoundStatus) -> ChargePointErrorCode:
    return spec.other_error if value not in (0, "") else ChargePointErrorCode.NO_ERROR
