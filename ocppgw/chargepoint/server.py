"""The charge point service: one address for all boxes, told apart by chargeBoxIdentity."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.calls import BoxCall
from ocppgw.link import trace
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.net.gate import Away, Gate, come_back_later
from ocppgw.ocpp import wsdl
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Response
from ocppgw.ocpp.operations import Direction, Version
from ocppgw.ocpp.soap import Call, content_type, decode_call, encode_fault, encode_reply

log = logging.getLogger(__name__)

TO_US = Direction.TO_CHARGE_POINT


class ChargePointServer:
    """Answers central systems on behalf of the boxes, which may come and go meanwhile."""

    def __init__(self, boxes: Sequence[ChargeBox], *, address: str = "") -> None:
        """``address`` is the service's URL, for the WSDL."""
        self.address = address
        self._boxes: dict[str, _Place] = {}
        for box in boxes:
            self.add(box)

    def expect(self, identity: str) -> None:
        """That box is not there yet, but will be: who calls it is to come back later."""
        self._boxes.setdefault(identity.casefold(), _Place())

    def add(self, box: ChargeBox) -> None:
        """That box takes calls from now on."""
        place = self._boxes.setdefault(box.identity.casefold(), _Place())
        place.box = box
        place.gate.open()

    async def away(self, identity: str, grace: float) -> None:
        """That box takes no calls until it is added again; waits for those under way."""
        place = self._boxes[identity.casefold()]
        if left := await place.gate.shut(grace):
            log.warning("%s: %d calls are not answered yet, and may fail", identity, left)
        place.box = None

    def remove(self, identity: str) -> None:
        """That box is not here any longer."""
        del self._boxes[identity.casefold()]

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers one HTTP request."""
        if request.method == "GET":
            return self._description(request)
        if request.method != "POST":
            return _plain(
                405, "This is an OCPP SOAP service: POST to it.", ((b"Allow", b"GET, POST"),)
            )
        try:
            call = decode_call(request.body, TO_US)
            if trace.wanted():
                trace.xml(f"{call.identity}: {call.operation.name} received", request.body)
            body = _encoded(call, await self._answer(call, request))
        except Fault as fault:
            return _fault(fault, request)
        except Away:
            return come_back_later()
        if trace.wanted():
            trace.xml(f"{call.identity}: {call.operation.name} answered", body)
        action = f"/{call.operation.name}Response"
        return HttpResponse(content_type=content_type(action, call.wire), body=body)

    async def _answer(self, call: Call, request: HttpRequest) -> Response:
        """The box's response; a fault if the caller is not its central system."""
        try:
            place = self._boxes.get(call.identity.casefold())
            if place is None:
                raise Fault.identity_mismatch(f"there is no charge box {call.identity!r} here")
            return await place.gate.through(lambda: _told(place, call, request))
        except Fault as fault:
            fault.wire, fault.identity = call.wire, call.identity
            raise

    def _description(self, request: HttpRequest) -> HttpResponse:
        if "wsdl" not in request.query.lower():
            return _plain(405, "This is an OCPP SOAP service: POST to it, or ask for ?wsdl.")
        body = wsdl.render(Version.V15, TO_US, self.address)
        return HttpResponse(content_type=b"text/xml; charset=utf-8", body=body)


class _Place:
    """Where a box of ours is, or will be."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.box: ChargeBox | None = None


async def _told(place: _Place, call: Call, request: HttpRequest) -> Response:
    """The response of the box at that place."""
    box = place.box
    assert box is not None
    if not box.obeys(request.remote_address):
        raise Fault.security_error(
            f"{call.operation.name} for {box.identity} from {request.remote_address}, "
            "which is not among the addresses of its central system"
        )
    told = BoxCall(
        identity=box.identity,
        version=call.version,
        received_at=box.context.clock.now(),
        remote_address=request.remote_address,
        box=box.context,
    )
    return await box.answer(call.operation, call.request, told)


def _encoded(call: Call, response: Response) -> bytes:
    try:
        return encode_reply(call, response)
    except ValueError as error:
        fault = Fault.internal_error(f"the answer to {call.operation.name} cannot be said: {error}")
        fault.wire, fault.identity = call.wire, call.identity
        raise fault from error


def _fault(fault: Fault, request: HttpRequest) -> HttpResponse:
    log.warning("a call from %s is refused: %s", request.remote_address, fault)
    wire = fault.wire
    action = f"/{wire.operation}Response" if wire and wire.operation else "/fault"
    return HttpResponse(
        status=fault.http_status,
        content_type=content_type(action, wire),
        body=encode_fault(fault, TO_US),
    )


def _plain(status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> HttpResponse:
    return HttpResponse(
        status=status,
        content_type=b"text/plain; charset=utf-8",
        headers=headers,
        body=f"{text}\n".encode(),
    )
