"""Quirks of envelopes, by their numbers: headers, namespaces, broken XML; hand-written bytes."""

from datetime import UTC, datetime

import pytest

from ocppgw.ocpp import (
    Direction,
    Fault,
    Version,
    by_name,
    decode_call,
    decode_reply,
    encode_fault,
    encode_reply,
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


# Headers


@pytest.mark.parametrize(
    ("headers", "from_address"),
    [
        ("", None),  # Q1
        ("<a:From><a:Address> http://10.0.0.7:80/ </a:Address></a:From>", "http://10.0.0.7:80/"),
        ("<a:From><a:Address>http://:8082/</a:Address></a:From>", "http://:8082/"),
        ("<a:From>http://box/</a:From>", "http://box/"),
        ("<a:From><x/></a:From>", None),
        ("<a:ReplyTo><a:Address>http://box/r</a:Address></a:ReplyTo>", "http://box/r"),
        (f"<a:ReplyTo><a:Address>{WSA}/anonymous</a:Address></a:ReplyTo>", None),
        (
            "<a:ReplyTo><a:Address>http://r/</a:Address></a:ReplyTo><a:From>http://f/</a:From>",
            "http://f/",
        ),
        (  # not judged here
            f"<a:From><a:Address>{WSA}/anonymous</a:Address></a:From>",
            f"{WSA}/anonymous",
        ),
    ],
)
def test_q1_q2_from(headers: str, from_address: str | None) -> None:
    call = decode_call(envelope(HEARTBEAT, IDENTITY + headers), CS)

    assert call.wire.from_address == from_address
    assert call.wire.warnings == ()


def test_q4_only_an_identity() -> None:
    call = decode_call(envelope(HEARTBEAT), CS)

    answer = encode_reply(call, m.HeartbeatResponse(current_time=NOON)).decode()
    assert call.wire.message_id is None
    assert "<wsa:Action>/HeartbeatResponse</wsa:Action>" in answer
    assert f"<wsa:RelatesTo>{WSA}/unspecified</wsa:RelatesTo>" in answer
    assert f"<wsa:To>{WSA}/anonymous</wsa:To>" in answer
    assert "<chargeBoxIdentity>BOX-1</chargeBoxIdentity>" in answer


@pytest.mark.parametrize("header", ["", "<S:Header/>"])
def test_q4_a_reply_without_headers(header: str) -> None:
    body = (
        f'<S:Envelope xmlns:S="{S12}">{header}<S:Body><resetResponse '
        'xmlns="urn://Ocpp/Cp/2012/06/"><status>Accepted</status></resetResponse>'
        "</S:Body></S:Envelope>"
    )
    operation = by_name(CP, "Reset")
    assert operation is not None

    response = decode_reply(body.encode(), direction=CP, version=Version.V15, operation=operation)

    assert response == m.ResetResponse(status=e.CommandStatus.ACCEPTED)


@pytest.mark.parametrize(
    ("action", "warned"),
    [
        ("/Heartbeat", False),
        ("/heartbeat", False),
        ("Heartbeat", False),
        ("urn://Ocpp/Cs/2015/10/Heartbeat", False),
        ("urn://Ocpp/Cs/2012/06/CentralSystemService/HeartbeatRequest", False),
        ("/BootNotification", True),
        ("urn:nonsense", True),
    ],
)
def test_q5_the_body_decides_not_the_action(action: str, warned: bool) -> None:
    call = decode_call(envelope(HEARTBEAT, f"{IDENTITY}<a:Action>{action}</a:Action>"), CS)

    assert call.request == m.HeartbeatRequest()
    assert call.wire.action == action
    assert any("Action" in w for w in call.wire.warnings) is warned


@pytest.mark.parametrize(
    "body",
    [
        '<heartbeatRequest xmlns="urn://Ocpp/Cs/2012/06"/>',  # Q6
        '<heartbeatRequest xmlns="urn://Ocpp/Cp/2012/06/"/>',  # Q10
        '<HeartbeatRequest xmlns="urn://Ocpp/Cs/2012/06/"/>',
        "<heartbeatRequest/>",  # then the identity's namespace tells the version
    ],
)
def test_q6_q10_namespaces_that_are_not_right(body: str) -> None:
    call = decode_call(envelope(body), CS)

    assert call.operation.name == "Heartbeat"
    assert call.version is Version.V15
    assert "Q6, Q10" in call.wire.warnings[0]


@pytest.mark.parametrize(
    "body",
    [
        '<fooRequest xmlns="urn://Ocpp/Cs/2012/06/"/>',
        '<heartbeatRequest xmlns="urn://Ocpp/Cs/2099/01/"/>',
        '<heartbeatRequest xmlns="urn:x"/>',
        '<heartbeatResponse xmlns="urn://Ocpp/Cs/2012/06/"/>',
        '<resetRequest xmlns="urn://Ocpp/Cp/2012/06/"/>',
        '<dataTransferRequest xmlns="urn://Ocpp/Cp/2012/06/"/>',  # could be meant for either
        '<Request xmlns="urn://Ocpp/Cs/2012/06/"/>',
    ],
)
def test_what_the_central_system_does_not_know(body: str) -> None:
    with pytest.raises(Fault) as caught:
        decode_call(envelope(body), CS)

    assert caught.value.subcode == "NotSupported"
    assert caught.value.identity == "BOX-1"
    assert caught.value.wire is not None


@pytest.mark.parametrize(("direction", "side"), [(CS, "Cs"), (CP, "Cp")])
def test_data_transfer_goes_by_its_qname(direction: Direction, side: str) -> None:
    body = (
        f'<dataTransferRequest xmlns="urn://Ocpp/{side}/2012/06/"><vendorId>v</vendorId>'
        "</dataTransferRequest>"
    )

    call = decode_call(envelope(body), direction)

    assert call.operation is by_name(direction, "DataTransfer")
    other = CP if direction is CS else CS
    with pytest.raises(Fault):
        decode_call(envelope(body), other)


def test_no_identity_and_no_namespace_is_no_operation() -> None:
    with pytest.raises(Fault) as caught:
        decode_call(envelope("<heartbeatRequest/>", ""), CS)

    assert caught.value.subcode == "NotSupported"
    assert caught.value.identity is None


@pytest.mark.parametrize(
    ("header", "identity"),
    [
        ("<chargeBoxIdentity>BOX-1</chargeBoxIdentity>", "BOX-1"),
        ('<x:ChargeBoxIdentity xmlns:x="urn:x">BOX-1</x:ChargeBoxIdentity>', "BOX-1"),
        ('<CHARGEBOXIDENTITY S:mustUnderstand="true">BOX-1</CHARGEBOXIDENTITY>', "BOX-1"),
        ("<chargeBoxIdentity>\n  00:1B:21:AA \n</chargeBoxIdentity>", "00:1B:21:AA"),
        ("<chargeBoxIdentity>A<!-- x -->B</chargeBoxIdentity>", "AB"),
        (IDENTITY + IDENTITY, "BOX-1"),  # Q23
    ],
)
def test_q7_q23_identity(header: str, identity: str) -> None:
    call = decode_call(envelope(HEARTBEAT, header), CS)

    assert call.identity == identity
    assert call.wire.warnings == ()


@pytest.mark.parametrize(
    "header", ["", "<chargeBoxIdentity> </chargeBoxIdentity>", IDENTITY + IDENTITY.lower()]
)
def test_no_identity_or_two(header: str) -> None:
    with pytest.raises(Fault) as caught:
        decode_call(envelope(HEARTBEAT, header.replace("box-1", "BOX-2")), CS)

    assert caught.value.subcode == "ProtocolError"
    assert "chargeBoxIdentity" in caught.value.detail
    assert caught.value.wire is not None
    assert caught.value.wire.operation == "Heartbeat"


def test_q23_of_repeated_headers_the_last_counts() -> None:
    headers = "<a:MessageID>1</a:MessageID><a:MessageID>2</a:MessageID>"

    assert decode_call(envelope(HEARTBEAT, IDENTITY + headers), CS).wire.message_id == "2"


def test_q16_white_space_in_headers() -> None:
    headers = "<a:MessageID>urn:uuid:1\n  </a:MessageID><a:To>\n http://x/ \n</a:To>"

    wire = decode_call(envelope(HEARTBEAT, IDENTITY + headers), CS).wire

    assert (wire.message_id, wire.to) == ("urn:uuid:1", "http://x/")


@pytest.mark.parametrize(
    ("header", "warned"),
    [
        ('<a:To S:mustUnderstand="1">http://elsewhere/</a:To>', False),
        ('<a:Action S:mustUnderstand="true">/Heartbeat</a:Action>', False),
        ('<w:Security xmlns:w="urn:w" S:mustUnderstand="1"/>', True),
        ('<w:Security xmlns:w="urn:w" S:mustUnderstand="0"/>', False),
    ],
)
def test_q13_must_understand(header: str, warned: bool) -> None:
    warnings = decode_call(envelope(HEARTBEAT, IDENTITY + header), CS).wire.warnings

    assert any("Q13" in w for w in warnings) is warned


# XML


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("before", "after"),
    [(BOM, b""), (b"\r\n  ", b""), (BOM + b"\n", b"\n"), (b"", b"\0\0"), (b"", b"\n\0")],
)
def test_q14_around_the_xml(before: bytes, after: bytes) -> None:
    body = b'<?xml version="1.0" encoding="utf-8"?>' + envelope(HEARTBEAT)

    assert decode_call(before + body + after, CS).identity == "BOX-1"


def test_utf_16_is_xml_too() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?>' + envelope(HEARTBEAT).decode()

    assert decode_call(text.encode("utf-16"), CS).identity == "BOX-1"
    assert decode_call(text.encode("utf-16-le"), CS).identity == "BOX-1"


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-8"?>'])
def test_q14_latin_1_bytes(declaration: str) -> None:
    body = declaration.encode() + envelope(HEARTBEAT).replace(b"BOX-1", b"S\xfcd-1")

    call = decode_call(body, CS)

    assert call.identity == "Süd-1"
    assert "Latin-1" in call.wire.warnings[0]


def test_latin_1_that_says_so_is_no_oddity() -> None:
    body = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + envelope(HEARTBEAT)

    call = decode_call(body.replace(b"BOX-1", b"S\xfcd-1"), CS)

    assert (call.identity, call.wire.warnings) == ("Süd-1", ())


UNDECLARED = f"""<soap:Envelope xmlns:soap="{S12}"><soap:Header>
 <chargeBoxIdentity xmlns="urn://Ocpp/Cs/2012/06/">BOX-1</chargeBoxIdentity>
 <a:MessageID soap:mustUnderstand="1">77</a:MessageID>
 <a:From><a:Address>http://box/</a:Address></a:From></soap:Header>
 <soap:Body><n:stopTransactionRequest xmlns:n="urn://Ocpp/Cs/2012/06/">
  <n:transactionId>1</n:transactionId><n:idTag xsi:nil="true"/>
  <n:timestamp>2024-05-31T12:00:00Z</n:timestamp><n:meterStop>5</n:meterStop>
  <n:transactionData xsi:nil="true"/></n:stopTransactionRequest></soap:Body></soap:Envelope>"""


def test_q14_q31_undeclared_prefixes() -> None:
    call = decode_call(UNDECLARED.encode(), CS)

    assert call.request == m.StopTransactionRequest(transaction_id=1, timestamp=NOON, meter_stop=5)
    assert (call.wire.message_id, call.wire.from_address) == ("77", "http://box/")
    assert any("prefix" in w for w in call.wire.warnings)


def test_q31_even_the_envelope_itself() -> None:
    body = f"<s:Envelope><s:Header>{IDENTITY}</s:Header><s:Body>{HEARTBEAT}</s:Body></s:Envelope>"

    call = decode_call(body.encode(), CS)

    assert call.identity == "BOX-1"
    assert encode_reply(call, m.HeartbeatResponse(current_time=NOON))


def test_q14_latin_1_and_undeclared_prefix() -> None:
    call = decode_call(UNDECLARED.replace("BOX-1", "Süd").encode("latin-1"), CS)

    assert call.identity == "Süd"


def test_latin_1_that_says_so_with_an_undeclared_prefix() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?>' + UNDECLARED.replace("BOX-1", "Süd")

    assert decode_call(body.encode("latin-1"), CS).identity == "Süd"


def test_q31_no_second_chance_for_another_error() -> None:
    broken = UNDECLARED.replace("</n:meterStop>", "</n:meterStart>")

    with pytest.raises(Fault) as caught:
        decode_call(broken.encode(), CS)

    assert caught.value.subcode == "ProtocolError"
    assert caught.value.identity == "BOX-1"  # salvaged, for the fault
    assert caught.value.wire is not None
    assert caught.value.wire.message_id == "77"
    assert b"<wsa:RelatesTo>77</wsa:RelatesTo>" in encode_fault(caught.value, CS)
