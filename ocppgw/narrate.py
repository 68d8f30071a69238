"""A built-in observer that tells on the console, in plain words, what goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ocppgw.hooks import hookimpl
from ocppgw.observe import (
    STORY,
    Exchange,
    GatewayContext,
    Observed,
    Observer,
    StateChange,
    tell,
)
from ocppgw.ocpp import model as m
from ocppgw.ocpp.enums import ChargePointErrorCode, Measurand, UnitOfMeasure
from ocppgw.ocpp.operations import Direction
from ocppgw.ocpp.scalars import write_time
from ocppgw.tree import camel

log = logging.getLogger(STORY)

REMEMBERED = 1000  # transactions whose meter start is known, for the energy at their stop
CENTRAL = "central"
NO_ERROR = ChargePointErrorCode.NO_ERROR
STATION = "station"  # the subject of what concerns all of a charge box


@hookimpl
def ocppgw_observers(gateway: GatewayContext) -> Sequence[Observer]:
    """One narrator, unless nobody would read it."""
    return [Narrator(gateway.identities())] if log.isEnabledFor(logging.INFO) else []


class Narrator:
    """Turns what observers see into sentences.

    ``own`` are the charge boxes of this process: what they say to a central system of
    the same process is told once, from their side.
    """

    def __init__(self, own: Sequence[str] = ()) -> None:
        self._own = frozenset(own)
        self._meter_start: dict[tuple[str, int], int] = {}
        self._states: dict[tuple[str, str], str] = {}  # of boxes and connectors, as told
        # What each box told last that it refused, or who is away: the reason follows in the
        # info of its StatusNotifications, behind these words.
        self._refused: dict[str, str] = {}

    def __call__(self, observed: Observed) -> None:
        if isinstance(observed, StateChange):
            place = f"the {STATION}" if observed.subject == STATION else observed.subject
            if observed.what.startswith("is "):
                self._states[observed.identity, place] = f"{place} {observed.what}"
            refused, is_that, _ = observed.what.partition(" refused: ")
            if is_that:
                self._refused[observed.identity] = refused
            elif observed.what.startswith("offline: "):
                self._refused[observed.identity] = observed.subject.upper()
            level = logging.DEBUG if observed.echo else logging.INFO
            tell(observed.identity, f"{observed.subject}: {observed.what}", level)
            return
        if observed.role == CENTRAL and observed.identity in self._own:
            return
        level = logging.INFO if observed.error is None else logging.WARNING
        if observed.error is None and self._tells_nothing_new(observed):
            level = logging.DEBUG
        arrow = "←" if _by_central(observed) else "→"
        tell(f"{observed.identity} {arrow} central", self.sentence(observed), level)

    def sentence(self, exchange: Exchange) -> str:
        """What was asked and what came of it."""
        asked = _ASKED.get(type(exchange.request), _asked_anything)(exchange.request)
        if exchange.error is not None:
            return f"{asked}; failed: {exchange.error}"
        return f"{asked}{self._answered(exchange)}"

    def _answered(self, exchange: Exchange) -> str:
        request, response = exchange.request, exchange.response
        if isinstance(response, m.StartTransactionResponse):
            assert isinstance(request, m.StartTransactionRequest)
            self._remember(exchange.identity, response.transaction_id, request.meter_start)
            return f": transaction {response.transaction_id}, {response.id_tag_info.status.value}"
        if isinstance(request, m.StopTransactionRequest):
            start = self._meter_start.pop((exchange.identity, request.transaction_id), None)
            return f", {_kwh(request.meter_stop - start)} charged" if start is not None else ""
        if isinstance(response, m.BootNotificationResponse):
            every = f", heartbeat every {response.interval} s" if response.interval else ""
            return f": {response.status.value}{every}"
        if isinstance(response, m.AuthorizeResponse):
            return f": {response.id_tag_info.status.value}"
        return _ANSWERED.get(type(response), _answered_anything)(response)

    def _tells_nothing_new(self, exchange: Exchange) -> bool:
        """Heartbeats, and states and refusals that the charge box has told of itself."""
        request = exchange.request
        if isinstance(request, m.StatusNotificationRequest):
            place = exchange.identity, _place(request)
            refused = self._refused.get(exchange.identity)
            if refused is not None and (request.info or "").startswith(f"{refused}: "):
                request = msgspec.structs.replace(request, info=None, error_code=NO_ERROR)
            state = _status(request)
            if state == self._states.get(place):
                return True
            if exchange.role != CENTRAL:
                self._states[place] = state
            return False
        return isinstance(request, m.HeartbeatRequest)

    def _remember(self, identity: str, transaction: int, meter_start: int) -> None:
        if len(self._meter_start) >= REMEMBERED:
            del self._meter_start[next(iter(self._meter_start))]
        self._meter_start[identity, transaction] = meter_start


def _by_central(exchange: Exchange) -> bool:
    """Whether the central system is the one that asks."""
    return exchange.direction is Direction.TO_CHARGE_POINT


def _kwh(watt_hours: float) -> str:
    return f"{watt_hours / 1000:.3f} kWh"


def _boot(request: m.BootNotificationRequest) -> str:
    software = f", software {request.firmware_version}" if request.firmware_version else ""
    return f"boots as {request.charge_point_vendor} {request.charge_point_model}{software}"


def _place(request: m.StatusNotificationRequest) -> str:
    return f"connector {request.connector_id}" if request.connector_id else f"the {STATION}"


def _status(request: m.StatusNotificationRequest) -> str:
    error = request.error_code.value
    parts = [
        f"{_place(request)} is {request.status.value}",
        error if error != "NoError" else "",
        request.info or "",
    ]
    return ", ".join(part for part in parts if part)


def _start(request: m.StartTransactionRequest) -> str:
    return (
        f"connector {request.connector_id} starts to charge with tag {request.id_tag}"
        f" at {_kwh(request.meter_start)}"
    )


def _stop(request: m.StopTransactionRequest) -> str:
    reason = f" ({request.reason.value})" if request.reason is not None else ""
    return f"transaction {request.transaction_id} stops at {_kwh(request.meter_stop)}{reason}"


def _meter_values(request: m.MeterValuesRequest) -> str:
    last = request.meter_value[-1].sampled_value if request.meter_value else ()
    values = ", ".join(_sampled(value) for value in last if value.phase is None)
    return f"connector {request.connector_id} meters {values or 'nothing'}"


def _sampled(value: m.SampledValue) -> str:
    unit = value.unit.value if value.unit is not None else UnitOfMeasure.WH.value
    energy = value.measurand in (None, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER)
    if energy and unit == UnitOfMeasure.WH.value:
        try:
            return _kwh(float(value.value))
        except ValueError:
            return f"{value.value} Wh"
    return f"{value.value} {unit}"


def _list(request: m.SendLocalListRequest) -> str:
    tags = _counted(len(request.local_authorization_list), "tag")
    return f"SendLocalList ({request.update_type.value}, version {request.list_version}, {tags})"


def _asked_anything(request: Any) -> str:
    """The request's name and what it says, for all that have no words of their own."""
    said = ", ".join(
        f"{camel(field)} {_said(value)}"
        for field, value in msgspec.structs.asdict(request).items()
        if value not in (None, ())
    )
    name = type(request).__name__.removesuffix("Request")
    return f"{name} ({said})" if said else name


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(_said(each) for each in value)
    if isinstance(value, datetime):
        return write_time(value)
    return str(getattr(value, "value", value)) or "empty"


def _keys(response: m.GetConfigurationResponse) -> str:
    known = _counted(len(response.configuration_key), "key")
    unknown = ", ".join(response.unknown_key)
    return f": {known}{f', not known: {unknown}' if unknown else ''}"


def _answered_anything(response: object) -> str:
    status = getattr(response, "status", None)
    return f": {status.value}" if status is not None else ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


_ASKED: dict[type[m.Request], Callable[[Any], str]] = {
    m.BootNotificationRequest: _boot,
    m.StatusNotificationRequest: _status,
    m.AuthorizeRequest: lambda request: f"asks whether tag {request.id_tag} may charge",
    m.StartTransactionRequest: _start,
    m.StopTransactionRequest: _stop,
    m.MeterValuesRequest: _meter_values,
    m.SendLocalListRequest: _list,
}
_ANSWERED: dict[type[m.Response | None], Callable[[Any], str]] = {
    m.GetConfigurationResponse: _keys,
    m.GetDiagnosticsResponse: lambda response: f": {response.file_name or 'there is no file'}",
    m.GetLocalListVersionResponse: lambda response: f": version {response.list_version}",
}
