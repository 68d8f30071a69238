"""What 1.5 cannot say, and that 1.2 and 1.6 fit the same vocabulary."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from lxml import etree

from ocppgw.ocpp import Direction, Unknown, Unsayable, Version, encode_call
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.decode import decoder
from ocppgw.ocpp.encode import encoder
from ocppgw.ocpp.table import Adapter, Group, Integer, Text, Time, choice, group, many, message, one
from ocppgw.ocpp.table import optional as maybe

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)


def body(request: m.Request, direction: Direction = CS) -> str:
    """The body of a request as 1.5 writes it."""
    written = encode_call(
        request,
        direction=direction,
        version=Version.V15,
        identity="B",
        message_id="1",
        to="http://to/",
        sender="http://from/",
        prefix="",
    ).decode()
    return written.partition("<soap:Body>")[2].partition("</soap:Body>")[0]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (e.ChargePointStatus.CHARGING, e.ChargePointErrorCode.NO_ERROR, ("Occupied", "NoError")),
        (
            e.ChargePointStatus.RESERVED,
            e.ChargePointErrorCode.OVER_VOLTAGE,
            ("Reserved", "OtherError"),
        ),
        (Unknown("Dancing"), Unknown("A&B"), ("Dancing", "A&amp;B")),  # passed on as it came
    ],
)
def test_1_5_says_what_is_nearest(status: Any, error: Any, words: tuple[str, str]) -> None:
    request = m.StatusNotificationRequest(connector_id=1, status=status, error_code=error)

    assert f"<status>{words[0]}</status><errorCode>{words[1]}</errorCode>" in body(request)


def test_1_5_drops_the_reason_and_the_phase() -> None:
    sampled = m.SampledValue(value="7", phase=e.Phase.L1, location=e.Location.CABLE)
    request = m.StopTransactionRequest(
        transaction_id=1,
        timestamp=NOON,
        meter_stop=7,
        reason=e.Reason.REMOTE,
        transaction_data=(
            m.TransactionData(values=(m.MeterValue(timestamp=NOON, sampled_value=(sampled,)),)),
        ),
    )

    assert body(request) == (
        "<stopTransactionRequest><transactionId>1</transactionId>"
        "<timestamp>2024-05-31T12:00:00Z</timestamp><meterStop>7</meterStop><transactionData>"
        '<values><timestamp>2024-05-31T12:00:00Z</timestamp><value location="Outlet">7</value>'
        "</values></transactionData></stopTransactionRequest>"
    )


def test_1_5_leaves_out_samples_it_has_no_words_for() -> None:
    """A state of charge without its measurand would be read as energy."""
    soc = m.SampledValue(value="80", measurand=e.Measurand.SOC, unit=e.UnitOfMeasure.PERCENT)
    energy = m.SampledValue(value="7")
    request = m.MeterValuesRequest(
        connector_id=1,
        meter_value=(
            m.MeterValue(timestamp=NOON, sampled_value=(soc, energy)),
            m.MeterValue(timestamp=NOON, sampled_value=(soc,)),
        ),
    )

    assert body(request) == (
        "<meterValuesRequest><connectorId>1</connectorId><values>"
        "<timestamp>2024-05-31T12:00:00Z</timestamp><value>7</value></values></meterValuesRequest>"
    )


def test_a_message_that_1_5_cannot_say_at_all() -> None:
    with pytest.raises(Unsayable, match=r"FirmwareStatus has no word for FirmwareStatus\.IDLE"):
        body(m.FirmwareStatusNotificationRequest(status=e.FirmwareStatus.IDLE))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            m.StartTransactionRequest(
                connector_id=2**31, id_tag="T", timestamp=NOON, meter_start=0
            ),
            "expected a number from -2147483648 to 2147483647, got 2147483648",
        ),
        (
            m.StartTransactionRequest(
                connector_id=1, id_tag="T", timestamp=NOON.replace(tzinfo=None), meter_start=0
            ),
            "has no time zone",
        ),
        (
            m.MeterValuesRequest(
                connector_id=1, meter_value=(m.MeterValue(timestamp=NOON, sampled_value=()),)
            ),
            "MeterValue needs sampled_value",
        ),
    ],
)
def test_what_is_no_message(request_: m.Request, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        body(request_)


def test_a_mandatory_field_that_the_model_lets_be_absent() -> None:
    write = encoder(BOOT_15, "r", "")

    with pytest.raises(ValueError, match="BootNotificationResponse needs interval"):
        write(m.BootNotificationResponse(status=e.RegistrationStatus.ACCEPTED))


REGISTRATION = choice("RegistrationStatus", e.RegistrationStatus, "Accepted Pending Rejected")
BOOT_15 = message(
    m.BootNotificationResponse,
    one("status", REGISTRATION),
    one("heartbeatInterval", Integer(), attribute="interval"),
)


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (NOON.replace(microsecond=999), "2024-05-31T12:00:00Z"),
        (NOON.replace(microsecond=1_999), "2024-05-31T12:00:00.001Z"),
        (NOON.astimezone(timezone(timedelta(hours=3))), "2024-05-31T12:00:00Z"),
    ],
)
def test_times_are_written_in_utc_and_whole_if_they_can_be(time: datetime, written: str) -> None:
    request = m.UpdateFirmwareRequest(retrieve_date=time, location="x")

    assert f"<retrieveDate>{written}</retrieveDate>" in body(request, CP)


# The peculiarities of 1.6 and 1.2, in the table's own words


def both_ways(kind: Group, value: Any, xml: str) -> None:
    assert encoder(kind, "m", "")(value) == xml
    assert decoder(kind, "")(etree.fromstring(xml), []) == value


STRING, TIME, INT = Text(), Time(), Integer()
SAMPLED_16 = group(
    "SampledValue",
    m.SampledValue,
    one("value", STRING),
    maybe("phase", choice("Phase", e.Phase, " ".join(p.value for p in e.Phase))),
    maybe(
        "unit",
        choice("UnitOfMeasure", e.UnitOfMeasure, "Wh A V", also={"Amp": e.UnitOfMeasure.A}),
    ),
)
METER_VALUE_16 = group(
    "MeterValue",
    m.MeterValue,
    one("timestamp", TIME),
    many("sampledValue", SAMPLED_16, at_least_one=True),
)
STOP_16 = message(
    m.StopTransactionRequest,
    one("transactionId", INT),
    one("timestamp", TIME),
    one("meterStop", INT),
    maybe("reason", choice("Reason", e.Reason, "Local Remote")),
    many(
        "transactionData",
        METER_VALUE_16,
        adapter=Adapter(  # one group, without an element of its own
            lambda values: (m.TransactionData(values=values),),
            lambda groups: [value for group in groups for value in group.values],
        ),
    ),
)


def test_1_6_children_instead_of_attributes_and_no_wrapper() -> None:
    current = m.SampledValue(value="16", phase=e.Phase.L1_N, unit=e.UnitOfMeasure.A)
    stop = m.StopTransactionRequest(
        transaction_id=1,
        timestamp=NOON,
        meter_stop=7,
        reason=e.Reason.REMOTE,
        transaction_data=(
            m.TransactionData(values=(m.MeterValue(timestamp=NOON, sampled_value=(current,)),)),
        ),
    )

    both_ways(
        STOP_16,
        stop,
        "<m><transactionId>1</transactionId><timestamp>2024-05-31T12:00:00Z</timestamp>"
        "<meterStop>7</meterStop><reason>Remote</reason><transactionData>"
        "<timestamp>2024-05-31T12:00:00Z</timestamp><sampledValue><value>16</value>"
        "<phase>L1-N</phase><unit>A</unit></sampledValue></transactionData></m>",
    )
    both_ways(
        STOP_16,
        m.StopTransactionRequest(transaction_id=1, timestamp=NOON, meter_stop=7),
        "<m><transactionId>1</transactionId><timestamp>2024-05-31T12:00:00Z</timestamp>"
        "<meterStop>7</meterStop></m>",
    )


def _register(samples: tuple[m.SampledValue, ...]) -> int | None:
    return next((int(s.value) for s in samples if s.measurand is None), None)


METER_VALUE_12 = group(
    "MeterValue",
    m.MeterValue,
    one("timestamp", TIME),
    one(
        "value",
        INT,
        attribute="sampled_value",
        adapter=Adapter(lambda wh: (m.SampledValue(value=str(wh)),), _register),
    ),
)
METER_VALUES_12 = message(
    m.MeterValuesRequest,
    one("connectorId", INT),
    many(
        "values",
        METER_VALUE_12,
        attribute="meter_value",
        adapter=Adapter(
            tuple,
            lambda values: [v for v in values if _register(v.sampled_value) is not None],
        ),
    ),
)


def test_1_2_a_bare_number_of_watt_hours() -> None:
    energy = m.MeterValue(timestamp=NOON, sampled_value=(m.SampledValue(value="7"),))
    voltage = m.SampledValue(value="230", measurand=e.Measurand.VOLTAGE)
    xml = (
        "<m><connectorId>1</connectorId><values><timestamp>2024-05-31T12:00:00Z</timestamp>"
        "<value>7</value></values></m>"
    )

    both_ways(METER_VALUES_12, m.MeterValuesRequest(connector_id=1, meter_value=(energy,)), xml)

    more = m.MeterValue(timestamp=NOON, sampled_value=(voltage,))
    request = m.MeterValuesRequest(connector_id=1, meter_value=(more, energy))
    assert encoder(METER_VALUES_12, "m", "")(request) == xml
