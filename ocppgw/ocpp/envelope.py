"""SOAP envelopes in: bytes to headers and the body's element, whatever the dialect.

One locked-down parser for everything: no DTD, no entities, no network, libxml2's limits on
depth and size in force. Headers are found by local name, in any namespace and any case.
"""

from __future__ import annotations

import re

from lxml import etree

from ocppgw.ocpp.decode import Element, items, local_name
from ocppgw.ocpp.faults import ADDRESSING, PREFIX, SOAP_11, SOAP_12, Wire
from ocppgw.ocpp.scalars import quote, warn


class Malformed(Exception):
    """The bytes are no SOAP envelope. ``envelope`` is what could be salvaged of it."""

    def __init__(self, message: str, envelope: Envelope | None = None) -> None:
        super().__init__(message)
        self.envelope = envelope


def _parser(*, recover: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


_PARSER = _parser()
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"'>]*)")
_ROOT = re.compile(rb"<[A-Za-z_:\x80-\xff]")
_UNDECLARED_PREFIX = etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE
_OUR_PREFIXES = frozenset({"soap", "wsa"})
LONGEST_IDENTITY = 255
# What answers are made with, and kept by: the peer's own is taken up to this length.
_LONGEST_PREFIX, _LONGEST_NAMESPACE = 20, 100

_IDENTITY = "chargeboxidentity"
_ADDRESSES = frozenset({"from", "replyto"})
_UNDERSTOOD = frozenset({"action", "messageid", "to", "relatesto", "faultto"}) | _ADDRESSES
_USUAL = {
    f"{{{ADDRESSING}}}{name}": name.lower()
    for name in ("Action", "MessageID", "To", "From", "ReplyTo", "FaultTo", "RelatesTo")
}
_ADDRESS = f"{{{ADDRESSING}}}Address"
_ENVELOPES: dict[object, str] = {f"{{{soap}}}Envelope": soap for soap in (SOAP_12, SOAP_11)}
_PARTS: dict[object, str] = {
    f"{{{soap}}}{name}": name for soap in (SOAP_12, SOAP_11) for name in ("Header", "Body")
}


class Envelope:
    """A parsed envelope: header texts, the identities given, the body's first element."""

    __slots__ = (
        "addressing",
        "headers",
        "identities",
        "identity_namespace",
        "payload",
        "soap",
        "warnings",
    )

    def __init__(self, soap: str, warnings: list[str]) -> None:
        self.soap = soap
        self.addressing = ADDRESSING
        self.headers: dict[str, str] = {}
        self.identities: list[str] = []
        self.identity_namespace = ""
        self.payload: Element | None = None
        self.warnings = warnings

    @property
    def identity(self) -> str | None:
        """The chargeBoxIdentity; the last one, should there be several (Q23).

        ``None`` for one that cannot be a name: no answer and no log line repeats it.
        """
        return self.identities[-1] if self.identities and self.has_name else None

    @property
    def has_name(self) -> bool:
        """Whether the identity is of a length, and of characters, that stay on their line."""
        name = self.identities[-1]
        return len(name) <= LONGEST_IDENTITY and name.isprintable()

    def wire(self, namespace: str | None = None, operation: str | None = None) -> Wire:
        """What an answer needs. ``From`` lacking, ``ReplyTo`` may say where the peer is (Q2)."""
        headers = self.headers
        reply_to = headers.get("replyto")
        from_address = headers.get("from")
        if from_address is None and reply_to and not reply_to.endswith("/anonymous"):
            from_address = reply_to
        prefix = PREFIX if self.payload is None else self.payload.prefix or ""
        return Wire(
            message_id=headers.get("messageid"),
            action=headers.get("action"),
            from_address=from_address,
            reply_to=reply_to,
            to=headers.get("to"),
            soap=self.soap,
            addressing=self.addressing,
            namespace=namespace,
            prefix=PREFIX if prefix in _OUR_PREFIXES or len(prefix) > _LONGEST_PREFIX else prefix,
            operation=operation,
            warnings=tuple(self.warnings),
        )


def open_envelope(body: bytes) -> Envelope:
    """Parses an envelope, with the second chances of Q14 and Q31.

    Raises :class:`Malformed` with one sentence, and nothing else.
    """
    warnings: list[str] = []
    body = _trimmed(body)
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        root = _second_chance(body, error, warnings)
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("the XML has a DOCTYPE, which SOAP forbids")
    return _read(root, warnings)


def _trimmed(body: bytes) -> bytes:
    """Without what stands around the XML: BOM, white space, trailing NULs (Q14)."""
    body = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not body:
        raise Malformed("the body is empty")
    if body[:2] in _UTF_16:
        return body  # where the last byte may be a NUL by right
    body = body.rstrip(b"\0 \t\r\n")
    declaration = body.find(b"<!DOCTYPE")
    if declaration >= 0:
        root = _ROOT.search(body)
        if root is None or declaration < root.start():
            raise Malformed("the XML has a DOCTYPE, which SOAP forbids")
    return body


def _second_chance(body: bytes, error: etree.XMLSyntaxError, warnings: list[str]) -> Element:
    """Bytes that are not the UTF-8 they claim to be, and undeclared prefixes: nothing else."""
    reason = str(error.msg)
    if _claims_utf_8(body) and not _is_utf_8(body):
        body = body.decode("latin-1").encode()
        warn(warnings, "the XML is not UTF-8, read as Latin-1")
        try:
            return etree.fromstring(body, _PARSER)
        except etree.XMLSyntaxError as second:
            reason = str(second.msg)
    parser = _parser(recover=True)
    root = _recovered(body, parser)
    faults = {entry.type for entry in parser.error_log}
    if root is not None and faults == {_UNDECLARED_PREFIX}:
        warn(warnings, "the XML uses a prefix that it does not declare")
        return root
    raise Malformed(f"not well-formed XML: {_one_line(reason)}", _salvaged(root))


def _one_line(reason: str) -> str:
    """libxml2's message, which may quote what came, kept to a line."""
    return reason[:120].encode("ascii", "backslashreplace").decode()


def _claims_utf_8(body: bytes) -> bool:
    declared = _DECLARED.match(body)
    return declared is None or declared[1].lower() in (b"utf-8", b"utf8")


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _recovered(body: bytes, parser: etree.XMLParser) -> Element | None:
    try:
        root: Element | None = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        return None
    return root


def _salvaged(root: Element | None) -> Envelope | None:
    """Headers of a broken message, for its fault: only if they are whole, so a body follows."""
    if root is None or len(root) < 2 or root.getroottree().docinfo.internalDTD is not None:
        return None
    try:
        envelope = _read(root, [])
    except Malformed:
        return None
    envelope.payload = None
    return envelope


def _read(root: Element, warnings: list[str]) -> Envelope:
    tag = root.tag
    soap = _ENVELOPES.get(tag)
    if soap is None:
        if local_name(tag) != "Envelope":
            raise Malformed(f"expected a SOAP envelope, got {quote(str(tag))}")
        soap = SOAP_12
        warn(warnings, f"an envelope of an unknown namespace: {quote(str(tag))}")
    envelope = Envelope(soap, warnings)
    for child in root:
        tag = child.tag
        name = _PARTS.get(tag) or local_name(tag)
        if name == "Header":
            _read_headers(envelope, child)
        elif name == "Body":
            envelope.payload = None
            for payload in child:
                if isinstance(payload.tag, str):
                    envelope.payload = payload
                    break
    return envelope


def _read_headers(envelope: Envelope, block: Element) -> None:
    headers = envelope.headers
    for header in block:
        # By the whole tag first: the namespaces are seldom others, and taking each name
        # out of its tag costs as much as all the rest.
        name = _USUAL.get(header.tag) or _unusual(envelope, header)
        if name in _ADDRESSES:
            text = _address(header)
        elif name:
            text = header.text or ""
        else:
            continue
        text = text.strip()
        if text and name == _IDENTITY:
            envelope.identities.append(text)
        elif text:
            headers[name] = text  # of several the last (Q23)


def _unusual(envelope: Envelope, header: Element) -> str:
    """The name of a header that is no WS-Addressing 1.0; "" if it is none of ours."""
    name = local_name(header.tag).lower()
    tag = str(header.tag)
    if name == _IDENTITY:
        envelope.identity_namespace = tag[1 : tag.rfind("}")]
        return "" if len(header) else name
    if name in _UNDERSTOOD:
        if "/addressing" in tag and len(tag) <= _LONGEST_NAMESPACE:
            envelope.addressing = tag[1 : tag.rfind("}")]  # answered in kind (Q11)
        return name
    if any(local_name(k) == "mustUnderstand" and v in ("1", "true") for k, v in items(header)):
        warn(envelope.warnings, f"a header that must be understood is not: {quote(tag)} (Q13)")
    return ""


def _address(header: Element) -> str:
    """``From/Address``, or the bare text of ``From`` (Q2)."""
    for child in header:
        if child.tag == _ADDRESS or local_name(child.tag) == "Address":
            return child.text or ""
    return header.text or ""
