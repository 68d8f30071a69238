"""Commands reach a station where it listens, or the operator reads why not."""

import asyncio
from datetime import timedelta

import pytest

from ocppgw.central.settings import StationSettings, UnknownStations
from ocppgw.link import NoEndpoint, PeerError, PeerFault, Unreachable
from ocppgw.net.base import ConnectFailed, HttpReply
from ocppgw.ocpp import Direction, Fault, decode_call, encode_fault, encode_reply
from ocppgw.ocpp.enums import ChargePointErrorCode, ChargePointStatus, CommandStatus, ResetType
from ocppgw.ocpp.model import (
    HeartbeatRequest,
    ResetRequest,
    ResetResponse,
    StatusNotificationRequest,
)
from ocppgw.testing.clock import settle

RESET = ResetRequest(type=ResetType.SOFT)
ANSWER = ResetResponse(status=CommandStatus.REJECTED)


class Answering:
    """Stands in for the stations' HTTP servers."""

    def __init__(self):
        self.posted = []

    async def post(self, url, body, *, content_type, deadline):
        call = decode_call(body, Direction.TO_CHARGE_POINT)
        self.posted.append((url, call, deadline))
        return HttpReply(status=200, headers={}, body=encode_reply(call, ANSWER))


def answering(bench):
    bench.central._commands._http = bench.http = Answering()
    return bench.http


async def reach(bench):
    return (await bench.central.views.station("CP-1"))["reachability"]


async def test_a_command_goes_where_the_station_said_it_listens(make, tools):
    bench = await make()
    http = answering(bench)
    await bench.call(tools.boot)

    assert await bench.central.call("CP-1", RESET) == ANSWER

    [(url, call, deadline)] = http.posted
    assert url == "http://10.0.0.7:9000/Ocpp/ChargePointService"
    assert (call.identity, call.request, deadline) == ("CP-1", RESET, 30.0)
    assert call.wire.from_address == f"http://central.example:9220{tools.PATH}"
    assert await reach(bench) == {"state": "reachable", "since": bench.clock.now(), "why": ""}
    assert bench.seen[-1].sent
    assert bench.seen[-1].response == ANSWER
    await bench.central.stop()


async def test_after_a_restart_the_stored_endpoint_serves(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    await bench.central.stop()
    again = await bench.another()
    http = answering(again)

    await again.central.context.call("CP-1", RESET, 5.0)

    [(url, call, deadline)] = http.posted
    assert (url, deadline) == ("http://10.0.0.7:9000/Ocpp/ChargePointService", 5.0)
    assert call.wire.from_address.endswith("/anonymous")
    await again.central.stop()


async def test_a_configured_endpoint_wins(make, tools):
    url = "http://gateway.example:7/cp1"
    bench = await make(
        stations={"CP-1": StationSettings(endpoint=url)}, public_url="http://me.example/cs"
    )
    http = answering(bench)
    await bench.central.call("CP-1", RESET)  # even before it has called
    await bench.call(tools.boot)
    await bench.central.call("CP-1", RESET)

    assert [posted[0] for posted in http.posted] == [url, url]
    assert http.posted[0][1].wire.from_address == "http://me.example/cs"
    assert (await bench.central.views.station("CP-1"))["endpoint"] == url
    await bench.central.stop()


async def test_without_an_endpoint_the_operator_reads_what_to_set(make):
    bench = await make()
    anonymous = "http://www.w3.org/2005/08/addressing/anonymous"
    await bench.call(HeartbeatRequest(), sender=anonymous)

    with pytest.raises(NoEndpoint, match=r"set central_system\.stations\.CP-1\.endpoint"):
        await bench.central.call("CP-1", RESET)

    shown = await reach(bench)
    assert shown["state"] == "unknown"
    assert "has not told where it listens" in shown["why"]
    await bench.central.stop()


async def test_commands_to_strangers(make, tools):
    bench = await make(unknown_stations=UnknownStations.PENDING)
    await bench.call(tools.boot)

    with pytest.raises(NoEndpoint, match="no station NOBODY is known"):
        await bench.central.call("NOBODY", RESET)
    with pytest.raises(NoEndpoint, match="CP-1 is pending; accept it"):
        await bench.central.call("CP-1", RESET)
    await bench.central.stop()


async def test_reachability_says_since_when_and_why(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    since = bench.clock.now()
    bench.http.answer = ConnectFailed("no connection to http://10.0.0.7:9000")
    for _ in range(2):
        with pytest.raises(Unreachable):
            await bench.central.call("CP-1", RESET)
        assert (await reach(bench))["since"] == since
        await bench.clock.advance(60)
    assert (await reach(bench))["state"] == "unreachable"
    assert (await reach(bench))["why"] == "no connection to http://10.0.0.7:9000"

    fault = encode_fault(Fault.internal_error(), Direction.TO_CHARGE_POINT)
    bench.http.answer = HttpReply(status=500, headers={}, body=fault)
    with pytest.raises(PeerFault):
        await bench.central.call("CP-1", RESET)

    shown = await reach(bench)
    assert (shown["state"], shown["since"]) == ("reachable", bench.clock.now())
    assert "InternalError" in shown["why"]
    await bench.central.stop()


async def test_a_command_that_cannot_be_sent_says_nothing_of_the_station(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    from ocppgw.ocpp.model import UnlockConnectorRequest

    with pytest.raises(PeerError, match="cannot be said"):
        await bench.central.call("CP-1", UnlockConnectorRequest(connector_id=2**40))

    assert (await reach(bench))["state"] == "unknown"
    await bench.central.stop()


# Why a command was refused


def report(info):
    return StatusNotificationRequest(
        connector_id=1,
        status=ChargePointStatus.AVAILABLE,
        error_code=ChargePointErrorCode.NO_ERROR,
        info=info,
    )


async def test_what_the_station_reported_since_explains(make):
    bench = await make()
    await bench.call(report("old news"))
    await bench.clock.advance(10)
    since = bench.clock.now()
    await bench.call(report("remote start: PLC did not answer, withdrawn"))

    explained = await bench.central.explanation("CP-1", since, 3)
    older = await bench.central.explanation("CP-1", since + timedelta(seconds=1), 0)

    assert explained == "remote start: PLC did not answer, withdrawn"
    assert older is None
    await bench.central.stop()


async def test_an_explanation_is_waited_for(make):
    bench = await make()
    await bench.call(HeartbeatRequest())
    asked = [
        asyncio.ensure_future(bench.central.explanation("CP-1", bench.clock.now(), 3))
        for _ in range(2)
    ]
    await settle()

    await bench.call(report(None))  # says nothing
    await settle()
    assert not any(task.done() for task in asked)
    await bench.call(report("the connector is blocked"))

    assert await asyncio.gather(*asked) == ["the connector is blocked"] * 2
    assert bench.central._core.stations.known("CP-1").waiters == set()
    await bench.central.stop()


async def test_an_explanation_that_does_not_come(make):
    bench = await make()
    await bench.call(HeartbeatRequest())
    asked = asyncio.ensure_future(bench.central.explanation("CP-1", bench.clock.now(), 3))

    await bench.clock.advance(3)

    assert await asked is None
    assert await bench.central.explanation("NOBODY", bench.clock.now(), 3) is None
    await bench.central.stop()
