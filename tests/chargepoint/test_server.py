"""The charge point service: who may call, and what faults come of the rest."""

from __future__ import annotations

import asyncio

import pytest

from ocppgw.chargepoint.server import ChargePointServer
from ocppgw.link import PeerError
from ocppgw.net.base import HttpRequest
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.operations import Direction, Version, by_request
from ocppgw.ocpp.soap import decode_reply, encode_call
from ocppgw.plc import Unlock

TO_US = Direction.TO_CHARGE_POINT
URL = "http://127.0.0.1:9000/Ocpp/ChargePointService"


def http(body=b"", *, method="POST", query="", remote="127.0.0.1"):
    return HttpRequest(
        method=method,
        target="/Ocpp/ChargePointService",
        path="/Ocpp/ChargePointService",
        query=query,
        headers={},
        body=body,
        remote_address=remote,
    )


def soap(request, identity="BOX-1"):
    return encode_call(
        request,
        direction=TO_US,
        version=Version.V15,
        identity=identity,
        message_id="urn:uuid:1",
        to=URL,
        sender="http://127.0.0.1:9220/Ocpp/CentralSystemService",
    )


def answer_of(reply, request):
    operation = by_request(TO_US, type(request))
    return decode_reply(reply.body, direction=TO_US, version=Version.V15, operation=operation)


async def test_a_call_is_answered_and_observed(world, caplog):
    caplog.set_level("DEBUG", "ocppgw.xml")
    await world.start()
    await world.clock.advance(1)
    request = m.RemoteStartTransactionRequest(id_tag="TAG", connector_id=1)
    reply = await ChargePointServer([world.box]).answer(http(soap(request, "box-1")))
    exchange = world.exchanges()[-1]
    await world.stop()

    assert reply.status == 200
    assert b'action="/RemoteStartTransactionResponse"' in reply.content_type
    assert answer_of(reply, request).status is e.CommandStatus.ACCEPTED
    assert (exchange.operation, exchange.sent, exchange.role) == (
        "RemoteStartTransaction",
        False,
        "charge point",
    )
    assert "remoteStartTransactionResponse" in caplog.text


@pytest.mark.parametrize(
    ("identity", "remote", "subcode", "status"),
    [
        ("BOX-9", "127.0.0.1", "IdentityMismatch", 400),
        ("BOX-1", "192.0.2.7", "SecurityError", 400),
        ("BOX-1", "nonsense", "SecurityError", 400),
    ],
)
async def test_strangers_are_refused(world, identity, remote, subcode, status):
    await world.start()
    await world.clock.advance(1)
    request = m.ResetRequest(type=e.ResetType.HARD)
    reply = await ChargePointServer([world.box]).answer(
        http(soap(request, identity), remote=remote)
    )
    await world.stop()

    assert reply.status == status
    with pytest.raises(Fault) as caught:
        answer_of(reply, request)
    assert caught.value.subcode == subcode
    assert world.plc.resets == []


async def test_what_is_no_message_is_a_protocol_error(world):
    await world.start()
    reply = await ChargePointServer([world.box]).answer(http(b"<html/>"))
    await world.stop()

    assert reply.status == 400
    assert b"ProtocolError" in reply.body


async def test_the_description_and_other_methods(world):
    server = ChargePointServer([], address=URL)
    wsdl = await server.answer(http(method="GET", query="wsdl"))
    hint = await server.answer(http(method="GET"))
    put = await server.answer(http(method="PUT"))

    assert wsdl.status == 200
    assert URL.encode() in wsdl.body
    assert (hint.status, put.status) == (405, 405)
    assert b"?wsdl" in hint.body


async def test_handlers_are_asked_one_after_the_other(world):
    await world.start()
    asked = []

    async def passes(request, call):
        asked.append(call.identity)

    async def answers(request, call):
        return m.DataTransferResponse(status=e.DataTransferStatus.ACCEPTED, data=call.box.identity)

    async def breaks(request, call):
        raise LookupError("a bug")

    async def lies(request, call):
        return m.ClearCacheResponse(status=e.CommandStatus.ACCEPTED)

    async def faults(request, call):
        raise Fault.security_error("not today")

    async def cannot_be_said(request, call):
        return m.DataTransferResponse(status=e.CommandStatus.REJECTED)

    async def told(*handlers):
        world.box.use({m.DataTransferRequest: [(f.__name__, f) for f in handlers]})
        reply = await ChargePointServer([world.box]).answer(http(soap(request)))
        try:
            return answer_of(reply, request).data
        except Fault as fault:
            return fault.subcode

    request = m.DataTransferRequest(vendor_id="com.example")
    outcomes = [
        await told(passes, answers, breaks),
        await told(breaks, answers),
        await told(lies),
        await told(faults, answers),
        await told(passes),
        await told(cannot_be_said),
    ]
    errors = [exchange.error for exchange in world.exchanges()]
    await world.stop()

    assert outcomes == [
        "BOX-1",
        "InternalError",
        "InternalError",
        "SecurityError",
        "NotSupported",
        "InternalError",
    ]
    assert asked == ["BOX-1", "BOX-1"]
    assert errors[0] is None
    assert "plugin breaks" in errors[1]
    assert "plugin lies answered with a ClearCacheResponse" in errors[2]


async def test_a_handler_that_hangs_is_given_up_and_named(make_world, caplog):
    world = make_world(handler_deadline=0.01)
    await world.start()

    async def hangs(request, call):
        await asyncio.get_running_loop().create_future()

    world.box.use({m.DataTransferRequest: [("sleepy", hangs)]})
    request = m.DataTransferRequest(vendor_id="com.example")
    reply = await ChargePointServer([world.box]).answer(http(soap(request)))
    await world.stop()

    with pytest.raises(Fault) as caught:
        answer_of(reply, request)
    assert caught.value.subcode == "InternalError"
    assert "the handler of plugin sleepy did not answer in 0.01 s" in caplog.text


async def test_our_own_commands_have_the_plcs_deadlines_only(make_world):
    world = make_world(handler_deadline=0.001)
    await world.start()
    await world.clock.advance(5)
    world.plc.muted.add(Unlock)
    answer = asyncio.ensure_future(world.order(m.UnlockConnectorRequest(connector_id=1)))
    await asyncio.sleep(0.02)
    assert not answer.done()
    await world.clock.advance(60)
    await world.stop()

    assert (await answer).status is e.UnlockStatus.UNLOCK_FAILED


async def test_handlers_can_call_both_ways(world):
    world.central.boot_answers = [(e.RegistrationStatus.REJECTED, 10)]
    await world.start()
    await world.clock.advance(1)
    box = world.box.context
    with pytest.raises(PeerError) as caught:
        await box.call(m.DataTransferRequest(vendor_id="X"))
    assert caught.value.delivered is False
    await world.clock.advance(10)
    calling = asyncio.ensure_future(box.call(m.HeartbeatRequest(), 5))
    await world.clock.advance(1)
    world.plc.connectors[1].locked = True
    await box.execute(Unlock(connector_id=1))
    heartbeat = await calling
    await world.stop()

    assert isinstance(heartbeat, m.HeartbeatResponse)
    assert not world.plc.connectors[1].locked
    assert (box.identity, box.connectors, box.version) == ("BOX-1", 2, Version.V15)
