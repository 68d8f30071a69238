"""A call gives the answer, or the one reason why not, in a sentence."""

import logging

import pytest

from ocppgw.link import (
    BadReply,
    NoEndpoint,
    PeerError,
    PeerFault,
    PeerTimeout,
    Unreachable,
)
from ocppgw.link.trace import LONGEST, pretty, xml
from ocppgw.net.base import ConnectFailed, ConnectionBroken, DeadlineExceeded
from ocppgw.ocpp import (
    Direction,
    Fault,
    FaultCode,
    Version,
    decode_call,
    encode_call,
    encode_fault,
    encode_reply,
)
from ocppgw.ocpp.enums import CommandStatus, ResetType
from ocppgw.ocpp.model import (
    ClearCacheRequest,
    ReserveNowRequest,
    ResetRequest,
    ResetResponse,
    UnlockConnectorRequest,
)

TO_STATION = Direction.TO_CHARGE_POINT
RESET = ResetRequest(type=ResetType.HARD)
ANSWER = ResetResponse(status=CommandStatus.ACCEPTED)


def answered(request=RESET, response=ANSWER):
    body = encode_call(
        request,
        direction=TO_STATION,
        version=Version.V15,
        identity="CP-1",
        message_id="m",
        to="t",
        sender="s",
    )
    return encode_reply(decode_call(body, TO_STATION), response)


async def test_a_call_and_its_answer(bench):
    bench.reply(answered())

    response = await bench.peer().call(RESET, 12.5)

    assert response == ANSWER
    [(url, body, content_type, deadline)] = bench.http.posted
    assert (url, deadline) == ("http://10.0.0.7:9000/Ocpp/ChargePointService", 12.5)
    assert content_type == b'application/soap+xml; charset=utf-8; action="/Reset"'
    call = decode_call(body, TO_STATION)
    assert (call.identity, call.request) == ("CP-1", RESET)
    assert call.wire.from_address == "http://central/"
    assert call.wire.message_id == "urn:uuid:1"
    [seen] = bench.seen
    assert (seen.role, seen.sent, seen.operation) == ("central", True, "Reset")
    assert (seen.request, seen.response, seen.error) == (RESET, ANSWER, None)


async def test_an_answer_counts_whatever_the_status(bench):
    bench.reply(answered(), status=500)

    assert await bench.peer().call(RESET, 1) == ANSWER


@pytest.mark.parametrize(
    ("failure", "kind", "delivered"),
    [
        (ConnectFailed("no connection to http://x"), Unreachable, False),
        (ConnectionBroken("http://x broke off"), Unreachable, None),
        (DeadlineExceeded("http://x too slow", sent=False), PeerTimeout, False),
        (DeadlineExceeded("http://x too slow", sent=True), PeerTimeout, None),
    ],
)
async def test_transport_failures_keep_their_sentence(bench, failure, kind, delivered):
    bench.http.answer = failure

    with pytest.raises(kind) as caught:
        await bench.peer().call(RESET, 1)

    assert str(caught.value) == str(failure)
    assert caught.value.delivered is delivered
    assert bench.seen[0].error == str(failure)
    assert bench.seen[0].response is None


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_fault_is_found_under_any_status(bench, status):
    bench.reply(encode_fault(Fault.identity_mismatch(), TO_STATION), status=status)

    with pytest.raises(PeerFault) as caught:
        await bench.peer().call(RESET, 1)

    assert caught.value.delivered is True
    assert (caught.value.code, caught.value.subcode) == ("Sender", "IdentityMismatch")
    assert caught.value.reason == "Sender sent the wrong identity value."
    assert "answered Reset with the fault IdentityMismatch" in str(caught.value)


DETAIL = """<{p}detail><x:oops xmlns:x="urn:vendor"><x:code>0x17</x:code>
<!-- of the stack --><x:text>flash is full</x:text></x:oops></{p}detail>"""
FAULTS = {
    "1.2": (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code>'
        "<s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>Failed.</s:Text></s:Reason>"
        + DETAIL.format(p="s:").replace("s:detail", "s:Detail")
        + "</s:Fault></s:Body></s:Envelope>"
    ),
    "1.1": (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        "<faultcode>s:Server</faultcode><faultstring>Failed.</faultstring>"
        + DETAIL.format(p="")
        + "</s:Fault></s:Body></s:Envelope>"
    ),
}


@pytest.mark.parametrize("soap", FAULTS)
async def test_what_a_stack_says_in_the_detail_of_a_fault_is_told(bench, soap):
    bench.reply(FAULTS[soap].encode(), status=500)

    with pytest.raises(PeerFault) as caught:
        await bench.peer().call(RESET, 1)

    assert str(caught.value).endswith(
        "answered Reset with the fault Receiver: Failed. (0x17 flash is full)"
    )


async def test_what_others_say_stays_on_a_line(bench):
    reason = "no such thing\n2026-05-01 BOX-2: accepted " + "x" * 10_000
    bench.reply(encode_fault(Fault(FaultCode.SENDER, "Odd" * 1000, reason), TO_STATION))
    with pytest.raises(PeerFault, match="no such thing 2026-05-01") as fault:
        await bench.peer().call(RESET, 1)
    bench.reply(b"<html><title>a\n\nb</title>")
    with pytest.raises(BadReply, match="“a b”"):
        await bench.peer().call(RESET, 1)
    bench.reply(b"moved", 302, location="http://y/" + "z" * 10_000)
    with pytest.raises(BadReply) as moved:
        await bench.peer().call(RESET, 1)

    assert len(str(fault.value)) < 1000
    assert len(str(moved.value)) < 1000


@pytest.mark.parametrize(
    ("body", "status", "headers", "says", "delivered"),
    [
        (b"", 204, {}, "HTTP 204 with an empty body", True),
        (b"  \n", 200, {}, "HTTP 200 with an empty body", True),
        (
            b"\n<!DOCTYPE html><title> Sign in </title>",
            200,
            {},
            "HTTP 200 with an HTML page titled “Sign in”, not SOAP; a proxy or a login page",
            None,
        ),
        (b"<HTML><body>no", 401, {}, "HTTP 401 with an HTML page, not SOAP", None),
        (b"<html><title>Oops</title>", 500, {}, "an HTML page titled “Oops”, not SOAP", True),
        (b"moved", 302, {"location": "http://y/"}, "a redirection to http://y/", None),
        (b"moved", 301, {}, "a redirection to nowhere", None),
        (b"no", 401, {}, "asks for an authentication", None),
        (b"no such page", 404, {}, "HTTP 404; ", None),
        (b"what?", 200, {}, "HTTP 200; ", True),
    ],
)
async def test_what_is_no_answer_is_named(bench, body, status, headers, says, delivered):
    """A login page or a proxy has not judged the message: only the peer's own word counts."""
    bench.reply(body, status, **headers)

    with pytest.raises(BadReply) as caught:
        await bench.peer().call(RESET, 1)

    assert str(caught.value).startswith("http://10.0.0.7:9000/Ocpp/ChargePointService did not")
    assert says in str(caught.value)
    assert caught.value.raw == body
    assert caught.value.delivered is delivered


async def test_the_answer_to_something_else_is_no_answer(bench):
    bench.reply(answered())

    with pytest.raises(BadReply, match="expected clearCacheResponse"):
        await bench.peer().call(ClearCacheRequest(), 1)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_whose_backend_is_away_is_no_answer_of_the_peer(bench, status):
    bench.reply(b"<html>Bad gateway</html>", status)

    with pytest.raises(Unreachable, match=f"HTTP {status}") as caught:
        await bench.peer().call(RESET, 1)

    assert caught.value.delivered is None


async def test_only_the_start_of_a_long_nonsense_is_kept(bench):
    bench.reply(b"x" * 100_000)

    with pytest.raises(BadReply) as caught:
        await bench.peer().call(RESET, 1)

    assert len(caught.value.raw) == 2000


async def test_without_an_endpoint_the_operator_reads_what_to_do(bench):
    bench.endpoint = None

    with pytest.raises(NoEndpoint, match="has not told where it listens") as caught:
        await bench.peer().call(RESET, 1)

    assert caught.value.delivered is False
    assert bench.http.posted == []


async def test_what_a_version_does_not_have_is_not_sent(bench):
    request = ReserveNowRequest(
        connector_id=1, expiry_date=bench.clock.now(), id_tag="T", reservation_id=1
    )

    with pytest.raises(PeerError, match=r"OCPP 1\.2 has no ReserveNow") as caught:
        await bench.peer(Version.V12).call(request, 1)

    assert caught.value.delivered is False


async def test_what_cannot_be_said_is_not_sent(bench):
    with pytest.raises(PeerError, match="cannot be said") as caught:
        await bench.peer(observe=False).call(UnlockConnectorRequest(connector_id=2**40), 1)

    assert str(caught.value) == (
        "UnlockConnector cannot be said like that: connectorId: expected a number from"
        f" {-(2**31)} to {2**31 - 1}, got {2**40}"
    )
    assert caught.value.delivered is False
    assert bench.http.posted == []


# The raw XML


async def test_the_raw_xml_is_logged_indented_if_asked_for(bench, caplog):
    bench.reply(answered())
    with caplog.at_level(logging.DEBUG, "ocppgw.xml"):
        await bench.peer().call(RESET, 1)

    sent, received = (r.message for r in caplog.records if r.name == "ocppgw.xml")
    assert sent.startswith("CP-1: Reset to http://10.0.0.7:9000/Ocpp/ChargePointService\n<soap:")
    assert "\n      <ns1:type>Hard</ns1:type>\n" in sent
    assert received.startswith("CP-1: HTTP 200 from http://10.0.0.7:9000")


def test_nothing_is_put_together_if_nobody_listens(caplog):
    with caplog.at_level(logging.INFO, "ocppgw.xml"):
        xml("what", b"<a/>")

    assert caplog.records == []


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<a><b/></a>", "<a>\n  <b/>\n</a>"),
        (b"  <a>\n\n <b/></a>\n", "<a>\n  <b/>\n</a>"),
        (b"no xml \xff", "no xml �"),
        (b"", ""),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
    ],
)
def test_indenting(body, shown):
    assert pretty(body) == shown


def test_long_bodies_are_cut():
    shown = pretty(b"<a>" + b"x" * LONGEST + b"</a>")

    assert shown.endswith(f"x … ({LONGEST + 7} bytes in all)")
    assert len(shown) < LONGEST + 100
