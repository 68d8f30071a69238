"""What the operator is told: a document for each boot and each report of a station (O-13)."""

from __future__ import annotations

from datetime import datetime

from ocppgw.central.ids import digest
from ocppgw.central.plausible import clock_fault
from ocppgw.central.schema import NOTIFICATION
from ocppgw.ocpp.enums import ChargePointErrorCode
from ocppgw.ocpp.model import BootNotificationRequest, StatusNotificationRequest
from ocppgw.storage.base import Document, Ensure


def boot(
    identity: str, endpoint: str | None, request: BootNotificationRequest, received_at: datetime
) -> Ensure:
    """A station has started."""
    what = f"{request.charge_point_vendor} {request.charge_point_model}".strip()
    version = f", firmware {request.firmware_version}" if request.firmware_version else ""
    return _notification(
        "BootNotification", identity, endpoint, received_at, f"started: {what}{version}"
    )


def status(
    identity: str,
    endpoint: str | None,
    request: StatusNotificationRequest,
    received_at: datetime,
    clock_tolerance: float,
) -> Ensure:
    """A connector has reported its status; a repeat with the same timestamp counts once."""
    said = request.timestamp
    believed = said is not None and clock_fault(said, received_at, clock_tolerance) is None
    optional = {
        "info": request.info,
        "vendorId": request.vendor_id,
        "vendorErrorCode": request.vendor_error_code,
    }
    fields: Document = {
        "connectorId": request.connector_id,
        "status": request.status.value,
        "errorCode": request.error_code.value,
    } | {name: text for name, text in optional.items() if text}
    return _notification(
        "StatusNotification",
        identity,
        endpoint,
        received_at,
        status_text(request),
        fields,
        said=said,
        once=(said,) if believed else (said, received_at),
    )


def progress(
    kind: str, identity: str, endpoint: str | None, state: str, received_at: datetime
) -> Ensure:
    """A FirmwareStatusNotification or DiagnosticsStatusNotification (``kind``)."""
    subject = kind.removesuffix("StatusNotification").lower()
    return _notification(
        kind, identity, endpoint, received_at, f"{subject}: {state}", {"status": state}
    )


def status_text(request: StatusNotificationRequest) -> str:
    """A status in plain words."""
    where = f"connector {request.connector_id}" if request.connector_id else "the station"
    parts = [f"{where} is {request.status.value}"]
    if request.error_code is not ChargePointErrorCode.NO_ERROR:
        parts.append(request.error_code.value)
    parts += [text for text in (request.vendor_error_code, request.info) if text]
    return ", ".join(parts)


def _notification(
    kind: str,
    identity: str,
    endpoint: str | None,
    received_at: datetime,
    text: str,
    fields: Document | None = None,
    *,
    said: datetime | None = None,
    once: tuple[datetime | None, ...] | None = None,
) -> Ensure:
    fields = fields or {}
    station = {"chargeBoxIdentity": identity}
    if endpoint is not None:
        station["endpoint"] = endpoint
    document = fields | {
        "id": digest(kind, identity, fields, once or (received_at,)),
        "unread": True,
        "type": kind,
        "text": text,
        "timestamp": said or received_at,
        "receivedAt": received_at,
        "station": station,
    }
    return Ensure(NOTIFICATION, document)
