"""The stand-in for the client behaves like it."""

from __future__ import annotations

import asyncio

import pytest

from ocppgw.link.soap import Poster
from ocppgw.net.base import (
    ConnectFailed,
    ConnectionBroken,
    DeadlineExceeded,
    HttpRequest,
    HttpResponse,
)
from ocppgw.testing.http import LoopbackHttp


async def test_calls_failures_and_silence() -> None:
    seen: list[HttpRequest] = []

    async def handler(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        if request.body == b"silence":
            await asyncio.Event().wait()
        return HttpResponse(status=201, body=request.body)

    http = LoopbackHttp({"http://station:9000": handler})
    caller: Poster = http

    async def post(body: bytes, url: str = "http://station:9000/Ocpp/X") -> bytes:
        reply = await caller.post(url, body, content_type=b"a/b", deadline=0.05)
        assert reply.status == 201
        return reply.body

    assert await post(b"one") == b"one"
    assert (seen[0].path, seen[0].headers) == ("/Ocpp/X", {b"content-type": b"a/b"})
    with pytest.raises(ConnectFailed, match="refused"):
        await post(b"two", "http://elsewhere/")
    http.failures = [ConnectionBroken("cut")]
    with pytest.raises(ConnectionBroken):
        await post(b"three")
    assert len(seen) == 1
    http.lose_replies = True
    http.failures = [ConnectionBroken("cut")]
    with pytest.raises(ConnectionBroken):
        await post(b"four")
    assert len(seen) == 2
    with pytest.raises(DeadlineExceeded) as late:
        await post(b"silence")
    assert late.value.sent
    assert [each.body for each in http.posted] == [b"one", b"two", b"three", b"four", b"silence"]
    await http.close()
