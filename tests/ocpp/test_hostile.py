"""Bytes made to hurt: a Fault (or NotAnAnswer), never another exception, and no harm."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocppgw.ocpp import (
    Call,
    Direction,
    Fault,
    NotAnAnswer,
    Version,
    by_name,
    decode_call,
    decode_reply,
    encode_fault,
)
from ocppgw.ocpp import model as m

CS = Direction.TO_CENTRAL_SYSTEM
GOLDEN = Path(__file__).parent / "golden"
STOP = (GOLDEN / "central-system.StopTransaction.request.xml").read_bytes()
AUTHORIZED = (GOLDEN / "central-system.Authorize.response.xml").read_bytes()

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope" x="&d;">
<S:Body>&d;</S:Body></S:Envelope>"""
EXTERNAL = b"""<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>
<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"><S:Body>&e;</S:Body></S:Envelope>"""
AFTER_A_COMMENT = b"<!-- <a> -->" + EXTERNAL  # hides it from a search before the root


def refused(body: bytes) -> Fault:
    """Refused as a call and as a reply; the fault can be written."""
    operation = by_name(CS, "Authorize")
    assert operation is not None
    with pytest.raises((NotAnAnswer, Fault)):
        decode_reply(body, direction=CS, version=Version.V15, operation=operation)
    with pytest.raises(Fault) as caught:
        decode_call(body, CS)
    assert encode_fault(caught.value, CS)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        EXTERNAL,
        AFTER_A_COMMENT,
        LAUGHS.decode().encode("utf-16"),
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>',
        b"<!-- <a> --><!DOCTYPE x [<!ENTITY b 'c'>]><q:x>&b;</q:x>",
    ],
    ids=["laughs", "external", "comment", "utf-16", "dtd", "recovery"],
)
def test_a_doctype_is_refused(body: bytes) -> None:
    fault = refused(body)

    assert fault.subcode == "ProtocolError"
    assert "DOCTYPE" in fault.detail


def test_doctype_in_a_text_is_only_text() -> None:
    body = STOP.replace(b"04A2B3C4D5", b"<![CDATA[<!DOCTYPE x>]]>")

    request = decode_call(body, CS).request

    assert isinstance(request, m.StopTransactionRequest)
    assert request.id_tag == "<!DOCTYPE x>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\0" * 1000,
        b"<",
        b"<a/>",
        b"&undefined;",
        b"<S>&undefined;</S>",
        b"<a>" * 100_000,
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b"<a xmlns='x'>" * 300,
        b"<x:a>" * 300,
        b"\xff" * 50,
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-32"?><a/>',
        b"\xff\xfe<",
        b"\x1f\x8b\x08\x00gzip",
        b"GET / HTTP/1.1\r\n\r\n",
        STOP.replace(b"04A2B3C4D5", b"a\0b"),
        STOP.replace(b"04A2B3C4D5", b"&#0;"),
        STOP.replace(b"04A2B3C4D5", b"&#xD800;"),
        STOP + STOP,
        STOP.replace(b"soap:Envelope ", b"soap:Letter "),
        STOP.replace(b"<soap:Body>", b"<soap:Body/><soap:Body>").replace(b"</soap:Body>", b"", 1),
    ],
)
def test_no_envelope(body: bytes) -> None:
    assert refused(body).subcode == "ProtocolError"


def test_nested_in_a_field() -> None:
    body = STOP.replace(b"04A2B3C4D5", b"<a>" * 100_000 + b"</a>" * 100_000)

    assert refused(body).subcode == "ProtocolError"


def test_entities_that_nobody_declared() -> None:
    header = b"&foo;<chargeBoxIdentity>B&foo;</chargeBoxIdentity>"
    body = STOP.replace(b"<soap:Header>", b"<soap:Header>" + header)

    fault = refused(body)

    assert "Entity" in fault.detail
    assert fault.identity == "BOX-1"


def test_a_body_of_comments() -> None:
    body = b'<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"><S:Body><!--x--><?p?></S:Body></S:Envelope>'

    assert "nothing in it" in refused(body).detail


def test_instructions_and_comments_inside_a_message_are_nothing() -> None:
    body = STOP.replace(b"<ns1:meterStop>12345", b"<?p q?><!-- x --><ns1:meterStop>123<!--,-->45")

    assert decode_call(body, CS).request == decode_call(STOP, CS).request


def test_cut_off_after_every_byte() -> None:
    for end in range(len(STOP)):
        with pytest.raises(Fault) as caught:
            decode_call(STOP[:end], CS)
        assert caught.value.subcode == "ProtocolError"
        # what is salvaged is never cut off itself
        assert caught.value.identity in (None, "BOX-1")
        assert encode_fault(caught.value, CS)
    operation = by_name(CS, "Authorize")
    assert operation is not None
    for end in range(len(AUTHORIZED)):
        with pytest.raises(NotAnAnswer):
            decode_reply(AUTHORIZED[:end], direction=CS, version=Version.V15, operation=operation)


def test_what_is_salvaged_is_known_as_soon_as_the_body_begins() -> None:
    end = STOP.index(b"<ns1:stopTransactionRequest>")

    with pytest.raises(Fault) as caught:
        decode_call(STOP[:end], CS)

    assert caught.value.identity == "BOX-1"
    assert caught.value.wire is not None
    assert caught.value.wire.message_id == "urn:uuid:6f1c7a52-0000-4000-8000-000000000001"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"<\0a/>")
def test_any_bytes(body: bytes) -> None:
    assert refused(body).subcode == "ProtocolError"


def taken(body: bytes) -> Call | Fault:
    try:
        return decode_call(body, CS)
    except Fault as fault:
        return fault


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_damage_to_a_real_message(data: st.DataObject) -> None:
    """A few bytes replaced, removed or put in anywhere: a call or a fault, nothing else."""
    body = bytearray(STOP)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        length = data.draw(st.integers(0, 8))
        body[at : at + length] = data.draw(st.binary(max_size=8))
    result = taken(bytes(body))

    if isinstance(result, Fault):
        assert encode_fault(result, CS)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["connectorId", "timestamp", "meterStart", "idTag"]))
def test_any_text_in_a_field(text: str, field: str) -> None:
    fields = {
        "connectorId": "1",
        "idTag": "T",
        "timestamp": "2024-05-31T12:00:00Z",
        "meterStart": "0",
    } | {field: text}
    inside = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    body = (
        '<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"><S:Header>'
        '<chargeBoxIdentity xmlns="urn://Ocpp/Cs/2012/06/">B</chargeBoxIdentity></S:Header><S:Body>'
        f'<startTransactionRequest xmlns="urn://Ocpp/Cs/2012/06/">{inside}'
        "</startTransactionRequest></S:Body></S:Envelope>"
    ).encode("utf-8", "replace")
    result = taken(body)

    if isinstance(result, Fault):
        assert result.subcode == "ProtocolError"
    else:
        assert isinstance(result.request, m.StartTransactionRequest)


def data_transfer(data: str, declared: str = "") -> bytes:
    return (
        f'<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope" {declared}><S:Header>'
        '<chargeBoxIdentity xmlns="urn://Ocpp/Cs/2012/06/">B</chargeBoxIdentity></S:Header><S:Body>'
        '<dataTransferRequest xmlns="urn://Ocpp/Cs/2012/06/"><vendorId>V</vendorId>'
        f"{data}</dataTransferRequest></S:Body></S:Envelope>"
    ).encode()


def test_namespaces_are_not_multiplied_by_the_elements_of_a_markup() -> None:
    declared = " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(5000))
    call = decode_call(data_transfer(f"<data>{'<x/>' * 5000}</data>", declared), CS)

    assert isinstance(call.request, m.DataTransferRequest)
    assert call.request.data is not None
    assert len(call.request.data) < 5000 * 50


PREFIXES = [f"n{n}" for n in range(100)]
DECLARED = " ".join(f'xmlns:{p}="urn:{p}"' for p in PREFIXES)

NESTED = "".join([*(f"<{p}:x>" for p in PREFIXES), *(f"</{p}:x>" for p in reversed(PREFIXES))])


@pytest.mark.parametrize(
    ("data", "declared", "why"),
    [
        ("<data><x/></data>" * 2, "", "data comes twice"),
        (f"<data>{'<l:x/>' * 1000}</data>", f'xmlns:l="{"l" * 1000}"', "longer than"),
        (f"<data>{NESTED}</data>", DECLARED, "more than"),
        (
            "<data><x " + " ".join(f'{p}:a=""' for p in PREFIXES) + "/></data>",
            DECLARED,
            "more than",
        ),
    ],
    ids=["twice", "long", "elements", "attributes"],
)
def test_too_much_markup_is_refused(data: str, declared: str, why: str) -> None:
    assert why in refused(data_transfer(data, declared)).detail


def test_what_the_peer_named_is_kept_only_if_it_is_short() -> None:
    """For encoders and the fixed parts of envelopes are kept by these names."""
    long = "n" * 1000
    body = (
        f'<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:{long}="urn://Ocpp/Cs/2012/06/" xmlns:a="http://{long}/addressing"><S:Header>'
        f"<{long}:chargeBoxIdentity>B</{long}:chargeBoxIdentity><a:To>x</a:To></S:Header><S:Body>"
        f"<{long}:heartbeatRequest/></S:Body></S:Envelope>"
    ).encode()

    wire = decode_call(body, CS).wire

    assert wire.prefix == "ns1"
    assert wire.addressing == "http://www.w3.org/2005/08/addressing"


@pytest.mark.parametrize("identity", ["B" * 256, "BOX-1\n2026-05-01 BOX-2 accepted", "A\u202eB"])
def test_an_identity_that_is_no_name(identity: str) -> None:
    fault = refused(STOP.replace(b"BOX-1<", identity.encode() + b"<"))

    assert fault.subcode == "ProtocolError"
    assert "255 printable characters" in fault.detail
    assert fault.identity is None


def test_identities_that_are_names() -> None:
    for identity in ("B" * 255, "00:11:22:33:44:55", "Säule 1, Hof"):
        body = STOP.replace(b"BOX-1<", identity.encode() + b"<")
        assert decode_call(body, CS).identity == identity


def boot(**texts: str) -> bytes:
    fields = {"chargePointVendor": "V", "chargePointModel": "M"} | texts
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return (
        '<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"><S:Header>'
        '<chargeBoxIdentity xmlns="urn://Ocpp/Cs/2012/06/">B</chargeBoxIdentity></S:Header><S:Body>'
        f'<bootNotificationRequest xmlns="urn://Ocpp/Cs/2012/06/">{inside}'
        "</bootNotificationRequest></S:Body></S:Envelope>"
    ).encode()


def test_a_text_far_beyond_its_limit_is_not_kept() -> None:
    """Too long by a little is taken (Q18); what is there to fill memories and logs is not."""
    call = decode_call(boot(iccid="1" * 320, imsi="2" * 321), CS)

    assert isinstance(call.request, m.BootNotificationRequest)
    assert call.request.iccid == "1" * 320
    assert call.request.imsi is None
    assert "imsi is left out: 321 characters" in call.wire.warnings[-1]
    assert "chargePointModel: 321 characters" in refused(boot(chargePointModel="M" * 321)).detail
