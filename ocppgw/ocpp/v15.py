"""OCPP 1.5 over SOAP, as a table that reads like its two WSDLs.

Lengths given by name are the WSDL's; bare lengths are from the specification's text.
What 1.5 cannot say is replaced as ``instead`` tells; ``None`` leaves the sampled value
out, since without its measurand or unit it would be read as energy in Wh.
"""

from __future__ import annotations

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import Direction, Version
from ocppgw.ocpp.table import (
    Boolean,
    Choice,
    Integer,
    Table,
    Text,
    Time,
    attribute,
    choice,
    content,
    group,
    many,
    message,
    one,
    optional,
    service,
)

INT = Integer()
WATT_HOURS = Integer(rounded=True)
BOOLEAN = Boolean()
TIME = Time()
STAMP = Time(stamp=True)
URI = Text(uri=True)
STRING = Text()
ID_TOKEN = Text(20, "IdToken")

# Value sets

AUTHORIZATION_STATUS = choice(
    "AuthorizationStatus", e.AuthorizationStatus, "Accepted Blocked Expired Invalid ConcurrentTx"
)
REGISTRATION_STATUS = choice(
    "RegistrationStatus",
    e.RegistrationStatus,
    "Accepted Rejected",
    instead={e.RegistrationStatus.PENDING: e.RegistrationStatus.REJECTED},
)
CHARGE_POINT_STATUS = choice(
    "ChargePointStatus",
    e.ChargePointStatus,
    "Available Occupied Faulted Unavailable Reserved",
    instead={
        e.ChargePointStatus.PREPARING: e.ChargePointStatus.OCCUPIED,
        e.ChargePointStatus.CHARGING: e.ChargePointStatus.OCCUPIED,
        e.ChargePointStatus.SUSPENDED_EV: e.ChargePointStatus.OCCUPIED,
        e.ChargePointStatus.SUSPENDED_EVSE: e.ChargePointStatus.OCCUPIED,
        e.ChargePointStatus.FINISHING: e.ChargePointStatus.OCCUPIED,
    },
)
CHARGE_POINT_ERROR_CODE = choice(
    "ChargePointErrorCode",
    e.ChargePointErrorCode,
    "ConnectorLockFailure HighTemperature Mode3Error NoError PowerMeterFailure"
    " PowerSwitchFailure ReaderFailure ResetFailure GroundFailure OverCurrentFailure"
    " UnderVoltage WeakSignal OtherError",
    spelled={"Mode3Error": e.ChargePointErrorCode.EV_COMMUNICATION_ERROR},
    instead={
        e.ChargePointErrorCode.INTERNAL_ERROR: e.ChargePointErrorCode.OTHER_ERROR,
        e.ChargePointErrorCode.LOCAL_LIST_CONFLICT: e.ChargePointErrorCode.OTHER_ERROR,
        e.ChargePointErrorCode.OVER_VOLTAGE: e.ChargePointErrorCode.OTHER_ERROR,
    },
)
FIRMWARE_STATUS = choice(
    "FirmwareStatus",
    e.FirmwareStatus,
    "Downloaded DownloadFailed InstallationFailed Installed",
    instead={
        e.FirmwareStatus.DOWNLOADING: None,
        e.FirmwareStatus.IDLE: None,
        e.FirmwareStatus.INSTALLING: None,
    },
)
DIAGNOSTICS_STATUS = choice(
    "DiagnosticsStatus",
    e.DiagnosticsStatus,
    "Uploaded UploadFailed",
    instead={e.DiagnosticsStatus.IDLE: None, e.DiagnosticsStatus.UPLOADING: None},
)
DATA_TRANSFER_STATUS = choice(
    "DataTransferStatus",
    e.DataTransferStatus,
    "Accepted Rejected UnknownMessageId UnknownVendorId",
    also={  # as the specification's prose has them
        "UnknownMessage": e.DataTransferStatus.UNKNOWN_MESSAGE_ID,
        "UnknownVendor": e.DataTransferStatus.UNKNOWN_VENDOR_ID,
    },
)
READING_CONTEXT = choice(
    "ReadingContext",
    e.ReadingContext,
    "Interruption.Begin Interruption.End Sample.Clock Sample.Periodic"
    " Transaction.Begin Transaction.End",
    instead={
        e.ReadingContext.OTHER: e.ReadingContext.SAMPLE_PERIODIC,
        e.ReadingContext.TRIGGER: e.ReadingContext.SAMPLE_PERIODIC,
    },
)
MEASURAND = choice(
    "Measurand",
    e.Measurand,
    "Energy.Active.Export.Register Energy.Active.Import.Register"
    " Energy.Reactive.Export.Register Energy.Reactive.Import.Register"
    " Energy.Active.Export.Interval Energy.Active.Import.Interval"
    " Energy.Reactive.Export.Interval Energy.Reactive.Import.Interval"
    " Power.Active.Export Power.Active.Import Power.Reactive.Export Power.Reactive.Import"
    " Current.Export Current.Import Voltage Temperature",
    instead={
        e.Measurand.CURRENT_OFFERED: None,
        e.Measurand.FREQUENCY: None,
        e.Measurand.POWER_FACTOR: None,
        e.Measurand.POWER_OFFERED: None,
        e.Measurand.RPM: None,
        e.Measurand.SOC: None,
    },
)
VALUE_FORMAT = choice("ValueFormat", e.ValueFormat, "Raw SignedData")
UNIT_OF_MEASURE = choice(
    "UnitOfMeasure",
    e.UnitOfMeasure,
    "Wh kWh varh kvarh W kW var kvar Amp Volt Celsius",
    spelled={"Amp": e.UnitOfMeasure.A, "Volt": e.UnitOfMeasure.V},
    instead={
        e.UnitOfMeasure.VA: None,
        e.UnitOfMeasure.KVA: None,
        e.UnitOfMeasure.K: None,
        e.UnitOfMeasure.FAHRENHEIT: None,
        e.UnitOfMeasure.PERCENT: None,
    },
)
LOCATION = choice(
    "Location",
    e.Location,
    "Inlet Outlet Body",
    instead={e.Location.CABLE: e.Location.OUTLET, e.Location.EV: e.Location.INLET},
)
AVAILABILITY_TYPE = choice("AvailabilityType", e.AvailabilityType, "Inoperative Operative")
AVAILABILITY_STATUS = choice(
    "AvailabilityStatus", e.AvailabilityStatus, "Accepted Rejected Scheduled"
)
CONFIGURATION_STATUS = choice(
    "ConfigurationStatus",
    e.ConfigurationStatus,
    "Accepted Rejected NotSupported",
    instead={e.ConfigurationStatus.REBOOT_REQUIRED: e.ConfigurationStatus.ACCEPTED},
)
RESET_TYPE = choice("ResetType", e.ResetType, "Hard Soft")
UNLOCK_STATUS = choice(
    "UnlockStatus",
    e.UnlockStatus,
    "Accepted Rejected",
    spelled={"Accepted": e.UnlockStatus.UNLOCKED, "Rejected": e.UnlockStatus.UNLOCK_FAILED},
    instead={e.UnlockStatus.NOT_SUPPORTED: e.UnlockStatus.UNLOCK_FAILED},
)
RESERVATION_STATUS = choice(
    "ReservationStatus", e.ReservationStatus, "Accepted Faulted Occupied Rejected Unavailable"
)
UPDATE_TYPE = choice("UpdateType", e.UpdateType, "Differential Full")
UPDATE_STATUS = choice(
    "UpdateStatus", e.UpdateStatus, "Accepted Failed HashError NotSupported VersionMismatch"
)


def _command_status(name: str) -> Choice:
    return choice(name, e.CommandStatus, "Accepted Rejected")


REMOTE_START_STOP_STATUS = _command_status("RemoteStartStopStatus")

# Parts of messages

ID_TAG_INFO = group(
    "IdTagInfo",
    m.IdTagInfo,
    one("status", AUTHORIZATION_STATUS),
    optional("expiryDate", TIME, spare=True),
    optional("parentIdTag", ID_TOKEN),
)
SAMPLED_VALUE = group(
    None,
    m.SampledValue,
    content(STRING),
    attribute("context", READING_CONTEXT),
    attribute("format", VALUE_FORMAT),
    attribute("measurand", MEASURAND),
    attribute("location", LOCATION),
    attribute("unit", UNIT_OF_MEASURE),
)
METER_VALUE = group(
    "MeterValue",
    m.MeterValue,
    one("timestamp", STAMP),
    many("value", SAMPLED_VALUE, attribute="sampled_value", at_least_one=True),
)
TRANSACTION_DATA = group(
    "TransactionData", m.TransactionData, many("values", METER_VALUE, spare=True)
)
KEY_VALUE = group(
    "KeyValue",
    m.KeyValue,
    one("key", Text(50)),
    one("readonly", BOOLEAN),
    optional("value", Text(500)),
)
AUTHORISATION_DATA = group(
    "AuthorisationData",
    m.AuthorizationData,
    one("idTag", ID_TOKEN),
    optional("idTagInfo", ID_TAG_INFO),
)
DATA_TRANSFER = (
    message(
        m.DataTransferRequest,
        one("vendorId", Text(255)),
        optional("messageId", Text(50)),
        optional("data", Text(markup=True)),
    ),
    message(
        m.DataTransferResponse,
        one("status", DATA_TRANSFER_STATUS),
        optional("data", Text(markup=True)),
    ),
)

# Services

CENTRAL_SYSTEM = service(
    "urn://Ocpp/Cs/2012/06/",
    message(m.AuthorizeRequest, one("idTag", ID_TOKEN)),
    message(m.AuthorizeResponse, one("idTagInfo", ID_TAG_INFO)),
    message(
        m.StartTransactionRequest,
        one("connectorId", INT),
        one("idTag", ID_TOKEN),
        one("timestamp", STAMP),
        one("meterStart", WATT_HOURS),
        optional("reservationId", INT, spare=True),
    ),
    message(m.StartTransactionResponse, one("transactionId", INT), one("idTagInfo", ID_TAG_INFO)),
    message(
        m.StopTransactionRequest,
        one("transactionId", INT),
        optional("idTag", ID_TOKEN),
        one("timestamp", STAMP),
        one("meterStop", WATT_HOURS),
        many("transactionData", TRANSACTION_DATA, spare=True),
    ),
    message(m.StopTransactionResponse, optional("idTagInfo", ID_TAG_INFO)),
    message(m.HeartbeatRequest),
    message(m.HeartbeatResponse, one("currentTime", TIME)),
    message(
        m.MeterValuesRequest,
        one("connectorId", INT),
        optional("transactionId", INT, spare=True),
        many("values", METER_VALUE, attribute="meter_value", spare=True),
    ),
    message(m.MeterValuesResponse),
    message(
        m.BootNotificationRequest,
        one("chargePointVendor", Text(20, "ChargePointVendor")),
        one("chargePointModel", Text(20, "ChargePointModel")),
        optional("chargePointSerialNumber", Text(25, "ChargePointSerialNumber")),
        optional("chargeBoxSerialNumber", Text(25, "ChargeBoxSerialNumber")),
        optional("firmwareVersion", Text(50, "FirmwareVersion")),
        optional("iccid", Text(20, "IccidString")),
        optional("imsi", Text(20, "ImsiString")),
        optional("meterType", Text(25, "MeterType")),
        optional("meterSerialNumber", Text(25, "MeterSerialNumber")),
    ),
    message(
        m.BootNotificationResponse,
        one("status", REGISTRATION_STATUS),
        one("currentTime", TIME, spare=True),
        one("heartbeatInterval", INT, attribute="interval", aliases=("interval",), spare=True),
    ),
    message(
        m.StatusNotificationRequest,
        one("connectorId", INT),
        one("status", CHARGE_POINT_STATUS),
        one("errorCode", CHARGE_POINT_ERROR_CODE),
        optional("info", Text(50)),
        optional("timestamp", TIME, spare=True),
        optional("vendorId", Text(255)),
        optional("vendorErrorCode", Text(50)),
    ),
    message(m.StatusNotificationResponse),
    message(m.FirmwareStatusNotificationRequest, one("status", FIRMWARE_STATUS)),
    message(m.FirmwareStatusNotificationResponse),
    message(m.DiagnosticsStatusNotificationRequest, one("status", DIAGNOSTICS_STATUS)),
    message(m.DiagnosticsStatusNotificationResponse),
    *DATA_TRANSFER,
)

CHARGE_POINT = service(
    "urn://Ocpp/Cp/2012/06/",
    message(m.UnlockConnectorRequest, one("connectorId", INT)),
    message(m.UnlockConnectorResponse, one("status", UNLOCK_STATUS)),
    message(m.ResetRequest, one("type", RESET_TYPE)),
    message(m.ResetResponse, one("status", _command_status("ResetStatus"))),
    message(m.ChangeAvailabilityRequest, one("connectorId", INT), one("type", AVAILABILITY_TYPE)),
    message(m.ChangeAvailabilityResponse, one("status", AVAILABILITY_STATUS)),
    message(
        m.GetDiagnosticsRequest,
        one("location", URI),
        optional("startTime", TIME),
        optional("stopTime", TIME),
        optional("retries", INT),
        optional("retryInterval", INT),
    ),
    message(m.GetDiagnosticsResponse, optional("fileName", Text(255))),
    message(m.ClearCacheRequest),
    message(m.ClearCacheResponse, one("status", _command_status("ClearCacheStatus"))),
    message(
        m.UpdateFirmwareRequest,
        one("retrieveDate", TIME),
        one("location", URI),
        optional("retries", INT),
        optional("retryInterval", INT),
    ),
    message(m.UpdateFirmwareResponse),
    message(m.ChangeConfigurationRequest, one("key", Text(50)), one("value", Text(500))),
    message(m.ChangeConfigurationResponse, one("status", CONFIGURATION_STATUS)),
    message(m.RemoteStartTransactionRequest, one("idTag", ID_TOKEN), optional("connectorId", INT)),
    message(m.RemoteStartTransactionResponse, one("status", REMOTE_START_STOP_STATUS)),
    message(m.RemoteStopTransactionRequest, one("transactionId", INT)),
    message(m.RemoteStopTransactionResponse, one("status", REMOTE_START_STOP_STATUS)),
    message(m.CancelReservationRequest, one("reservationId", INT)),
    message(m.CancelReservationResponse, one("status", _command_status("CancelReservationStatus"))),
    *DATA_TRANSFER,
    message(m.GetConfigurationRequest, many("key", Text(50))),
    message(
        m.GetConfigurationResponse,
        many("configurationKey", KEY_VALUE, spare=True),
        many("unknownKey", Text(50)),
    ),
    message(m.GetLocalListVersionRequest),
    message(m.GetLocalListVersionResponse, one("listVersion", INT)),
    message(
        m.ReserveNowRequest,
        one("connectorId", INT),
        one("expiryDate", TIME),
        one("idTag", ID_TOKEN),
        optional("parentIdTag", ID_TOKEN),
        one("reservationId", INT),
    ),
    message(m.ReserveNowResponse, one("status", RESERVATION_STATUS)),
    message(
        m.SendLocalListRequest,
        one("updateType", UPDATE_TYPE),
        one("listVersion", INT),
        many(
            "localAuthorisationList",
            AUTHORISATION_DATA,
            attribute="local_authorization_list",
            aliases=("localAuthorizationList",),
        ),
        optional("hash", Text(64)),
    ),
    message(m.SendLocalListResponse, one("status", UPDATE_STATUS), optional("hash", Text(64))),
)

TABLE = Table(
    Version.V15,
    {Direction.TO_CENTRAL_SYSTEM: CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT: CHARGE_POINT},
)
