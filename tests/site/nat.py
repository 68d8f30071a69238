"""A station behind NAT: it calls its central system, which can call it only now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from ocppgw.cli.send import send
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.ocpp import Direction, Version, decode_call, encode_call, encode_reply
from ocppgw.ocpp.enums import AvailabilityStatus, CommandStatus, UpdateStatus
from ocppgw.ocpp.model import (
    BootNotificationRequest,
    ChangeAvailabilityRequest,
    ChangeAvailabilityResponse,
    Request,
    ResetRequest,
    ResetResponse,
    SendLocalListRequest,
    SendLocalListResponse,
)
from ocppgw.testing.processes import free_port
from ocppgw.testing.sockets import listening, raw_client
from ocppgw.web.client import ControlClient

SERVICE = "/Ocpp/ChargePointService"
BOOT = BootNotificationRequest(charge_point_vendor="Acme", charge_point_model="Nat")
ANSWERS = {
    ChangeAvailabilityRequest: ChangeAvailabilityResponse(status=AvailabilityStatus.ACCEPTED),
    ResetRequest: ResetResponse(status=CommandStatus.REJECTED),
    SendLocalListRequest: SendLocalListResponse(status=UpdateStatus.ACCEPTED),
}


class Station:
    """CP-1, which calls the central system, and can be called while it is ``reachable``."""

    def __init__(self, central_port: int, folder: Path) -> None:
        self.port = free_port()
        self.received: list[Request] = []
        self._central = central_port
        self._socket = folder / "control.sock"

    async def says(self, request: Request) -> None:
        body = encode_call(
            request,
            direction=Direction.TO_CENTRAL_SYSTEM,
            version=Version.V15,
            identity="CP-1",
            message_id="1",
            to="http://central/",
            sender=f"http://127.0.0.1:{self.port}{SERVICE}",
        )
        head = (
            "POST /Ocpp/CentralSystemService HTTP/1.1\r\nHost: central\r\n"
            f"Content-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with raw_client(self._central) as client:
            client.send(head.encode() + body)
            status, _ = await client.reply()
        assert b" 200 " in status.splitlines()[0]

    @asynccontextmanager
    async def reachable(self) -> AsyncIterator[None]:
        from twisted.internet import reactor

        where = f"tcp:{self.port}:interface=127.0.0.1"
        async with listening(reactor, self._answer, description=where):
            yield

    async def _answer(self, http: HttpRequest) -> HttpResponse:
        call = decode_call(http.body, Direction.TO_CHARGE_POINT)
        self.received.append(call.request)
        return HttpResponse(body=encode_reply(call, ANSWERS[type(call.request)]))

    async def command(self, *words: str, by: Any = send) -> Result:
        """Runs ``ocppgw send CP-1 …``, or another command, beside the gateway's loop."""
        arguments = [*words, "--socket", str(self._socket)]
        return await asyncio.to_thread(CliRunner().invoke, by, arguments)

    async def ask(self, method: str, target: str, body: object = None) -> Any:
        return await asyncio.to_thread(ControlClient(self._socket).call, method, target, body)
