"""What the official WSDLs say, held against messages to the letter.

Where ocppgw is lenient with what comes in, this is not: order, namespaces, types and
headers are all as the WSDL and OCPP-S have them, or the message has a problem.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zeep
from lxml import etree
from zeep.helpers import serialize_object

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
ANONYMOUS = f"{WSA}/anonymous"
XS_SCHEMA = "{http://www.w3.org/2001/XMLSchema}schema"


class Official:
    """One service's WSDL: its schema, and the types that zeep makes of it."""

    def __init__(self, wsdl: Path) -> None:
        self.wsdl = str(wsdl)
        self.client = zeep.Client(self.wsdl)
        found = etree.parse(self.wsdl).getroot().find(f".//{XS_SCHEMA}")
        self.namespace = found.get("targetNamespace")
        # written out, for the prefixes that are declared around it
        self.schema = etree.XMLSchema(etree.fromstring(etree.tostring(found)))

    def element(self, operation: str, kind: str) -> Any:
        """The zeep element of an operation's ``Request`` or ``Response``."""
        name = operation[0].lower() + operation[1:] + kind
        return self.client.wsdl.types.get_element(f"{{{self.namespace}}}{name}")

    def typed(self, operation: str, kind: str, body: etree._Element) -> Any:
        """The message as zeep's types have it, as plain values."""
        parsed = self.element(operation, kind).parse(body, self.client.wsdl.types)
        return serialize_object(parsed, dict) or {}

    def problems_of(self, body: etree._Element) -> list[str]:
        """What the schema has against it."""
        if self.schema.validate(body):
            return []
        return [f"schema: {error.message}" for error in self.schema.error_log]


class Envelope:
    """A SOAP envelope taken apart; ``problems`` is what is wrong with its shape."""

    def __init__(self, envelope: etree._Element) -> None:
        self.problems: list[str] = []
        self._expect("the root", envelope.tag, f"{{{SOAP}}}Envelope")
        shape = [part.tag for part in envelope]
        self._expect("its parts", shape, [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"])
        header, body = envelope
        self.headers = {part.tag: part for part in header}
        if len(self.headers) != len(header):
            self.problems.append("a header is there twice")
        self._expect("elements in the body", len(body), 1)
        self.body = body[0]

    def _expect(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.problems.append(f"{what}: expected {wanted}, got {got}")

    def header(self, name: str) -> str | None:
        """The text of a WS-Addressing header."""
        found = self.headers.get(f"{{{WSA}}}{name}")
        return None if found is None else found.text

    def address(self, name: str) -> str | None:
        """The Address inside an endpoint reference, ``From`` or ``ReplyTo``."""
        found = self.headers.get(f"{{{WSA}}}{name}")
        return None if found is None else found.findtext(f"{{{WSA}}}Address")

    def identity(self, namespace: str) -> str | None:
        """The chargeBoxIdentity in the namespace of the service."""
        found = self.headers.get(f"{{{namespace}}}chargeBoxIdentity")
        return None if found is None else found.text

    def check_request(self, operation: str, identity: str | None, own_address: str) -> None:
        """The headers of a request: all of OCPP-S 2, and nothing that it forbids."""
        self._expect("wsa:Action", self.header("Action"), f"/{operation}")
        self._expect("wsa:To", self.header("To"), own_address)
        self._expect("wsa:ReplyTo", self.address("ReplyTo"), ANONYMOUS)
        self._expect("wsa:RelatesTo", self.header("RelatesTo"), None)
        if not self.header("MessageID"):
            self.problems.append("wsa:MessageID is missing")
        sender = urlsplit(self.address("From") or "")
        if sender.scheme not in ("http", "https") or not sender.hostname:
            self.problems.append(f"wsa:From is no URL: {self.address('From')}")
        if not identity:
            self.problems.append("chargeBoxIdentity is missing, or in another namespace")

    def check_reply(self, operation: str, message_id: str | None) -> None:
        """The headers of a reply."""
        self._expect("wsa:Action", self.header("Action"), f"/{operation}Response")
        self._expect("wsa:RelatesTo", self.header("RelatesTo"), message_id)
        if not self.header("MessageID"):
            self.problems.append("wsa:MessageID is missing")


def check_content_type(problems: list[str], content_type: str, action: str) -> None:
    """SOAP 1.2's media type, with the action as its parameter."""
    parts = [part.strip().lower() for part in content_type.split(";")]
    if parts[0] != "application/soap+xml":
        problems.append(f"Content-Type is {content_type!r}")
    if f'action="{action.lower()}"' not in parts:
        problems.append(f"Content-Type does not say action {action}: {content_type!r}")
