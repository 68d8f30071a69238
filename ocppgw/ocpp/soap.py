"""SOAP with WS-Addressing: bytes <-> calls, replies and faults. Knows no socket.

Inward it takes what deployed stations send (quirks Q1 to Q31 as far as they concern the
envelope); each oddity is a warning in ``Call.wire``. Outward it always writes the full set
of headers and the order of the WSDL, in the dialect (SOAP and addressing version, prefix)
that the peer used.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NoReturn

import msgspec

from ocppgw.ocpp import wire as wires
from ocppgw.ocpp.decode import local_name
from ocppgw.ocpp.envelope import LONGEST_IDENTITY, Envelope, Malformed, open_envelope
from ocppgw.ocpp.faults import PREFIX, SOAP_11, Fault, Wire, read_fault, write_fault
from ocppgw.ocpp.frame import anonymous, endpoint, envelope_text, header
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, Operation, Version, by_name, by_request
from ocppgw.ocpp.scalars import Unreadable, quote, warn
from ocppgw.ocpp.table import element_name


class Call(msgspec.Struct, frozen=True):
    """A request, who sent it, and the envelope it came in."""

    identity: str
    version: Version
    operation: Operation
    request: Request
    wire: Wire


class NotAnAnswer(Exception):
    """The body is neither the expected response nor a fault; the message says what came (Q25)."""


def content_type(action: str, wire: Wire | None = None) -> bytes:
    """The Content-Type of a message with that WS-Addressing action (``/Heartbeat``).

    ``wire``, of the call that is answered, makes it ``text/xml`` for SOAP 1.1 (Q12).
    """
    if wire is not None and wire.soap == SOAP_11:
        return b"text/xml; charset=utf-8"
    return f'application/soap+xml; charset=utf-8; action="{action}"'.encode()


def decode_call(body: bytes, direction: Direction) -> Call:
    """Reads a request to the service that ``direction`` names.

    Raises :class:`Fault`, and nothing else; it carries as much of ``wire`` and ``identity``
    as could be made out.
    """
    try:
        envelope = open_envelope(body)
    except Malformed as error:
        _refuse(Fault.protocol_error(str(error)), error.envelope)
    target = wires.TARGETS[direction].get(_payload_tag(envelope)) or _odd_target(
        envelope, direction
    )
    operation = target.operation
    _check_identity(envelope, target)
    _check_action(envelope, operation)
    decode = wires.decoder(target.version, direction, operation.request)
    assert envelope.payload is not None
    try:
        request = decode(envelope.payload, envelope.warnings)
    except Unreadable as error:
        _refuse(Fault.protocol_error(str(error)), envelope, target)
    wire = envelope.wire(target.namespace, operation.name)
    return Call(envelope.identities[-1], target.version, operation, request, wire)


def _refuse(
    fault: Fault, envelope: Envelope | None, target: wires.Target | None = None
) -> NoReturn:
    if envelope is not None:
        fault.identity = envelope.identity
        fault.wire = (
            envelope.wire(target.namespace, target.operation.name) if target else envelope.wire()
        )
    raise fault from None


def _payload_tag(envelope: Envelope) -> str:
    if envelope.payload is None:
        _refuse(Fault.protocol_error("the envelope has no body, or nothing in it"), envelope)
    return str(envelope.payload.tag)


def _odd_target(envelope: Envelope, direction: Direction) -> wires.Target:
    """The operation of a body whose QName is not right, if it can only be that one."""
    tag = _payload_tag(envelope)
    name = local_name(tag)
    namespace = tag[1 : tag.rfind("}")] if tag[0] == "{" else envelope.identity_namespace
    side = wires.SIDES.get(namespace.rstrip("/") + "/")
    operation = _operation(name, direction)
    if side is not None and operation is not None and side[0] in operation.versions:
        version, meant = side
        if meant is direction or tag[0] != "{" or _operation(name, meant) is None:
            warn(envelope.warnings, f"the body's element is {quote(tag)} (Q6, Q10)")
            return wires.Target(version, operation, wires.namespace(version, direction))
    _refuse(Fault.not_supported(f"no operation of {direction.value}: {quote(tag)}"), envelope)


def _operation(name: str, direction: Direction) -> Operation | None:
    stem = name[: -len("Request")]
    return by_name(direction, stem) if name.lower().endswith("request") else None


def _check_identity(envelope: Envelope, target: wires.Target) -> None:
    identities = envelope.identities
    if not identities:
        _refuse(Fault.protocol_error("no chargeBoxIdentity header"), envelope, target)
    if len(identities) > 1 and len(set(identities)) > 1:
        _refuse(Fault.protocol_error("several chargeBoxIdentity headers differ"), envelope, target)
    if not envelope.has_name:
        why = f"the chargeBoxIdentity is not {LONGEST_IDENTITY} printable characters at most"
        _refuse(Fault.protocol_error(why), envelope, target)


def _check_action(envelope: Envelope, operation: Operation) -> None:
    """The body says what is asked; an Action that differs is only worth a warning (Q5)."""
    action = envelope.headers.get("action")
    if action is None:
        return
    last = action[action.rfind("/") + 1 :]
    if last != operation.name and last.lower().removesuffix("request") != operation.name.lower():
        warn(envelope.warnings, f"Action {quote(action)} on a body of {operation.name}")


def encode_call(
    request: Request,
    *,
    direction: Direction,
    version: Version,
    identity: str,
    message_id: str,
    to: str,
    sender: str,
    prefix: str = PREFIX,
) -> bytes:
    """A request, in SOAP 1.2.

    ``to`` is the URL it is posted to, ``sender`` the URL of our own service, by which the
    peer reaches us. Raises ValueError if the version cannot say this request (among them
    :class:`ocppgw.ocpp.Unsayable`) or a value does not fit its type.
    """
    operation = by_request(direction, type(request))
    wire = Wire(namespace=wires.namespace(version, direction), prefix=prefix)
    body = wires.encoder(version, direction, type(request), prefix)(request)
    headers = (
        header("Action", f"/{operation.name}")
        + header("MessageID", message_id)
        + endpoint("From", sender)
        + endpoint("ReplyTo", anonymous(wire.addressing))
        + header("To", to)
    )
    return envelope_text(wire, identity, headers, body)


def encode_reply(call: Call, response: Response, *, message_id: str | None = None) -> bytes:
    """The answer to a call, in the dialect of the call.

    Without ``message_id`` it gets one that is made of the call and the answer. Raises
    ValueError if a value does not fit its type.
    """
    wire, operation = call.wire, call.operation
    direction = operation.direction
    body = wires.encoder(call.version, direction, operation.response, wire.prefix)(response)
    action = f"/{operation.name}Response"
    headers = _reply_headers(wire, action, message_id or _reply_id(wire, call.identity, body))
    return envelope_text(wire, call.identity, headers, body)


def encode_fault(fault: Fault, direction: Direction, *, message_id: str | None = None) -> bytes:
    """A fault, in the dialect of the request it answers as far as that is known."""
    wire = fault.wire or Wire()
    if wire.namespace is None:
        wire = msgspec.structs.replace(wire, namespace=wires.namespace(Version.V15, direction))
    body = write_fault(fault, wire)
    operation = f"/{wire.operation}Response" if wire.operation else ""
    action = operation or f"{wire.addressing}/soap/fault"
    message_id = message_id or _reply_id(wire, fault.identity, body)
    headers = _reply_headers(wire, action, message_id)
    return envelope_text(wire, fault.identity, headers, body)


def decode_reply(
    body: bytes,
    *,
    direction: Direction,
    version: Version,
    operation: Operation,
    warnings: list[str] | None = None,
) -> Response:
    """Reads the answer to a call of ``operation``, whatever the HTTP status was (Q25).

    What was odd is added to ``warnings``. Raises :class:`Fault` if the peer sent one, and
    :class:`NotAnAnswer` for everything that is not the expected response.
    """
    try:
        envelope = open_envelope(body)
    except Malformed as error:
        raise NotAnAnswer(str(error)) from None
    payload = envelope.payload
    if payload is None:
        raise NotAnAnswer("the envelope has no body, or nothing in it")
    name, expected = local_name(payload.tag), element_name(operation.response)
    if name == "Fault":
        raise read_fault(payload)
    if name.lower() != expected.lower():
        raise NotAnAnswer(f"expected {expected}, got {quote(str(payload.tag))}")
    try:
        response: Response = wires.decoder(version, direction, operation.response)(
            payload, envelope.warnings
        )
    except Unreadable as error:
        raise NotAnAnswer(str(error)) from None
    if warnings is not None:
        warnings += envelope.warnings
    return response


def _reply_headers(wire: Wire, action: str, message_id: str) -> str:
    before, after = _standing_headers(action, wire.addressing)
    relates_to = header("RelatesTo", wire.message_id or f"{wire.addressing}/unspecified")
    return before + header("MessageID", message_id) + relates_to + after


@lru_cache(maxsize=256)  # addressing is as the peer wrote it
def _standing_headers(action: str, addressing: str) -> tuple[str, str]:
    """What is the same in all answers of a kind: halves what their headers cost."""
    return header("Action", action), header("To", anonymous(addressing))


def _reply_id(wire: Wire, identity: str | None, body: str) -> str:
    """A UUID made of the request's id and the answer (RFC 9562, version 8): no randomness here."""
    seed = f"{identity}\n{wire.message_id}\n{body}"
    x = blake2b(seed.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return f"urn:uuid:{x[:8]}-{x[8:12]}-8{x[13:16]}-8{x[17:20]}-{x[20:]}"
