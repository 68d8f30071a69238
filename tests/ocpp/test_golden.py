"""Envelopes written by hand, for every operation and both ways: read and written byte for byte."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocppgw.ocpp import (
    OPERATIONS,
    Direction,
    Operation,
    Version,
    Wire,
    decode_call,
    decode_reply,
    encode_call,
    encode_reply,
)
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT
GOLDEN = Path(__file__).parent / "golden"
SIDES = {CS: "central-system", CP: "charge-point"}
CENTRAL = "http://central.example:9220/Ocpp/CentralSystemService"
BOX = "http://box.example:9000/Ocpp/ChargePointService"
REQUEST_ID = "urn:uuid:6f1c7a52-0000-4000-8000-000000000001"
RESPONSE_ID = "urn:uuid:6f1c7a52-0000-4000-8000-000000000002"
ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"


def at(hour: int, minute: int = 0, *, month: int = 5, day: int = 31) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=UTC)


MESSAGES: dict[tuple[Direction, str], tuple[m.Request, m.Response]] = {
    (CS, "Authorize"): (
        m.AuthorizeRequest(id_tag="04A2B3C4D5"),
        m.AuthorizeResponse(
            id_tag_info=m.IdTagInfo(
                status=e.AuthorizationStatus.CONCURRENT_TX,
                expiry_date=datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC),
                parent_id_tag="FLEET-7",
            )
        ),
    ),
    (CS, "BootNotification"): (
        m.BootNotificationRequest(
            charge_point_vendor="Vendor & Sons",
            charge_point_model="M<22>",
            charge_point_serial_number="CP-0001",
            charge_box_serial_number="CB-0001",
            firmware_version="1.2.3-rc4",
            iccid="8931089318104314834F",
            imsi="204046620202020",
            meter_type="DBT NQC-ACDC",
            meter_serial_number="M-77",
        ),
        m.BootNotificationResponse(
            status=e.RegistrationStatus.ACCEPTED, current_time=at(12), interval=300
        ),
    ),
    (CS, "DataTransfer"): (
        m.DataTransferRequest(vendor_id="com.example", message_id="Grid", data='{"on":true}'),
        m.DataTransferResponse(status=e.DataTransferStatus.UNKNOWN_VENDOR_ID),
    ),
    (CS, "DiagnosticsStatusNotification"): (
        m.DiagnosticsStatusNotificationRequest(status=e.DiagnosticsStatus.UPLOAD_FAILED),
        m.DiagnosticsStatusNotificationResponse(),
    ),
    (CS, "FirmwareStatusNotification"): (
        m.FirmwareStatusNotificationRequest(status=e.FirmwareStatus.INSTALLATION_FAILED),
        m.FirmwareStatusNotificationResponse(),
    ),
    (CS, "Heartbeat"): (
        m.HeartbeatRequest(),
        m.HeartbeatResponse(current_time=at(12).replace(microsecond=250_000)),
    ),
    (CS, "MeterValues"): (
        m.MeterValuesRequest(
            connector_id=2,
            transaction_id=2**31 - 1,
            meter_value=(
                m.MeterValue(
                    timestamp=at(12),
                    sampled_value=(
                        m.SampledValue(value="15000"),
                        m.SampledValue(
                            value="15.9",
                            context=e.ReadingContext.SAMPLE_CLOCK,
                            format=e.ValueFormat.RAW,
                            measurand=e.Measurand.CURRENT_IMPORT,
                            location=e.Location.INLET,
                            unit=e.UnitOfMeasure.A,
                        ),
                    ),
                ),
                m.MeterValue(
                    timestamp=at(12, 15),
                    sampled_value=(
                        m.SampledValue(
                            value="A0B1==",
                            format=e.ValueFormat.SIGNED_DATA,
                            measurand=e.Measurand.ENERGY_REACTIVE_EXPORT_INTERVAL,
                            unit=e.UnitOfMeasure.KVARH,
                        ),
                    ),
                ),
            ),
        ),
        m.MeterValuesResponse(),
    ),
    (CS, "StartTransaction"): (
        m.StartTransactionRequest(
            connector_id=1,
            id_tag="04A2B3C4D5",
            timestamp=at(12),
            meter_start=-5,
            reservation_id=9,
        ),
        m.StartTransactionResponse(
            transaction_id=1234567890,
            id_tag_info=m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED),
        ),
    ),
    (CS, "StatusNotification"): (
        m.StatusNotificationRequest(
            connector_id=0,
            status=e.ChargePointStatus.FAULTED,
            error_code=e.ChargePointErrorCode.EV_COMMUNICATION_ERROR,
            info="remote start: PLC did not answer, withdrawn",
            timestamp=at(12),
            vendor_id="com.example",
            vendor_error_code="E42",
        ),
        m.StatusNotificationResponse(),
    ),
    (CS, "StopTransaction"): (
        m.StopTransactionRequest(
            transaction_id=1234567890,
            id_tag="04A2B3C4D5",
            timestamp=at(13),
            meter_stop=12345,
            transaction_data=(
                m.TransactionData(
                    values=(
                        m.MeterValue(
                            timestamp=at(12),
                            sampled_value=(
                                m.SampledValue(
                                    value="0", context=e.ReadingContext.TRANSACTION_BEGIN
                                ),
                            ),
                        ),
                        m.MeterValue(
                            timestamp=at(13),
                            sampled_value=(
                                m.SampledValue(
                                    value="12345", context=e.ReadingContext.TRANSACTION_END
                                ),
                            ),
                        ),
                    )
                ),
                m.TransactionData(
                    values=(
                        m.MeterValue(
                            timestamp=at(12, 30),
                            sampled_value=(
                                m.SampledValue(
                                    value="230.1",
                                    measurand=e.Measurand.VOLTAGE,
                                    unit=e.UnitOfMeasure.V,
                                ),
                            ),
                        ),
                    )
                ),
            ),
        ),
        m.StopTransactionResponse(id_tag_info=m.IdTagInfo(status=e.AuthorizationStatus.EXPIRED)),
    ),
    (CP, "CancelReservation"): (
        m.CancelReservationRequest(reservation_id=9),
        m.CancelReservationResponse(status=e.CommandStatus.REJECTED),
    ),
    (CP, "ChangeAvailability"): (
        m.ChangeAvailabilityRequest(connector_id=0, type=e.AvailabilityType.INOPERATIVE),
        m.ChangeAvailabilityResponse(status=e.AvailabilityStatus.SCHEDULED),
    ),
    (CP, "ChangeConfiguration"): (
        m.ChangeConfigurationRequest(key="MeterValueSampleInterval", value="60"),
        m.ChangeConfigurationResponse(status=e.ConfigurationStatus.NOT_SUPPORTED),
    ),
    (CP, "ClearCache"): (
        m.ClearCacheRequest(),
        m.ClearCacheResponse(status=e.CommandStatus.ACCEPTED),
    ),
    (CP, "DataTransfer"): (
        m.DataTransferRequest(vendor_id="com.example"),
        m.DataTransferResponse(status=e.DataTransferStatus.ACCEPTED, data="grüße"),
    ),
    (CP, "GetConfiguration"): (
        m.GetConfigurationRequest(key=("HeartBeatInterval", "NoSuchKey")),
        m.GetConfigurationResponse(
            configuration_key=(
                m.KeyValue(key="HeartBeatInterval", readonly=False, value="300"),
                m.KeyValue(key="ChargePointId", readonly=True),
            ),
            unknown_key=("NoSuchKey",),
        ),
    ),
    (CP, "GetDiagnostics"): (
        m.GetDiagnosticsRequest(
            location="ftp://u:p@files.example/in",
            start_time=at(0, day=30),
            stop_time=at(0),
            retries=3,
            retry_interval=60,
        ),
        m.GetDiagnosticsResponse(file_name="diagnostics.zip"),
    ),
    (CP, "GetLocalListVersion"): (
        m.GetLocalListVersionRequest(),
        m.GetLocalListVersionResponse(list_version=-1),
    ),
    (CP, "RemoteStartTransaction"): (
        m.RemoteStartTransactionRequest(id_tag="04A2B3C4D5", connector_id=1),
        m.RemoteStartTransactionResponse(status=e.CommandStatus.ACCEPTED),
    ),
    (CP, "RemoteStopTransaction"): (
        m.RemoteStopTransactionRequest(transaction_id=1234567890),
        m.RemoteStopTransactionResponse(status=e.CommandStatus.REJECTED),
    ),
    (CP, "ReserveNow"): (
        m.ReserveNowRequest(
            connector_id=1,
            expiry_date=at(18),
            id_tag="04A2B3C4D5",
            parent_id_tag="FLEET-7",
            reservation_id=9,
        ),
        m.ReserveNowResponse(status=e.ReservationStatus.OCCUPIED),
    ),
    (CP, "Reset"): (
        m.ResetRequest(type=e.ResetType.HARD),
        m.ResetResponse(status=e.CommandStatus.ACCEPTED),
    ),
    (CP, "SendLocalList"): (
        m.SendLocalListRequest(
            update_type=e.UpdateType.DIFFERENTIAL,
            list_version=4,
            local_authorization_list=(
                m.AuthorizationData(
                    id_tag="04A2B3C4D5",
                    id_tag_info=m.IdTagInfo(status=e.AuthorizationStatus.BLOCKED),
                ),
                m.AuthorizationData(id_tag="GONE"),
            ),
            hash="abc123",
        ),
        m.SendLocalListResponse(status=e.UpdateStatus.HASH_ERROR, hash="def456"),
    ),
    (CP, "UnlockConnector"): (
        m.UnlockConnectorRequest(connector_id=1),
        m.UnlockConnectorResponse(status=e.UnlockStatus.UNLOCKED),
    ),
    (CP, "UpdateFirmware"): (
        m.UpdateFirmwareRequest(
            retrieve_date=at(3, month=6, day=1),
            location="ftp://files.example/fw.bin",
            retries=2,
            retry_interval=600,
        ),
        m.UpdateFirmwareResponse(),
    ),
}
EVERY = pytest.mark.parametrize(
    "operation",
    [o for o in OPERATIONS if Version.V15 in o.versions],
    ids=lambda o: f"{SIDES[o.direction]}.{o.name}",
)


def golden(operation: Operation, what: str) -> bytes:
    return (GOLDEN / f"{SIDES[operation.direction]}.{operation.name}.{what}.xml").read_bytes()


def test_all_25_operations_are_there() -> None:
    assert len(MESSAGES) == 25
    assert len(list(GOLDEN.glob("*.xml"))) == 50


@EVERY
def test_a_request_is_read(operation: Operation) -> None:
    call = decode_call(golden(operation, "request"), operation.direction)

    to, sender = (CENTRAL, BOX) if operation.direction is CS else (BOX, CENTRAL)
    assert call.identity == "BOX-1"
    assert call.version is Version.V15
    assert call.operation is operation
    assert call.request == MESSAGES[operation.direction, operation.name][0]
    assert call.wire == Wire(
        message_id=REQUEST_ID,
        action=f"/{operation.name}",
        from_address=sender,
        reply_to=ANONYMOUS,
        to=to,
        namespace=f"urn://Ocpp/{'Cs' if operation.direction is CS else 'Cp'}/2012/06/",
        operation=operation.name,
    )


@EVERY
def test_a_request_is_written(operation: Operation) -> None:
    to, sender = (CENTRAL, BOX) if operation.direction is CS else (BOX, CENTRAL)

    written = encode_call(
        MESSAGES[operation.direction, operation.name][0],
        direction=operation.direction,
        version=Version.V15,
        identity="BOX-1",
        message_id=REQUEST_ID,
        to=to,
        sender=sender,
    )

    assert written.decode() == golden(operation, "request").decode()


@EVERY
def test_a_response_is_read(operation: Operation) -> None:
    warnings: list[str] = []

    response = decode_reply(
        golden(operation, "response"),
        direction=operation.direction,
        version=Version.V15,
        operation=operation,
        warnings=warnings,
    )

    assert response == MESSAGES[operation.direction, operation.name][1]
    assert warnings == []


@EVERY
def test_a_response_is_written(operation: Operation) -> None:
    call = decode_call(golden(operation, "request"), operation.direction)

    written = encode_reply(
        call, MESSAGES[operation.direction, operation.name][1], message_id=RESPONSE_ID
    )

    assert written.decode() == golden(operation, "response").decode()


@EVERY
def test_both_are_valid_by_the_official_schema(operation: Operation, check_schema) -> None:
    check_schema(golden(operation, "request"), operation.direction)
    check_schema(golden(operation, "response"), operation.direction)
