"""Those who come to the central system's address and are no SOAP station."""

from __future__ import annotations

import logging

from ocppgw.central.admission import own_url
from ocppgw.central.seldom import Seldom
from ocppgw.central.settings import CentralSettings
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.ocpp import wsdl
from ocppgw.ocpp.operations import Direction, Version

LOG = logging.getLogger(__name__)

PLAIN = b"text/plain; charset=utf-8"


def not_a_call(http: HttpRequest, settings: CentralSettings, seldom: Seldom) -> HttpResponse:
    """A browser or a WSDL reader, or a station that is set up wrongly (Q26, Q27)."""
    upgrade = http.headers.get(b"upgrade", b"").lower() == b"websocket"
    if upgrade or http.method == "POST":
        what = "asks for a WebSocket" if upgrade else "posts nothing"
        if seldom(f"not SOAP {http.remote_address}"):
            LOG.warning(
                "%s %s at %s, which speaks SOAP: a station set to OCPP-J? Set it to SOAP",
                http.remote_address,
                what,
                settings.path,
            )
        return plain(400, "This is OCPP over SOAP; set the station to SOAP.")
    if http.method == "GET" and http.query.lower().startswith("wsdl"):
        address = own_url(settings, http) or settings.path
        body = wsdl.render(Version.V15, Direction.TO_CENTRAL_SYSTEM, address)
        return HttpResponse(content_type=b"text/xml; charset=utf-8", body=body)
    return plain(
        405, "Stations POST here; GET with ?wsdl gives the WSDL.", (b"allow", b"GET, POST")
    )


def plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    """An answer for people."""
    return HttpResponse(
        status=status, content_type=PLAIN, headers=headers, body=f"{text}\n".encode()
    )
