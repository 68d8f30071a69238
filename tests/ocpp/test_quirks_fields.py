"""Quirks of fields and of replies, by their numbers: hand-written bytes."""

from datetime import UTC, datetime

import pytest
from lxml import etree

from ocppgw.ocpp import (
    UNREADABLE_TIME,
    Call,
    Direction,
    Fault,
    NotAnAnswer,
    Response,
    Unknown,
    Version,
    by_name,
    decode_call,
    decode_reply,
)
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)
IDENTITY = '<o:chargeBoxIdentity xmlns:o="urn://Ocpp/Cs/2012/06/">BOX-1</o:chargeBoxIdentity>'
HEARTBEAT = '<heartbeatRequest xmlns="urn://Ocpp/Cs/2012/06/"/>'
S12 = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"


def envelope(body: str, headers: str = IDENTITY) -> bytes:
    return (
        f'<S:Envelope xmlns:S="{S12}" xmlns:a="{WSA}"><S:Header>{headers}</S:Header>'
        f"<S:Body>{body}</S:Body></S:Envelope>"
    ).encode()


def central(body: str, headers: str = IDENTITY) -> Call:
    """A call of the central system; ``body`` without namespaces, as a default one is added."""
    return decode_call(envelope(_qualified(body, "Cs"), headers), CS)


def station(body: str) -> Call:
    return decode_call(envelope(_qualified(body, "Cp")), CP)


def _qualified(body: str, side: str) -> str:
    end = min(i for i in (body.find(" "), body.find(">"), body.find("/")) if i > 0)
    return f'{body[:end]} xmlns="urn://Ocpp/{side}/2012/06/"{body[end:]}'


def reply(name: str, body: str, direction: Direction = CS) -> tuple[Response, list[str]]:
    warnings: list[str] = []
    operation = by_name(direction, name)
    assert operation is not None
    side = "Cs" if direction is CS else "Cp"
    response = decode_reply(
        envelope(_qualified(body, side), ""),
        direction=direction,
        version=Version.V15,
        operation=operation,
        warnings=warnings,
    )
    return response, warnings


def start(**changes: str) -> str:
    fields = {
        "connectorId": "1",
        "idTag": "TAG",
        "timestamp": "2024-05-31T12:00:00Z",
        "meterStart": "0",
    } | changes
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if text != "-")
    return f"<startTransactionRequest>{inside}</startTransactionRequest>"


# Fields


def test_q9_q30_order_and_namespace_of_fields() -> None:
    body = (
        '<startTransactionRequest xmlns="urn://Ocpp/Cs/2012/06/" xmlns:p="urn://Ocpp/Cp/2012/06/">'
        '<METERSTART xmlns="">7</METERSTART><p:timestamp>2024-05-31T12:00:00Z</p:timestamp>'
        "<idTag>T</idTag><vendorExtra>x</vendorExtra><connectorId>1</connectorId>"
        "</startTransactionRequest>"
    )

    call = decode_call(envelope(body), CS)

    assert call.request == m.StartTransactionRequest(
        connector_id=1, id_tag="T", timestamp=NOON, meter_start=7
    )
    assert "vendorExtra" in call.wire.warnings[0]


def test_a_field_that_comes_twice() -> None:
    call = central("<authorizeRequest><idTag>A</idTag><idTag>B</idTag></authorizeRequest>")

    assert call.request == m.AuthorizeRequest(id_tag="B")
    assert "twice" in call.wire.warnings[0]


BOOT = (
    "<bootNotificationRequest><chargePointVendor></chargePointVendor>"
    "<chargePointModel> M \n</chargePointModel><imsi/><iccid> </iccid>"
    '<meterType xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>'
    "</bootNotificationRequest>"
)


def test_q15_q16_empty_and_white_space() -> None:
    call = central(BOOT)

    assert call.request == m.BootNotificationRequest(charge_point_vendor="", charge_point_model="M")
    assert call.wire.warnings == ()


NIL = 'xsi:nil="1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<transactionData/>", (m.TransactionData(),)),  # a valid one, with nothing in it
        (f"<transactionData {NIL}/>", ()),
        ("<transactionData><values/></transactionData>", (m.TransactionData(),)),
    ],
)
def test_q15_empty_transaction_data(data: str, expected: tuple[m.TransactionData, ...]) -> None:
    call = central(
        "<stopTransactionRequest><transactionId>0</transactionId>"
        "<timestamp>2024-05-31T12:00:00Z</timestamp><meterStop>1</meterStop>"
        f"{data}</stopTransactionRequest>"
    )

    assert call.request == m.StopTransactionRequest(
        transaction_id=0, timestamp=NOON, meter_stop=1, transaction_data=expected
    )


def test_q15_empty_parts() -> None:
    response, _ = reply(
        "StopTransaction", "<stopTransactionResponse><idTagInfo/></stopTransactionResponse>"
    )

    assert response == m.StopTransactionResponse()


def test_q15_the_value_of_change_configuration_may_be_missing() -> None:
    call = station("<changeConfigurationRequest><key>k</key></changeConfigurationRequest>")

    assert call.request == m.ChangeConfigurationRequest(key="k", value="")
    assert "ChangeConfigurationRequest has no value" in call.wire.warnings[0]


def test_q15_an_empty_key_asks_for_nothing() -> None:
    call = station("<getConfigurationRequest><key/></getConfigurationRequest>")

    assert call.request == m.GetConfigurationRequest()


def test_q15_markup_in_data() -> None:
    call = central(
        "<dataTransferRequest><vendorId>v</vendorId><data>a<x y='1'>b</x>c</data>"
        "</dataTransferRequest>"
    )

    assert isinstance(call.request, m.DataTransferRequest)
    assert call.request.data == 'a<x xmlns="urn://Ocpp/Cs/2012/06/" y="1">b</x>c'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('&lt;<x>&amp;&gt;</x>"', '&lt;<x xmlns="urn://Ocpp/Cs/2012/06/">&amp;&gt;</x>"'),
        ("<x xmlns=''/><y xmlns=''><z/></y>", "<x/><y><z/></y>"),
        ("<v:x xmlns:v='u:&amp;'><v:y/><z/></v:x>", None),
        ("<x xmlns='' xmlns:v='u:v' v:a='&quot;1' b='2' v:c='3' xml:lang='de'/>", None),
        ("<v:x xmlns:v='u:1'><v:y xmlns:v='u:2' v:z=''><v:y/></v:y><v:y/></v:x>", None),
        ("<n3:x xmlns:n3='u:1' xmlns:v='u:2' v:a=''/>", None),
    ],
)
def test_q15_markup_keeps_its_meaning(data: str, expected: str | None) -> None:
    request = central(
        f"<dataTransferRequest><vendorId>v</vendorId><data>{data}</data></dataTransferRequest>"
    ).request

    assert isinstance(request, m.DataTransferRequest)
    assert request.data is not None
    if expected is not None:
        assert request.data == expected
    alone = etree.fromstring(f"<data xmlns=''>{request.data}</data>")
    meant = etree.fromstring(f"<d xmlns='urn://Ocpp/Cs/2012/06/'><data xmlns=''/>{data}</d>")
    assert [_meaning(e) for e in alone] == [_meaning(e) for e in meant[1:]]


def _meaning(element: etree._Element) -> object:
    attributes = sorted(element.attrib.items())
    return element.tag, attributes, element.text, element.tail, [_meaning(e) for e in element]


@pytest.mark.parametrize("text", ["12.0", " 12 ", "+12", "012", "12.", "12.000"])
def test_q18_integers(text: str) -> None:
    request = central(start(connectorId=text)).request

    assert isinstance(request, m.StartTransactionRequest)
    assert request.connector_id == 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1234.4", 1234), ("1234.5", 1235), ("-1.5", -2), ("-0.4", 0), ("0.49", 0)],
)
def test_q18_energy_with_a_fraction_is_rounded_since_it_must_be_billed(
    text: str, expected: int
) -> None:
    request = central(start(meterStart=text)).request

    assert isinstance(request, m.StartTransactionRequest)
    assert request.meter_start == expected


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("connectorId", "one", "whole number"),
        ("connectorId", "1.5", "whole number"),
        ("connectorId", "5_0", "whole number"),
        ("connectorId", "٣", "whole number"),
        ("connectorId", "2147483648", "32-bit"),
        ("meterStart", "-2147483649", "32-bit"),
        ("meterStart", "9" * 400, "whole number"),
        ("meterStart", "NaN", "whole number"),
        ("connectorId", "", "has no connectorId"),
        ("connectorId", "-", "has no connectorId"),  # Q29
        ("idTag", "-", "has no idTag"),
        ("timestamp", "-", "has no timestamp"),
    ],
)
def test_q18_q29_what_cannot_be_read_is_a_protocol_error(
    field: str, text: str, expected: str
) -> None:
    with pytest.raises(Fault) as caught:
        central(start(**{field: text}))

    assert caught.value.subcode == "ProtocolError"
    assert field in caught.value.detail
    assert expected in caught.value.detail
    assert caught.value.identity == "BOX-1"
    assert caught.value.wire is not None
    assert caught.value.wire.operation == "StartTransaction"


@pytest.mark.parametrize("text", ["0", "-1"])
def test_q21_transaction_ids_that_are_none(text: str) -> None:
    call = central(
        f"<meterValuesRequest><connectorId>1</connectorId><transactionId>{text}</transactionId>"
        "</meterValuesRequest>"
    )

    assert call.request == m.MeterValuesRequest(connector_id=1, transaction_id=int(text))


@pytest.mark.parametrize(
    ("text", "expected", "warned"),
    [
        ("2024-05-31T12:00:00Z", NOON, False),
        ("2024-05-31T14:00:00+02:00", NOON, False),
        ("2024-05-31T12:00:00", NOON, True),
        ("2024-05-31T15:00:00+03", NOON, False),
        ("2024-05-31T07:00:00-05", NOON, False),
        ("2024-05-31T12:00:00z", NOON, True),
        ("2024-05-31 12:00:00Z", NOON, False),
        ("2024-05-31T12:00Z", NOON, False),
        ("2024-05-31T12:00:00.1Z", NOON.replace(microsecond=100_000), False),
        ("2024-05-31T12:00:00.123456789Z", NOON.replace(microsecond=123_000), False),
        ("2024-05-31T12:00:00.1234567+00:00", NOON.replace(microsecond=123_000), False),
        ("2024-05-30T24:00:00Z", datetime(2024, 5, 31, tzinfo=UTC), True),
        ("2024-05-31T11:59:60Z", NOON.replace(hour=11, minute=59, second=59), True),
        ("2024-5-31T12:00:00Z", NOON, True),
        ("2024-05-31T12:00:00.5z", NOON.replace(microsecond=500_000), True),
        ("2024-05-31T12:00:00Z:", NOON, True),
        ("2024-05-31T7:00:00-0500", NOON, True),
        ("2024-05-31T13:30:00.z+0130", NOON.replace(hour=13, minute=30), True),
        ("1970-01-01T00:00:00Z", UNREADABLE_TIME, False),
        ("yesterday", UNREADABLE_TIME, True),
        ("2024-13-31T12:00:00Z", UNREADABLE_TIME, True),
        ("0001-01-01T00:00:00+14:00", UNREADABLE_TIME, True),
    ],
)
def test_q17_times(text: str, expected: datetime, warned: bool) -> None:
    """A start is taken in whatever its stamp says: it happened, and must be billed."""
    call = central(start(timestamp=text))

    assert isinstance(call.request, m.StartTransactionRequest)
    assert call.request.timestamp == expected
    assert call.request.timestamp.tzinfo is UTC
    assert bool(call.wire.warnings) is warned


def test_q17_an_optional_time_that_cannot_be_read_is_left_out() -> None:
    call = central(
        "<statusNotificationRequest><connectorId>1</connectorId><status>Available</status>"
        "<errorCode>NoError</errorCode><timestamp>now</timestamp></statusNotificationRequest>"
    )

    assert isinstance(call.request, m.StatusNotificationRequest)
    assert call.request.timestamp is None
    assert "StatusNotificationRequest.timestamp is left out" in call.wire.warnings[0]


def test_q18_an_optional_number_that_cannot_be_read_does_not_cost_the_bill() -> None:
    call = central(start(reservationId="none"))

    assert isinstance(call.request, m.StartTransactionRequest)
    assert call.request.reservation_id is None
    assert "StartTransactionRequest.reservationId is left out" in call.wire.warnings[0]


def test_but_a_command_for_an_unreadable_connector_is_refused() -> None:
    with pytest.raises(Fault) as caught:
        station(
            "<remoteStartTransactionRequest><idTag>T</idTag><connectorId>any</connectorId>"
            "</remoteStartTransactionRequest>"
        )

    assert "RemoteStartTransactionRequest.connectorId" in caught.value.detail


def test_q17_a_command_for_no_time_is_refused() -> None:
    with pytest.raises(Fault) as caught:
        station(
            "<updateFirmwareRequest><retrieveDate>soon</retrieveDate>"
            "<location>ftp://x/</location></updateFirmwareRequest>"
        )

    assert "UpdateFirmwareRequest.retrieveDate: expected a time" in caught.value.detail


STATUS = (
    "<statusNotificationRequest><connectorId>1</connectorId><status>{}</status>"
    "<errorCode>{}</errorCode></statusNotificationRequest>"
)


@pytest.mark.parametrize(
    ("words", "status", "error", "warnings"),
    [
        (
            ("Occupied", "Mode3Error"),
            e.ChargePointStatus.OCCUPIED,
            e.ChargePointErrorCode.EV_COMMUNICATION_ERROR,
            0,
        ),
        (
            ("Charging", "EVCommunicationError"),
            e.ChargePointStatus.CHARGING,
            e.ChargePointErrorCode.EV_COMMUNICATION_ERROR,
            2,
        ),
        (
            ("AVAILABLE", "noError"),
            e.ChargePointStatus.AVAILABLE,
            e.ChargePointErrorCode.NO_ERROR,
            2,
        ),
        (("Dancing", ""), Unknown("Dancing"), Unknown(""), 2),
    ],
)
def test_q18_value_sets(
    words: tuple[str, str],
    status: e.ChargePointStatus,
    error: e.ChargePointErrorCode,
    warnings: int,
) -> None:
    call = central(STATUS.format(*words))

    assert call.request == m.StatusNotificationRequest(
        connector_id=1, status=status, error_code=error
    )
    assert len(call.wire.warnings) == warnings


def test_q18_words_of_the_prose_and_of_other_versions() -> None:
    unlock, _ = reply(
        "UnlockConnector",
        "<unlockConnectorResponse><status>UnlockFailed</status></unlockConnectorResponse>",
        CP,
    )
    transfer, _ = reply(
        "DataTransfer",
        "<dataTransferResponse><status>UnknownVendor</status></dataTransferResponse>",
    )

    assert unlock == m.UnlockConnectorResponse(status=e.UnlockStatus.UNLOCK_FAILED)
    assert transfer == m.DataTransferResponse(status=e.DataTransferStatus.UNKNOWN_VENDOR_ID)


def test_q18_over_long_strings_are_kept() -> None:
    call = central(start(idTag="T" * 25))

    assert isinstance(call.request, m.StartTransactionRequest)
    assert call.request.id_tag == "T" * 25
    assert "longer than 20" in call.wire.warnings[0]


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("TRUE", True), ("0", False), (" false ", False)]
)
def test_q18_booleans(text: str, expected: bool) -> None:
    response, _ = reply("GetConfiguration", _one_key(text), CP)

    assert response == m.GetConfigurationResponse(
        configuration_key=(m.KeyValue(key="k", readonly=expected),)
    )


def _one_key(readonly: str) -> str:
    return (
        f"<getConfigurationResponse><configurationKey><key>k</key><readonly>{readonly}</readonly>"
        "</configurationKey></getConfigurationResponse>"
    )


def test_an_entry_that_cannot_be_read_is_left_out_of_a_spare_list() -> None:
    response, warnings = reply("GetConfiguration", _one_key("perhaps"), CP)

    assert response == m.GetConfigurationResponse()
    assert "expected true or false" in warnings[0]


VALUES = (
    "<meterValuesRequest><connectorId>1</connectorId>"
    "<values><timestamp>2024-05-31T12:00:00Z</timestamp>{}</values>"
    "<values><timestamp>2024-05-31T12:15:00Z</timestamp></values>"
    "</meterValuesRequest>"
)


def test_q22_shapes_of_values() -> None:
    call = central(
        VALUES.format(
            "<value> 7 </value><value unit='V' context=''>n/a</value><value/>"
            "<value measurand='SoC' UNIT='kwh' vendor='x'>5</value>"
        )
    )

    sampled = (
        m.SampledValue(value="7"),
        m.SampledValue(value="n/a", unit=e.UnitOfMeasure.V),
        m.SampledValue(value=""),
        m.SampledValue(value="5", measurand=e.Measurand.SOC, unit=e.UnitOfMeasure.KWH),
    )
    assert call.request == m.MeterValuesRequest(
        connector_id=1, meter_value=(m.MeterValue(timestamp=NOON, sampled_value=sampled),)
    )
    warnings = "\n".join(call.wire.warnings)
    assert "'V' is not a value of this version" in warnings
    assert "unknown attribute 'vendor'" in warnings
    assert "MeterValuesRequest.values: an entry is left out" in warnings


def test_a_command_with_an_unreadable_entry_is_refused_whole() -> None:
    with pytest.raises(Fault) as caught:
        station(
            "<sendLocalListRequest><updateType>Full</updateType><listVersion>1</listVersion>"
            "<localAuthorisationList><idTag>A</idTag></localAuthorisationList>"
            "<localAuthorisationList><idTagInfo><status>Accepted</status></idTagInfo>"
            "</localAuthorisationList></sendLocalListRequest>"
        )

    assert "AuthorisationData has no idTag" in caught.value.detail


def test_repeats_are_bounded() -> None:
    with pytest.raises(Fault) as caught:
        station(f"<getConfigurationRequest>{'<key>k</key>' * 10_001}</getConfigurationRequest>")

    assert "more than 10000 times" in caught.value.detail


def test_warnings_are_bounded() -> None:
    call = station(f"<clearCacheRequest>{'<x/>' * 1000}</clearCacheRequest>")

    assert len(call.wire.warnings) == 50


# Replies


def test_q24_either_name_of_the_interval() -> None:
    for name in ("heartbeatInterval", "interval"):
        response, warnings = reply(
            "BootNotification",
            "<bootNotificationResponse><status>Accepted</status><currentTime>"
            f"2024-05-31T12:00:00Z</currentTime><{name}>300</{name}></bootNotificationResponse>",
        )

        assert response == m.BootNotificationResponse(
            status=e.RegistrationStatus.ACCEPTED, current_time=NOON, interval=300
        )
        assert warnings == []


def test_a_boot_answer_with_a_time_that_cannot_be_read() -> None:
    response, warnings = reply(
        "BootNotification",
        "<bootNotificationResponse><status>Accepted</status><currentTime>now</currentTime>"
        "<heartbeatInterval>300</heartbeatInterval></bootNotificationResponse>",
    )

    assert response == m.BootNotificationResponse(
        status=e.RegistrationStatus.ACCEPTED, interval=300
    )
    assert "currentTime is left out" in warnings[0]


def test_a_boot_answer_in_the_way_of_1_2() -> None:
    response, warnings = reply(
        "BootNotification",
        "<bootNotificationResponse><status>Accepted</status></bootNotificationResponse>",
    )

    assert response == m.BootNotificationResponse(status=e.RegistrationStatus.ACCEPTED)
    assert sorted(warnings) == [
        "BootNotificationResponse has no currentTime",
        "BootNotificationResponse has no heartbeatInterval",
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!doctype html><html><body>Log in</body></html>", "XML"),
        (b"<html><body>Bad gateway</body></html>", "expected a SOAP envelope, got 'html'"),
        (b"502 Bad Gateway", "not well-formed XML"),
        (envelope(""), "nothing in it"),
        (f'<S:Envelope xmlns:S="{S12}"/>'.encode(), "no body"),
        (envelope("<heartbeatConfirmation/>"), "expected heartbeatResponse"),
        (envelope("<heartbeatRequest/>"), "expected heartbeatResponse"),
        (envelope("<heartbeatResponse/>"), "HeartbeatResponse has no currentTime"),
        (
            envelope("<heartbeatResponse><currentTime>x</currentTime></heartbeatResponse>"),
            "HeartbeatResponse.currentTime: expected a time",
        ),
    ],
)
def test_q25_what_is_no_answer(body: bytes, expected: str) -> None:
    operation = by_name(CS, "Heartbeat")
    assert operation is not None

    with pytest.raises(NotAnAnswer, match=expected):
        decode_reply(body, direction=CS, version=Version.V15, operation=operation)


def test_q8_q30_a_reply_in_any_prefix_and_without_namespace() -> None:
    operation = by_name(CS, "Heartbeat")
    assert operation is not None
    body = envelope(
        "<HeartBeatResponse><q:currentTime xmlns:q='urn:q'>2024-05-31T12:00:00Z</q:currentTime>"
        "</HeartBeatResponse>",
        "",
    )

    response = decode_reply(body, direction=CS, version=Version.V15, operation=operation)

    assert response == m.HeartbeatResponse(current_time=NOON)
