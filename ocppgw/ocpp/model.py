"""The messages of OCPP: one request and one response type an operation.

Everything above the wire sees only these. Names are those of OCPP 1.6 in
snake_case; fields are the union of what versions 1.2, 1.5 and 1.6 can say; an
absent optional field is ``None`` (a repeated one: an empty tuple). Times are
aware UTC datetimes, energy in Wh as the wire has it. What each version has of
this, and how it is spelled, stands in the version's table (``v15.py`` …).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocppgw.ocpp import enums as e
from ocppgw.ocpp.enums import Unknown


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a request and a response have in common."""


class Request(Message, frozen=True, kw_only=True):
    """Sent by the peer that starts an operation."""


class Response(Message, frozen=True, kw_only=True):
    """The answer to a :class:`Request`."""


# Parts of messages


class IdTagInfo(msgspec.Struct, frozen=True, kw_only=True):
    status: e.AuthorizationStatus | Unknown
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None


# gc=False: what cannot be part of a cycle need not be searched for one. Samples come by the
# thousand; a tenth of what a message of them costs was the collector's.


class SampledValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One value; absent qualifiers mean the defaults of the specification
    (Sample.Periodic, Raw, Energy.Active.Import.Register, Outlet, Wh)."""

    value: str
    context: e.ReadingContext | Unknown | None = None
    format: e.ValueFormat | Unknown | None = None
    measurand: e.Measurand | Unknown | None = None
    phase: e.Phase | Unknown | None = None
    location: e.Location | Unknown | None = None
    unit: e.UnitOfMeasure | Unknown | None = None


class MeterValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was read at one moment."""

    timestamp: datetime
    sampled_value: tuple[SampledValue, ...]


class TransactionData(msgspec.Struct, frozen=True, kw_only=True):
    """A group of meter values; 1.5 has any number of groups, 1.6 has one."""

    values: tuple[MeterValue, ...] = ()


class KeyValue(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    readonly: bool
    value: str | None = None


class AuthorizationData(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a local list; without ``id_tag_info`` it asks to delete the tag."""

    id_tag: str
    id_tag_info: IdTagInfo | None = None


# Charge point to central system


class AuthorizeRequest(Request, frozen=True, kw_only=True):
    id_tag: str


class AuthorizeResponse(Response, frozen=True, kw_only=True):
    id_tag_info: IdTagInfo


class BootNotificationRequest(Request, frozen=True, kw_only=True):
    charge_point_vendor: str
    charge_point_model: str
    charge_point_serial_number: str | None = None
    charge_box_serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


class BootNotificationResponse(Response, frozen=True, kw_only=True):
    """``interval`` is in seconds (``heartbeatInterval`` before 1.6)."""

    status: e.RegistrationStatus | Unknown
    current_time: datetime | None = None
    interval: int | None = None


class HeartbeatRequest(Request, frozen=True, kw_only=True):
    pass


class HeartbeatResponse(Response, frozen=True, kw_only=True):
    current_time: datetime


class StartTransactionRequest(Request, frozen=True, kw_only=True):
    connector_id: int
    id_tag: str
    timestamp: datetime
    meter_start: int
    reservation_id: int | None = None


class StartTransactionResponse(Response, frozen=True, kw_only=True):
    transaction_id: int
    id_tag_info: IdTagInfo


class StopTransactionRequest(Request, frozen=True, kw_only=True):
    transaction_id: int
    id_tag: str | None = None
    timestamp: datetime
    meter_stop: int
    reason: e.Reason | Unknown | None = None
    transaction_data: tuple[TransactionData, ...] = ()


class StopTransactionResponse(Response, frozen=True, kw_only=True):
    id_tag_info: IdTagInfo | None = None


class MeterValuesRequest(Request, frozen=True, kw_only=True):
    connector_id: int
    transaction_id: int | None = None
    meter_value: tuple[MeterValue, ...] = ()


class MeterValuesResponse(Response, frozen=True, kw_only=True):
    pass


class StatusNotificationRequest(Request, frozen=True, kw_only=True):
    connector_id: int
    status: e.ChargePointStatus | Unknown
    error_code: e.ChargePointErrorCode | Unknown
    info: str | None = None
    timestamp: datetime | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None


class StatusNotificationResponse(Response, frozen=True, kw_only=True):
    pass


class FirmwareStatusNotificationRequest(Request, frozen=True, kw_only=True):
    status: e.FirmwareStatus | Unknown


class FirmwareStatusNotificationResponse(Response, frozen=True, kw_only=True):
    pass


class DiagnosticsStatusNotificationRequest(Request, frozen=True, kw_only=True):
    status: e.DiagnosticsStatus | Unknown


class DiagnosticsStatusNotificationResponse(Response, frozen=True, kw_only=True):
    pass


# Both directions


class DataTransferRequest(Request, frozen=True, kw_only=True):
    vendor_id: str
    message_id: str | None = None
    data: str | None = None


class DataTransferResponse(Response, frozen=True, kw_only=True):
    status: e.DataTransferStatus | Unknown
    data: str | None = None


# Central system to charge point


class CancelReservationRequest(Request, frozen=True, kw_only=True):
    reservation_id: int


class CancelReservationResponse(Response, frozen=True, kw_only=True):
    status: e.CommandStatus | Unknown


class ChangeAvailabilityRequest(Request, frozen=True, kw_only=True):
    connector_id: int
    type: e.AvailabilityType | Unknown


class ChangeAvailabilityResponse(Response, frozen=True, kw_only=True):
    status: e.AvailabilityStatus | Unknown


class ChangeConfigurationRequest(Request, frozen=True, kw_only=True):
    key: str
    value: str = ""


class ChangeConfigurationResponse(Response, frozen=True, kw_only=True):
    status: e.ConfigurationStatus | Unknown


class ClearCacheRequest(Request, frozen=True, kw_only=True):
    pass


class ClearCacheResponse(Response, frozen=True, kw_only=True):
    status: e.CommandStatus | Unknown


class GetConfigurationRequest(Request, frozen=True, kw_only=True):
    key: tuple[str, ...] = ()


class GetConfigurationResponse(Response, frozen=True, kw_only=True):
    configuration_key: tuple[KeyValue, ...] = ()
    unknown_key: tuple[str, ...] = ()


class GetDiagnosticsRequest(Request, frozen=True, kw_only=True):
    location: str
    start_time: datetime | None = None
    stop_time: datetime | None = None
    retries: int | None = None
    retry_interval: int | None = None


class GetDiagnosticsResponse(Response, frozen=True, kw_only=True):
    file_name: str | None = None


class GetLocalListVersionRequest(Request, frozen=True, kw_only=True):
    pass


class GetLocalListVersionResponse(Response, frozen=True, kw_only=True):
    list_version: int


class RemoteStartTransactionRequest(Request, frozen=True, kw_only=True):
    id_tag: str
    connector_id: int | None = None


class RemoteStartTransactionResponse(Response, frozen=True, kw_only=True):
    status: e.CommandStatus | Unknown


class RemoteStopTransactionRequest(Request, frozen=True, kw_only=True):
    transaction_id: int


class RemoteStopTransactionResponse(Response, frozen=True, kw_only=True):
    status: e.CommandStatus | Unknown


class ReserveNowRequest(Request, frozen=True, kw_only=True):
    connector_id: int
    expiry_date: datetime
    id_tag: str
    parent_id_tag: str | None = None
    reservation_id: int


class ReserveNowResponse(Response, frozen=True, kw_only=True):
    status: e.ReservationStatus | Unknown


class ResetRequest(Request, frozen=True, kw_only=True):
    type: e.ResetType | Unknown


class ResetResponse(Response, frozen=True, kw_only=True):
    status: e.CommandStatus | Unknown


class SendLocalListRequest(Request, frozen=True, kw_only=True):
    """``hash`` exists in 1.5 only."""

    update_type: e.UpdateType | Unknown
    list_version: int
    local_authorization_list: tuple[AuthorizationData, ...] = ()
    hash: str | None = None


class SendLocalListResponse(Response, frozen=True, kw_only=True):
    """``hash`` exists in 1.5 only."""

    status: e.UpdateStatus | Unknown
    hash: str | None = None


class UnlockConnectorRequest(Request, frozen=True, kw_only=True):
    connector_id: int


class UnlockConnectorResponse(Response, frozen=True, kw_only=True):
    status: e.UnlockStatus | Unknown


class UpdateFirmwareRequest(Request, frozen=True, kw_only=True):
    retrieve_date: datetime
    location: str
    retries: int | None = None
    retry_interval: int | None = None


class UpdateFirmwareResponse(Response, frozen=True, kw_only=True):
    pass
