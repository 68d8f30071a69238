"""Faults, and answers in the peer's own dialect: SOAP 1.1, older addressing, any prefix."""

from datetime import UTC, datetime

import pytest
from lxml import etree

from ocppgw.ocpp import (
    Direction,
    Fault,
    FaultCode,
    Version,
    Wire,
    by_name,
    content_type,
    decode_call,
    decode_reply,
    encode_call,
    encode_fault,
    encode_reply,
)
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)
ANSWER = m.HeartbeatResponse(current_time=NOON)
S12 = "http://www.w3.org/2003/05/soap-envelope"
S11 = "http://schemas.xmlsoap.org/soap/envelope/"
W05 = "http://www.w3.org/2005/08/addressing"
W04 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"


def heartbeat(soap: str = S12, addressing: str = W05, prefix: str = "ns1") -> bytes:
    declared, tag = (f":{prefix}", f"{prefix}:") if prefix else ("", "")
    return (
        f'<E:Envelope xmlns:E="{soap}" xmlns:w="{addressing}"><E:Header>'
        '<c:chargeBoxIdentity xmlns:c="urn://Ocpp/Cs/2012/06/">BOX-1</c:chargeBoxIdentity>'
        "<w:Action>/Heartbeat</w:Action><w:MessageID>7230</w:MessageID></E:Header>"
        f'<E:Body><{tag}heartbeatRequest xmlns{declared}="urn://Ocpp/Cs/2012/06/"/></E:Body>'
        "</E:Envelope>"
    ).encode()


def test_soap_1_1_is_answered_in_kind() -> None:
    call = decode_call(heartbeat(soap=S11), CS)

    assert encode_reply(call, ANSWER, message_id="1").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{S11}" xmlns:wsa="{W05}"'
        ' xmlns:ns1="urn://Ocpp/Cs/2012/06/"><soap:Header>'
        "<ns1:chargeBoxIdentity>BOX-1</ns1:chargeBoxIdentity>"
        "<wsa:Action>/HeartbeatResponse</wsa:Action><wsa:MessageID>1</wsa:MessageID>"
        f"<wsa:RelatesTo>7230</wsa:RelatesTo><wsa:To>{W05}/anonymous</wsa:To></soap:Header>"
        "<soap:Body><ns1:heartbeatResponse><ns1:currentTime>2024-05-31T12:00:00Z"
        "</ns1:currentTime></ns1:heartbeatResponse></soap:Body></soap:Envelope>"
    )
    assert content_type("/HeartbeatResponse", call.wire) == b"text/xml; charset=utf-8"


def test_content_type_of_soap_1_2() -> None:
    expected = b'application/soap+xml; charset=utf-8; action="/Heartbeat"'

    assert content_type("/Heartbeat") == expected
    assert content_type("/Heartbeat", decode_call(heartbeat(), CS).wire) == expected


def test_older_addressing_is_answered_in_kind() -> None:
    answer = encode_reply(decode_call(heartbeat(addressing=W04), CS), ANSWER).decode()

    assert f'xmlns:wsa="{W04}"' in answer
    assert f"<wsa:To>{W04}/role/anonymous</wsa:To>" in answer
    assert "<wsa:RelatesTo>7230</wsa:RelatesTo>" in answer


@pytest.mark.parametrize(
    ("prefix", "expected"), [("v", "v:"), ("", ""), ("soap", "ns1:"), ("wsa", "ns1:")]
)
def test_q8_the_prefix_of_the_request(prefix: str, expected: str) -> None:
    answer = encode_reply(decode_call(heartbeat(prefix=prefix), CS), ANSWER)

    text = answer.decode()
    assert f"<{expected}chargeBoxIdentity>BOX-1</{expected}chargeBoxIdentity>" in text
    assert f"<{expected}heartbeatResponse><{expected}currentTime>" in text
    body = etree.fromstring(answer)[1]
    assert body[0].tag == "{urn://Ocpp/Cs/2012/06/}heartbeatResponse"
    assert body[0][0].tag == "{urn://Ocpp/Cs/2012/06/}currentTime"


def test_a_call_in_a_prefix_that_the_station_needs() -> None:
    text = encode_call(
        m.ResetRequest(type=e.ResetType.SOFT),
        direction=CP,
        version=Version.V15,
        identity="B",
        message_id="1",
        to="http://box/",
        sender="http://us/",
        prefix="v",
    ).decode()

    assert "<v:resetRequest><v:type>Soft</v:type></v:resetRequest>" in text


def test_message_ids_of_answers() -> None:
    """Made of request and answer: different for different ones, no randomness needed."""
    call = decode_call(heartbeat(), CS)
    later = m.HeartbeatResponse(current_time=NOON.replace(second=1))

    ids = [
        etree.fromstring(answer).findtext(f".//{{{W05}}}MessageID")
        for answer in (
            encode_reply(call, ANSWER),
            encode_reply(call, ANSWER),
            encode_reply(call, later),
        )
    ]

    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("urn:uuid:")
    assert len(ids[0]) == 45


FAULTS = [
    (
        Fault.security_error,
        "Sender",
        "SecurityError",
        "Sender failed authentication or is not authorized to use the requested operation.",
    ),
    (
        Fault.identity_mismatch,
        "Sender",
        "IdentityMismatch",
        "Sender sent the wrong identity value.",
    ),
    (
        Fault.protocol_error,
        "Sender",
        "ProtocolError",
        "Sender's message does not comply with protocol specification.",
    ),
    (
        Fault.internal_error,
        "Receiver",
        "InternalError",
        "An internal error occurred and the receiver is not able to complete the operation.",
    ),
    (
        Fault.not_supported,
        "Receiver",
        "NotSupported",
        "The receiver does not support the requested operation.",
    ),
]


@pytest.mark.parametrize(("make", "code", "subcode", "reason"), FAULTS)
def test_the_five_faults(make, code: str, subcode: str, reason: str) -> None:
    call = decode_call(heartbeat(), CS)
    fault = make("for our log")
    fault.wire, fault.identity = call.wire, call.identity

    sent = encode_fault(fault, CS, message_id="1")

    assert sent.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{S12}" xmlns:wsa="{W05}"'
        ' xmlns:ns1="urn://Ocpp/Cs/2012/06/"><soap:Header>'
        "<ns1:chargeBoxIdentity>BOX-1</ns1:chargeBoxIdentity>"
        "<wsa:Action>/HeartbeatResponse</wsa:Action><wsa:MessageID>1</wsa:MessageID>"
        f"<wsa:RelatesTo>7230</wsa:RelatesTo><wsa:To>{W05}/anonymous</wsa:To></soap:Header>"
        f"<soap:Body><soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value>"
        f"<soap:Subcode><soap:Value>ns1:{subcode}</soap:Value></soap:Subcode></soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="en">{reason}</soap:Text></soap:Reason>'
        "</soap:Fault></soap:Body></soap:Envelope>"
    )
    assert fault.http_status == (400 if code == "Sender" else 500)
    assert str(fault) == f"{code}/{subcode}: {reason} (for our log)"
    assert received(sent) == (code, subcode, reason)


@pytest.mark.parametrize(("make", "code", "subcode", "reason"), FAULTS)
def test_the_five_faults_in_soap_1_1(make, code: str, subcode: str, reason: str) -> None:
    fault = make()
    fault.wire = Wire(soap=S11)

    sent = encode_fault(fault, CP)

    name = "Client" if code == "Sender" else "Server"
    assert (
        f"<soap:Body><soap:Fault><faultcode>soap:{name}.{subcode}</faultcode>"
        f'<faultstring xml:lang="en">{reason}</faultstring></soap:Fault></soap:Body>'
    ) in sent.decode()
    assert fault.http_status == 500
    assert received(sent) == (code, subcode, reason)


@pytest.mark.parametrize(("direction", "side"), [(CS, "Cs"), (CP, "Cp")])
def test_a_fault_for_who_knows_what(direction: Direction, side: str) -> None:
    sent = encode_fault(Fault.protocol_error(), direction).decode()

    assert f'xmlns:ns1="urn://Ocpp/{side}/2012/06/"' in sent
    assert "chargeBoxIdentity" not in sent
    assert f"<wsa:Action>{W05}/soap/fault</wsa:Action>" in sent
    assert f"<wsa:RelatesTo>{W05}/unspecified</wsa:RelatesTo>" in sent


def test_a_fault_without_a_prefix_of_ours() -> None:
    fault = Fault.security_error()
    fault.wire = decode_call(heartbeat(prefix=""), CS).wire

    assert b"<soap:Subcode><soap:Value>SecurityError</soap:Value>" in encode_fault(fault, CS)


def received(body: bytes) -> tuple[str, str, str]:
    operation = by_name(CS, "Heartbeat")
    assert operation is not None
    with pytest.raises(Fault) as caught:
        decode_reply(body, direction=CS, version=Version.V15, operation=operation)
    fault = caught.value
    return fault.code.value, fault.subcode, fault.reason


# reason before code, as an old JAX-WS had it
REVERSED = (
    "<S:Reason><S:Text>no</S:Text></S:Reason><S:Code><S:Value>S:Sender</S:Value>"
    "<S:Subcode><S:Value> x:UrlMismatch\n</S:Value></S:Subcode></S:Code>"
)


@pytest.mark.parametrize(
    ("soap", "fault", "expected"),
    [
        (
            S12,
            REVERSED,
            ("Sender", "UrlMismatch", "no"),
        ),
        (S12, "<S:Code><S:Value>S:Receiver</S:Value></S:Code>", ("Receiver", "", "")),
        (S12, "", ("Receiver", "", "")),
        (
            S12,
            "<S:Code><S:Value>S:MustUnderstand</S:Value></S:Code>",
            ("Receiver", "MustUnderstand", ""),
        ),
        (
            S11,
            "<faultcode>S:Client</faultcode><faultstring>bad</faultstring>",
            ("Sender", "", "bad"),
        ),
        (
            S11,
            "<faultcode>ns2:SecurityError</faultcode><faultstring> bad </faultstring>",
            ("Receiver", "SecurityError", "bad"),
        ),
    ],
)
def test_faults_of_others(soap: str, fault: str, expected: tuple[str, str, str]) -> None:
    body = f'<S:Envelope xmlns:S="{soap}"><S:Body><S:Fault>{fault}</S:Fault></S:Body></S:Envelope>'

    assert received(body.encode()) == expected


def test_a_fault_of_ones_own() -> None:
    fault = Fault(FaultCode.SENDER, "Odd<Code>", 'Because "<&>"')

    sent = encode_fault(fault, CS)

    assert received(sent) == ("Sender", "Odd<Code>", 'Because "<&>"')
    assert str(fault) == 'Sender/Odd<Code>: Because "<&>"'
