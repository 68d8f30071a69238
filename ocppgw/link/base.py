"""A peer one can call, whatever the wire, and the named reasons why a call failed."""

from __future__ import annotations

from typing import Protocol

from ocppgw.ocpp.model import Request, Response


class PeerError(Exception):
    """The call failed; the message is one sentence for the operator.

    ``delivered`` says what is known of the request: ``False`` it did not get there,
    ``True`` the peer read it and answered (with a fault or nonsense), ``None`` unknown.
    """

    delivered: bool | None = None


class Unreachable(PeerError):
    """No connection to the peer, or it broke before a whole answer came."""


class NoEndpoint(PeerError):
    """Nobody has told yet where the peer listens."""

    delivered = False


class Unsayable(PeerError):
    """The message cannot be put into the peer's version: sending it again is of no use."""

    delivered = False


class PeerTimeout(PeerError):
    """The peer did not answer before the deadline."""


class PeerFault(PeerError):
    """The peer answered with a SOAP fault."""

    delivered = True

    def __init__(self, message: str, *, code: str, subcode: str, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.reason = reason


class BadReply(PeerError):
    """Something came that is not the answer (Q25).

    ``raw`` is the start of it, for diagnosis. ``delivered`` is ``None`` where it looks
    like somebody else's word: a login page, a redirection, a path that is not there.
    """

    delivered = True

    def __init__(self, message: str, *, raw: bytes) -> None:
        super().__init__(message)
        self.raw = raw


class Peer(Protocol):
    """One peer: a charge point of a central system, or the central system of a charge box."""

    async def call(self, request: Request, deadline: float) -> Response:
        """Sends a request and gives the answer, within ``deadline`` seconds.

        Raises :class:`PeerError`, nothing else.
        """
