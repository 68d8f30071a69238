"""The service as stations, browsers and the curious meet it over HTTP."""

import asyncio
import logging

import pytest
from lxml import etree

from ocppgw.central.calls import HookContext
from ocppgw.central.schema import NOTIFICATION
from ocppgw.ocpp import Direction, Fault, Version, decode_reply, operations
from ocppgw.ocpp.enums import AuthorizationStatus, DataTransferStatus
from ocppgw.ocpp.model import (
    AuthorizeRequest,
    DataTransferRequest,
    DataTransferResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    IdTagInfo,
    StatusNotificationResponse,
)
from ocppgw.storage import Ensure, StorageUnavailable
from ocppgw.testing.clock import settle


def fault_of(reply):
    operation = operations.by_name(Direction.TO_CENTRAL_SYSTEM, "Heartbeat")
    with pytest.raises(Fault) as caught:
        decode_reply(
            reply.body,
            direction=Direction.TO_CENTRAL_SYSTEM,
            version=Version.V15,
            operation=operation,
        )
    return caught.value


# HTTP


@pytest.mark.parametrize(
    "path",
    ["/Ocpp/CentralSystemService", "/Ocpp/CentralSystemService/", "/ocpp/CENTRALsystemservice"],
)
async def test_the_path_is_taken_in_any_case_with_slash_and_query(make, path):
    bench = await make()

    reply = await bench.post(bench.envelope(HeartbeatRequest()), path=path, query="id=CP-1")

    assert reply.status == 200
    assert reply.content_type.startswith(b"application/soap+xml")
    await bench.central.stop()


async def test_another_path_is_named_the_right_one(make):
    bench = await make()

    reply = await bench.post(bench.envelope(HeartbeatRequest()), path="/elsewhere")

    assert reply.status == 404
    assert b"/Ocpp/CentralSystemService" in reply.body
    await bench.central.stop()


async def test_the_wsdl_says_where_it_was_asked_for(make, tools):
    bench = await make()

    reply = await bench.post(b"", method="GET", query="WSDL")

    assert reply.status == 200
    document = etree.fromstring(reply.body)
    [address] = document.xpath("//*[local-name()='address']/@location")
    assert address == f"http://central.example:9220{tools.PATH}"
    await bench.central.stop()


async def test_the_wsdl_names_the_public_url_if_there_is_one(make):
    bench = await make(public_url="https://cs.example/ocpp")

    reply = await bench.post(b"", method="GET", query="wsdl")

    assert b"https://cs.example/ocpp" in reply.body
    await bench.central.stop()


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("PUT", ""), ("DELETE", "wsdl")])
async def test_other_methods_are_not_allowed(make, method, query):
    bench = await make()

    reply = await bench.post(b"", method=method, query=query)

    assert reply.status == 405
    assert (b"allow", b"GET, POST") in reply.headers
    await bench.central.stop()


@pytest.mark.parametrize("upgrade", [True, False])
async def test_a_station_set_to_json_is_told_so_once(make, caplog, upgrade):
    bench = await make()
    headers = {"upgrade": b"WebSocket"} if upgrade else {}

    for _ in range(3):
        reply = await bench.post(b"", method="GET" if upgrade else "POST", **headers)

    assert reply.status == 400
    assert b"set the station to SOAP" in reply.body
    assert len([r for r in caplog.records if "OCPP-J" in r.message]) == 1
    await bench.central.stop()


@pytest.mark.parametrize(
    ("body", "status", "subcode"),
    [
        (b"<html>", 400, "ProtocolError"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 400, "ProtocolError"),
    ],
)
async def test_what_is_no_call_is_a_fault_and_one_log_line(make, caplog, body, status, subcode):
    bench = await make()

    for _ in range(3):
        reply = await bench.post(body)

    assert (reply.status, fault_of(reply).subcode) == (status, subcode)
    assert len([r for r in caplog.records if "could not be read" in r.message]) == 1
    await bench.central.stop()


async def test_an_operation_that_does_not_exist_is_not_supported(make):
    bench = await make()
    body = bench.envelope(HeartbeatRequest()).replace(b"heartbeatRequest", b"flyRequest")

    reply = await bench.post(body)

    assert (reply.status, fault_of(reply).subcode) == (500, "NotSupported")
    await bench.central.stop()


async def test_the_raw_xml_of_both_directions_is_logged_if_asked_for(make, caplog):
    bench = await make()
    with caplog.at_level(logging.DEBUG, "ocppgw.xml"):
        await bench.call(HeartbeatRequest())

    asked, answered = (r.message for r in caplog.records if r.name == "ocppgw.xml")
    assert asked.startswith("from 10.0.0.7\n<soap:Envelope")
    assert "    <ns1:heartbeatRequest/>" in asked
    assert answered.startswith("to 10.0.0.7: HTTP 200\n<soap:Envelope")
    await bench.central.stop()


# Observers


async def test_observers_see_answers_and_faults(make):
    bench = await make()
    await bench.call(HeartbeatRequest())
    bench.storage.failure = StorageUnavailable("away")
    with pytest.raises(Fault):
        await bench.call(AuthorizeRequest(id_tag="X"))
    bench.storage.failure = None

    answered, failed = bench.seen
    assert (answered.role, answered.sent, answered.operation) == ("central", False, "Heartbeat")
    assert isinstance(answered.response, HeartbeatResponse)
    assert answered.error is None
    assert failed.response is None
    assert failed.error == "the store failed: away"
    await bench.central.stop()


async def test_without_observers_nothing_is_made_for_them(make):
    bench = await make()
    bench.central._observe = None

    await bench.call(HeartbeatRequest())

    assert bench.seen == []
    await bench.central.stop()


# One at a time


class Slow:
    """A handler of DataTransfer that answers when it is let."""

    def __init__(self):
        self.order = []
        self.gates = []

    async def __call__(self, request, call):
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        self.order.append(request.data)
        await gate
        return DataTransferResponse(status=DataTransferStatus.ACCEPTED)


async def send(bench, data, identity="CP-1"):
    return await bench.call(DataTransferRequest(vendor_id="V", data=data), identity=identity)


async def test_one_stations_calls_are_served_in_order_and_others_do_not_wait(make):
    slow = Slow()
    bench = await make(handlers=[("slow", {DataTransferRequest: slow})])
    await bench.call(HeartbeatRequest())
    await bench.call(HeartbeatRequest(), identity="CP-2")

    tasks = [asyncio.ensure_future(send(bench, str(n))) for n in range(3)]
    tasks.append(asyncio.ensure_future(send(bench, "other", "CP-2")))
    await settle()
    assert slow.order == ["0", "other"]
    for gate in range(4):
        await settle()
        slow.gates[gate].set_result(None)
    await asyncio.gather(*tasks)

    assert slow.order == ["0", "other", "1", "2"]
    await bench.central.stop()


async def test_a_station_with_too_many_calls_is_told_to_come_back(make):
    slow = Slow()
    bench = await make(handlers=[("slow", {DataTransferRequest: slow})], queue_per_station=1)
    await bench.call(HeartbeatRequest())
    tasks = [asyncio.ensure_future(send(bench, str(n))) for n in range(2)]
    await settle()

    reply = await bench.post(bench.envelope(HeartbeatRequest()))

    assert reply.status == 503
    assert (b"retry-after", b"10") in reply.headers
    slow.gates[0].set_result(None)
    await settle()
    slow.gates[1].set_result(None)
    await asyncio.gather(*tasks)
    await bench.central.stop()


async def test_a_caller_that_goes_away_passes_its_turn_on(make):
    slow = Slow()
    bench = await make(handlers=[("slow", {DataTransferRequest: slow})])
    await bench.call(HeartbeatRequest())
    first, second, third, last = (asyncio.ensure_future(send(bench, str(n))) for n in range(4))
    await settle()

    second.cancel()  # while it waits
    await settle()
    first.cancel()  # while it is served
    third.cancel()  # just before its turn comes
    await asyncio.sleep(0)
    await settle()
    slow.gates[-1].set_result(None)
    await last

    assert slow.order == ["0", "3"]
    assert not bench.central._core.stations.known("CP-1").turn.busy
    await asyncio.gather(first, second, third, return_exceptions=True)
    await bench.central.stop()


async def test_a_turn_that_comes_as_its_caller_goes_is_passed_on():
    from ocppgw.central.turns import Turn

    turn = Turn()
    turn.busy = True
    waiting = [asyncio.ensure_future(turn.wait(9)) for _ in range(2)]
    await settle()

    turn.give()
    waiting[0].cancel()  # its ticket is there, it has not run yet
    await asyncio.gather(*waiting, return_exceptions=True)
    assert waiting[0].cancelled()
    assert waiting[1].done()
    assert turn.busy
    turn.give()
    assert not turn.busy


# Plugins


async def test_a_plugin_answers_its_vendor_and_passes_on_the_rest(make):
    async def transfer(request, call):
        if request.vendor_id != "ACME":
            return None
        assert call.station["chargeBoxIdentity"] == call.identity
        return DataTransferResponse(status=DataTransferStatus.ACCEPTED, data="yes")

    bench = await make(handlers=[("acme", {DataTransferRequest: transfer})])

    ours = await bench.call(DataTransferRequest(vendor_id="ACME"))
    theirs = await bench.call(DataTransferRequest(vendor_id="OTHER"))

    assert (ours.status, ours.data) == (DataTransferStatus.ACCEPTED, "yes")
    assert theirs.status is DataTransferStatus.UNKNOWN_VENDOR_ID
    await bench.central.stop()


def note(key):
    return Ensure(NOTIFICATION, {"id": key})


async def test_what_a_plugin_adds_is_committed_with_the_answer(make, tools):
    async def adds(request, call):
        call.also(note(f"{type(request).__name__} {call.remote_address}"))

    bench = await make(handlers=[("adds", {type(tools.start()): adds, HeartbeatRequest: adds})])

    await bench.call(tools.start())
    await bench.call(tools.start())  # a repeat, whose Insert conflicts
    await bench.call(HeartbeatRequest())

    keys = {d["id"] for d in await bench.all(NOTIFICATION)}
    assert keys == {"StartTransactionRequest 10.0.0.7", "HeartbeatRequest 10.0.0.7"}
    await bench.central.stop()


async def test_a_plugin_can_store_later(make):
    async def later(request, call):
        call.later(note("later"))

    bench = await make(handlers=[("later", {HeartbeatRequest: later})])
    await bench.call(HeartbeatRequest())
    assert await bench.all(NOTIFICATION) == []

    await bench.clock.advance(1)

    assert [d["id"] for d in await bench.all(NOTIFICATION)] == ["later"]
    await bench.central.stop()


async def raises(request, call):
    raise RuntimeError("broken")


async def answers_wrongly(request, call):
    return StatusNotificationResponse()


async def hangs(request, call):
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("handler", [raises, answers_wrongly, hangs])
async def test_a_broken_handler_is_named_once_and_its_station_keeps_being_served(
    make, caplog, handler
):
    bench = await make(handlers=[("acme", {DataTransferRequest: handler})], handler_deadline=0.01)

    for _ in range(3):
        reply = await bench.post(bench.envelope(DataTransferRequest(vendor_id="V")))

    assert (reply.status, fault_of(reply).subcode) == (500, "InternalError")
    assert b"broken" not in reply.body
    assert len([r for r in caplog.records if "plugin acme: its handler" in r.message]) == 1
    await bench.call(HeartbeatRequest())
    await bench.central.stop()


async def test_a_fault_of_a_plugin_is_sent_as_it_is(make):
    async def refuses(request, call):
        raise Fault.security_error()

    bench = await make(handlers=[("strict", {DataTransferRequest: refuses})])

    reply = await bench.post(bench.envelope(DataTransferRequest(vendor_id="V")))

    assert (reply.status, fault_of(reply).subcode) == (400, "SecurityError")
    await bench.central.stop()


async def test_an_operation_that_no_plugin_answers(make):
    bench = await make()
    bench.central.use({}, [])

    reply = await bench.post(bench.envelope(HeartbeatRequest()))

    assert (reply.status, fault_of(reply).subcode) == (500, "NotSupported")
    await bench.central.stop()


async def test_an_answer_that_cannot_be_written_is_our_fault(make, caplog):
    async def unwritable(request, call):
        return HeartbeatResponse(current_time="noon")

    bench = await make(handlers=[("odd", {HeartbeatRequest: unwritable})])

    for _ in range(2):
        reply = await bench.post(bench.envelope(HeartbeatRequest()))

    assert fault_of(reply).subcode == "InternalError"
    assert len([r for r in caplog.records if "Heartbeat of CP-1 failed" in r.message]) == 1
    await bench.central.stop()


# Authorizers


async def test_authorizers_are_asked_in_order_until_one_knows_the_tag(make, tools, caplog):
    asked = []

    async def first(id_tag, context):
        asked.append((id_tag, context.purpose.value, context.connector_id))
        return

    async def broken(id_tag, context):
        raise RuntimeError("card server away")

    async def second(id_tag, context):
        if id_tag != "THEIRS":
            return None
        return IdTagInfo(status=AuthorizationStatus.ACCEPTED, parent_id_tag="FLEET")

    bench = await make(authorizers=[("one", first), ("two", broken), ("three", second)])

    theirs = await bench.call(tools.start(id_tag="THEIRS"))
    ours = await bench.call(AuthorizeRequest(id_tag="TAG"))
    nobody = await bench.call(tools.stop(theirs.transaction_id, id_tag="X"))

    assert theirs.id_tag_info.parent_id_tag == "FLEET"
    assert ours.id_tag_info.status is AuthorizationStatus.ACCEPTED
    assert nobody.id_tag_info.status is AuthorizationStatus.INVALID
    assert asked == [("THEIRS", "start", 1), ("TAG", "authorize", None), ("X", "stop", None)]
    assert len([r for r in caplog.records if "plugin two" in r.message]) == 1
    await bench.central.stop()


async def test_while_the_store_is_away_no_tag_is_called_invalid(make):
    bench = await make()
    await bench.call(HeartbeatRequest())
    bench.storage.failure = StorageUnavailable("away")

    reply = await bench.post(bench.envelope(AuthorizeRequest(id_tag="STORED")))

    assert (reply.status, fault_of(reply).subcode) == (500, "InternalError")
    bench.storage.failure = None
    await bench.central.stop()


async def test_heartbeats_and_known_tags_are_answered_while_the_store_is_away(make, caplog):
    bench = await make()
    await bench.call(HeartbeatRequest())
    bench.storage.failure = StorageUnavailable("away")

    await bench.call(HeartbeatRequest())
    answer = await bench.call(AuthorizeRequest(id_tag="TAG"))
    await bench.clock.advance(5)
    bench.storage.failure = None
    await bench.clock.advance(1)

    assert answer.id_tag_info.status is AuthorizationStatus.ACCEPTED
    assert len([r for r in caplog.records if "not stored yet" in r.message]) == 1
    [station] = await bench.all(bench.central.COLLECTIONS[0])
    assert station["lastSeen"] < bench.clock.now()
    await bench.central.stop()


async def test_hooks_get_a_narrow_context(make):
    from msgspec import Struct

    class Options(Struct):
        colour: str = "blue"

    bench = await make()
    context = bench.central.context

    assert isinstance(context, HookContext)
    assert context.options("acme", Options).colour == "blue"
    assert (context.storage, context.clock) == (bench.storage, bench.clock)
    await bench.central.stop()
