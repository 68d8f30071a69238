"""Meter values: stored as they came, one document a request, and read for their energy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ocppgw.central.ids import digest
from ocppgw.central.plausible import clock_fault
from ocppgw.central.schema import METERVALUES
from ocppgw.ocpp.enums import Measurand, UnitOfMeasure, ValueFormat
from ocppgw.ocpp.model import MeterValue, SampledValue
from ocppgw.storage.base import Document, Ensure

_ENERGY = (None, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER)
_FACTORS: dict[object, int] = {None: 1, UnitOfMeasure.WH: 1, UnitOfMeasure.KWH: 1000}

_BEYOND = 2.0**52  # Wh; no register goes there, and stores hold whole numbers up to 2^53

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[MeterValue, ...]).decode


def document(
    identity: str,
    connector_id: int,
    *,
    given: int | None,
    belongs_to: int | None,
    values: Sequence[MeterValue],
    received_at: datetime,
    clock_tolerance: float,
) -> Ensure:
    """The change that stores a request's values; the same request again changes nothing.

    ``given`` is the transaction id as sent, ``belongs_to`` the transaction found for it.
    """
    samples = _encode(values)
    key = digest("values", identity, connector_id, given, body=samples)
    stored: Document = {
        "id": f"{_milliseconds(values[0].timestamp):013d}-{key}",
        "chargeBoxIdentity": identity,
        "connectorId": connector_id,
        "timestamp": values[0].timestamp,
        "receivedAt": received_at,
        "samples": samples.decode(),
    }
    if belongs_to is not None:
        stored["transactionId"] = belongs_to
    reading = energy_register(values)
    if reading is not None:
        stored["value"] = reading[0]
    fault = clock_fault(values[0].timestamp, received_at, clock_tolerance)
    if fault is not None:
        stored["suspect"] = [fault]
    return Ensure(METERVALUES, stored)


def _milliseconds(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1000))


def samples_of(stored: Document) -> tuple[MeterValue, ...]:
    """The values of a stored document, typed again."""
    return _decode(stored["samples"])


def energy_register(values: Sequence[MeterValue]) -> tuple[float, datetime] | None:
    """The newest reading of the active import register, in Wh, and when it was read;
    ``None`` if there is none."""
    for value in reversed(values):
        for sample in reversed(value.sampled_value):
            if sample.measurand in _ENERGY and sample.phase is None:
                reading = _wh(sample)
                if reading is not None:
                    return reading, value.timestamp
    return None


def _wh(sample: SampledValue) -> float | None:
    factor = _FACTORS.get(sample.unit)
    if factor is None or sample.format not in (None, ValueFormat.RAW):
        return None
    try:
        reading = float(sample.value) * factor
    except ValueError:
        return None  # kept as the text it is (Q22)
    if not abs(reading) < _BEYOND:
        return None
    return int(reading) if reading.is_integer() else reading
