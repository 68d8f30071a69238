"""The charge boxes of a gateway and the service where central systems reach them."""

from __future__ import annotations

from ocppgw.chargepoint.server import ChargePointServer
from ocppgw.config import ChargePointServerSettings
from ocppgw.gateway.boxes import BoxPart, BoxPlan
from ocppgw.gateway.doors import Door
from ocppgw.gateway.parts import Ground
from ocppgw.net.base import HttpRequest, HttpResponse


class ChargePoints:
    """The boxes by identity, and their listener. ``settings`` may be replaced at any time."""

    def __init__(self, settings: ChargePointServerSettings, ground: Ground) -> None:
        self.settings = settings
        self.parts: dict[str, BoxPart] = {}
        self.door = Door("charge_point_server", ground, self.answer)
        self._ground = ground
        self._server = ChargePointServer(())

    def add(self, plan: BoxPlan) -> BoxPart:
        """A box more, which has to be started yet."""
        part = BoxPart(plan, self._ground, self._server, self.own_address)
        self.parts[part.identity] = part
        return part

    def remove(self, identity: str) -> None:
        """A box less; it has been stopped."""
        del self.parts[identity]
        self._server.remove(identity)

    def own_address(self) -> str:
        """The URL of the service, as central systems are told."""
        settings = self.settings
        if settings.public_url is not None:
            return settings.public_url
        listener = self.door.listener
        host = f"[{listener.address}]" if ":" in listener.address else listener.address
        scheme = "https" if settings.listen.startswith(("ssl:", "tls:")) else "http"
        return f"{scheme}://{host}:{listener.port}{settings.path}"

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """One request of a central system, or of whoever looks for one."""
        path = self.settings.path
        if request.path.rstrip("/").casefold() != path.rstrip("/").casefold():
            text = f"There is nothing here; the service is at {path}.\n"
            return HttpResponse(
                status=404, content_type=b"text/plain; charset=utf-8", body=text.encode()
            )
        self._server.address = self.own_address()
        return await self._server.answer(request)
