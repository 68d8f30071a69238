"""A peer called by SOAP over HTTP: one POST a call, every failure one named reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from ocppgw.clock import Clock
from ocppgw.link import trace
from ocppgw.link.base import (
    BadReply,
    NoEndpoint,
    PeerError,
    PeerFault,
    PeerTimeout,
    Unreachable,
    Unsayable,
)
from ocppgw.net.base import ConnectFailed, ConnectionBroken, DeadlineExceeded, HttpReply
from ocppgw.observe import Exchange, Observed
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, Operation, Version, by_request
from ocppgw.ocpp.soap import NotAnAnswer, content_type, decode_reply, encode_call

RAW_KEPT = 2000
"""How many bytes of a reply that is none are kept for diagnosis."""
LOCATION_SHOWN = 200

# What a proxy in between says when the peer behind it is away: the request may never
# have got there, so this is no answer of the peer.
GATEWAY_STATUSES = frozenset({408, 429, 502, 503, 504})

_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


class Poster(Protocol):
    """What is needed of ``ocppgw.net.HttpClient``."""

    async def post(
        self, url: str, body: bytes, *, content_type: bytes, deadline: float
    ) -> HttpReply:
        """Posts a body; raises the errors of ``ocppgw.net.base``."""


class SoapPeer:
    """One peer at the other end of a SOAP service; implements ``ocppgw.link.Peer``.

    ``endpoint`` gives the peer's URL as it is known now, ``missing_endpoint`` the
    sentence that tells the operator what to do while it is not. ``own_address`` is the
    URL of our own service, sent as ``wsa:From``.
    """

    def __init__(
        self,
        http: Poster,
        *,
        identity: str,
        version: Version,
        direction: Direction,
        endpoint: Callable[[], str | None],
        own_address: Callable[[], str],
        new_message_id: Callable[[], str],
        observe: Callable[[Observed], None] | None,
        clock: Clock,
        role: str,
        missing_endpoint: str = "nobody has told yet where the peer listens",
    ) -> None:
        self.identity = identity
        self.version = version
        self._http = http
        self._direction = direction
        self._endpoint = endpoint
        self._own_address = own_address
        self._new_message_id = new_message_id
        self._observe = observe
        self._clock = clock
        self._role = role
        self._missing_endpoint = missing_endpoint

    async def call(self, request: Request, deadline: float) -> Response:
        """Sends a request and gives the answer; raises :class:`PeerError`, nothing else.

        ``deadline`` is in seconds from now and covers connecting, sending and waiting.
        """
        operation = by_request(self._direction, type(request))
        began = self._clock.monotonic()
        response, error = None, None
        try:
            response = await self._call(operation, request, deadline)
        except PeerError as e:
            error = e
            raise
        finally:
            if self._observe is not None and (response or error):
                self._observe(self._exchange(operation, request, response, error, began))
        return response

    async def _call(self, operation: Operation, request: Request, deadline: float) -> Response:
        if self.version not in operation.versions:
            raise Unsayable(f"OCPP {self.version.value} has no {operation.name}")
        url = self._endpoint()
        if url is None:
            raise NoEndpoint(self._missing_endpoint)
        body = self._encoded(request, operation, url)
        if trace.wanted():
            trace.xml(f"{self.identity}: {operation.name} to {url}", body)
        reply = await self._post(url, body, operation, deadline)
        if trace.wanted():
            trace.xml(f"{self.identity}: HTTP {reply.status} from {url}", reply.body)
        return self._judged(url, reply, operation)

    def _encoded(self, request: Request, operation: Operation, url: str) -> bytes:
        try:
            return encode_call(
                request,
                direction=self._direction,
                version=self.version,
                identity=self.identity,
                message_id=self._new_message_id(),
                to=url,
                sender=self._own_address(),
            )
        except ValueError as e:
            raise Unsayable(f"{operation.name} cannot be said like that: {e}") from e

    async def _post(
        self, url: str, body: bytes, operation: Operation, deadline: float
    ) -> HttpReply:
        try:
            return await self._http.post(
                url, body, content_type=content_type(f"/{operation.name}"), deadline=deadline
            )
        except ConnectFailed as e:
            raise _failed(Unreachable(str(e)), delivered=False) from e
        except ConnectionBroken as e:
            raise Unreachable(str(e)) from e
        except DeadlineExceeded as e:
            delivered = None if e.sent else False
            raise _failed(PeerTimeout(str(e)), delivered=delivered) from e

    def _judged(self, url: str, reply: HttpReply, operation: Operation) -> Response:
        """The response, whatever the HTTP status says: a fault may come with 200, an
        answer with 500 (Q25)."""
        try:
            return decode_reply(
                reply.body, direction=self._direction, version=self.version, operation=operation
            )
        except Fault as fault:
            detail = f" ({fault.detail})" if fault.detail else ""
            raise PeerFault(
                f"{url} answered {operation.name} with the fault"
                f" {fault.subcode or fault.code.value}: {fault.reason}{detail}",
                code=fault.code.value,
                subcode=fault.subcode,
                reason=fault.reason,
            ) from fault
        except NotAnAnswer as e:
            if reply.status in GATEWAY_STATUSES:
                raise Unreachable(
                    f"{url} answered HTTP {reply.status}, as a proxy does when the peer"
                    " behind it is away or overloaded"
                ) from e
            bad = BadReply(
                f"{url} did not answer {operation.name}: {_what_came(reply, e)}",
                raw=reply.body[:RAW_KEPT],
            )
            raise _failed(bad, delivered=None if _somebody_between(reply) else True) from e

    def _exchange(
        self,
        operation: Operation,
        request: Request,
        response: Response | None,
        error: PeerError | None,
        began: float,
    ) -> Exchange:
        return Exchange(
            at=self._clock.now(),
            role=self._role,
            sent=True,
            identity=self.identity,
            version=self.version,
            direction=self._direction,
            operation=operation.name,
            request=request,
            response=response,
            error=None if error is None else str(error),
            seconds=self._clock.monotonic() - began,
        )


def _failed(error: PeerError, *, delivered: bool | None) -> PeerError:
    error.delivered = delivered
    return error


def _is_page(reply: HttpReply) -> bool:
    return reply.body[:RAW_KEPT].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _somebody_between(reply: HttpReply) -> bool:
    """Whether this looks like a login page or a proxy's word, not like the peer's own.

    The peer has not judged the message then. A page with a 5xx status may well be its
    own: that is how application servers say that a message broke them.
    """
    if 300 <= reply.status < 400 or reply.status in (401, 403, 404, 407):
        return True
    return reply.status < 500 and _is_page(reply)


def _what_came(reply: HttpReply, error: NotAnAnswer) -> str:
    """What a reply that is no answer looks like, and what that usually means."""
    status = f"HTTP {reply.status}"
    if not reply.body[:RAW_KEPT].strip():
        return f"{status} with an empty body; is that the address of an OCPP SOAP service?"
    if _is_page(reply):
        title = _TITLE.search(reply.body[:RAW_KEPT])
        named = (
            f" titled “{' '.join(title[1].decode('utf-8', 'replace').split())}”" if title else ""
        )
        return (
            f"{status} with an HTML page{named}, not SOAP; a proxy or a login page stands"
            " between, or the address is wrong"
        )
    if 300 <= reply.status < 400:
        where = reply.headers.get(b"location", b"")[:LOCATION_SHOWN].decode("latin-1")
        return f"{status}, a redirection to {where or 'nowhere'}; set that address instead"
    if reply.status in (401, 403, 407):
        return f"{status}; it asks for an authentication that is not configured"
    return f"{status}; {error}"
