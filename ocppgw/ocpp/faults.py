"""The five faults of OCPP, and what of a message's envelope its answer needs."""

from __future__ import annotations

from enum import Enum

import msgspec

from ocppgw.ocpp.decode import Element, local_name
from ocppgw.ocpp.scalars import escape

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
ADDRESSING_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
PREFIX = "ns1"
"""Our prefix for OCPP's elements: some stations take no other (Q8)."""


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A request's envelope: what an answer in the same dialect needs, and what was odd.

    Header values are the stripped text, ``None`` if absent. ``from_address`` is what the
    peer says of itself, not checked in any way (Q2). ``operation`` is the operation's name
    as far as known; ``namespace`` and ``prefix`` those of the body's element.
    """

    message_id: str | None = None
    action: str | None = None
    from_address: str | None = None
    reply_to: str | None = None
    to: str | None = None
    soap: str = SOAP_12
    addressing: str = ADDRESSING
    namespace: str | None = None
    prefix: str = PREFIX
    operation: str | None = None
    warnings: tuple[str, ...] = ()


class FaultCode(Enum):
    """Who is to blame, in SOAP 1.2's words."""

    SENDER = "Sender"
    RECEIVER = "Receiver"


class Fault(Exception):
    """A SOAP fault: to be sent, or as received.

    ``subcode`` and ``reason`` are free text when received (clients take any subcode).
    ``detail`` is for our own log and never sent; of a received fault it is the text of its
    detail element, which is where stacks put what really happened. ``wire`` and ``identity``
    are what could be made out of the request that is answered by it.
    """

    def __init__(
        self,
        code: FaultCode,
        subcode: str,
        reason: str,
        *,
        detail: str = "",
        wire: Wire | None = None,
        identity: str | None = None,
    ) -> None:
        super().__init__(code, subcode, reason, detail)
        self.code = code
        self.subcode = subcode
        self.reason = reason
        self.detail = detail
        self.wire = wire
        self.identity = identity

    def __str__(self) -> str:
        text = f"{self.code.value}/{self.subcode}: {self.reason}"
        return f"{text} ({self.detail})" if self.detail else text

    @property
    def http_status(self) -> int:
        """400 where the sender is to blame, else 500; SOAP 1.1 knows only 500."""
        if self.code is FaultCode.RECEIVER or (self.wire and self.wire.soap == SOAP_11):
            return 500
        return 400

    @classmethod
    def security_error(cls, detail: str = "") -> Fault:
        """The station is unknown or not accepted."""
        return cls(
            FaultCode.SENDER,
            "SecurityError",
            "Sender failed authentication or is not authorized to use the requested operation.",
            detail=detail,
        )

    @classmethod
    def identity_mismatch(cls, detail: str = "") -> Fault:
        """A charge point was called by an identity that is not its own."""
        return cls(
            FaultCode.SENDER,
            "IdentityMismatch",
            "Sender sent the wrong identity value.",
            detail=detail,
        )

    @classmethod
    def protocol_error(cls, detail: str = "") -> Fault:
        """What came is no valid message."""
        return cls(
            FaultCode.SENDER,
            "ProtocolError",
            "Sender's message does not comply with protocol specification.",
            detail=detail,
        )

    @classmethod
    def internal_error(cls, detail: str = "") -> Fault:
        """We failed."""
        return cls(
            FaultCode.RECEIVER,
            "InternalError",
            "An internal error occurred and the receiver is not able to complete the operation.",
            detail=detail,
        )

    @classmethod
    def not_supported(cls, detail: str = "") -> Fault:
        """The operation is unknown here."""
        return cls(
            FaultCode.RECEIVER,
            "NotSupported",
            "The receiver does not support the requested operation.",
            detail=detail,
        )


def write_fault(fault: Fault, wire: Wire) -> str:
    """The element in the body; the subcode is in OCPP's namespace (spec section 2)."""
    subcode, reason = escape(fault.subcode), escape(fault.reason)
    if wire.soap == SOAP_11:  # which has no subcodes, but dots
        code = "Client" if fault.code is FaultCode.SENDER else "Server"
        return (
            f"<soap:Fault><faultcode>soap:{code}.{subcode}</faultcode>"
            f'<faultstring xml:lang="en">{reason}</faultstring></soap:Fault>'
        )
    qualified = f"{wire.prefix}:{subcode}" if wire.prefix else subcode
    return (
        f"<soap:Fault><soap:Code><soap:Value>soap:{fault.code.value}</soap:Value>"
        f"<soap:Subcode><soap:Value>{qualified}</soap:Value></soap:Subcode></soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="en">{reason}</soap:Text></soap:Reason></soap:Fault>'
    )


_LONGEST = 300  # characters of a received reason or subcode
_STANDARD = {
    "sender": FaultCode.SENDER,
    "client": FaultCode.SENDER,
    "receiver": FaultCode.RECEIVER,
    "server": FaultCode.RECEIVER,
}


def read_fault(element: Element) -> Fault:
    """A received Fault of either SOAP version; any subcode is taken as it is.

    A code that SOAP does not know (some put the subcode in its place) is read as the
    receiver's, with itself as the subcode.
    """
    values = [_text(e) for e in element.iter() if local_name(e.tag) in ("Value", "faultcode")]
    names = [part for value in values for part in value.rpartition(":")[2].split(".") if part]
    reason = next(
        (_text(e) for e in element.iter() if local_name(e.tag) in ("Text", "faultstring")), ""
    )
    details = [e for e in element if local_name(e.tag).lower() == "detail"]
    detail = _line(" ".join(str(text) for e in details for text in e.itertext()))
    code = _STANDARD.get(names[0].lower()) if names else None
    subcodes = names[1:] if code else names
    subcode = subcodes[0] if subcodes else ""
    return Fault(code or FaultCode.RECEIVER, subcode, reason, detail=detail)


def _text(element: Element) -> str:
    return _line(element.text or "")


def _line(text: str) -> str:
    """On one line, and short enough for a sentence of ours."""
    return " ".join(text.split())[:_LONGEST]
