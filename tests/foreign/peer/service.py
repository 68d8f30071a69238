"""The central system's service: http.server, lxml, and the types that zeep makes."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lxml import etree

from tests.foreign.peer.strict import ANONYMOUS, SOAP, WSA, Envelope, Official, check_content_type

Report = Callable[..., None]

PATH = "/Ocpp/CentralSystemService"
FIRST_TRANSACTION = 4711

# How replies look: all headers and our usual prefixes, no headers at all, or other
# prefixes and a default namespace, as different stacks do it.
STYLES = ("full", "bare", "prefixed")


class Central:
    """What it answers, and whom it knows."""

    def __init__(self, official: Official, port: int, tags: list[str], interval: int) -> None:
        self.official = official
        self.address = f"http://127.0.0.1:{port}{PATH}"
        self.endpoints: dict[str, str] = {}
        self.style = "full"
        self.other: dict[str, dict[str, Any]] = {}
        self._tags = tags
        self._interval = interval
        self._transactions: dict[tuple[Any, ...], int] = {}
        self._message_ids: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The fields of the response; an order may have named others."""
        if operation in self.other:
            return self.other[operation]
        now = datetime.now(UTC).replace(microsecond=0)
        match operation:
            case "BootNotification":
                return {
                    "status": "Accepted",
                    "currentTime": now,
                    "heartbeatInterval": self._interval,
                }
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTagInfo": self._info(request["idTag"])}
            case "StartTransaction":
                number = self._transaction(request)
                return {"transactionId": number, "idTagInfo": self._info(request["idTag"])}
            case "StopTransaction":
                id_tag = request.get("idTag")
                return {} if id_tag is None else {"idTagInfo": self._info(id_tag)}
            case "DataTransfer":
                return {"status": "Accepted", "data": request.get("data")}
        return {}

    def _info(self, id_tag: str) -> dict[str, Any]:
        return {"status": "Accepted" if id_tag in self._tags else "Invalid"}

    def _transaction(self, request: dict[str, Any]) -> int:
        """The same start, sent again, is the same transaction."""
        key = tuple(request[k] for k in ("connectorId", "idTag", "timestamp", "meterStart"))
        with self._lock:
            return self._transactions.setdefault(key, FIRST_TRANSACTION + len(self._transactions))

    def check(self, operation: str, envelope: Envelope, content_type: str) -> str | None:
        """Notes what is wrong with a request, and where its sender listens; the identity."""
        identity = envelope.identity(self.official.namespace)
        envelope.check_request(operation, identity, self.address)
        envelope.problems += self.official.problems_of(envelope.body)
        check_content_type(envelope.problems, content_type, f"/{operation}")
        message_id = envelope.header("MessageID") or ""
        with self._lock:
            if message_id in self._message_ids:
                envelope.problems.append(f"wsa:MessageID {message_id} was used before")
            self._message_ids.add(message_id)
            if identity:
                self.endpoints[identity] = envelope.address("From") or ""
        return identity

    def reply(self, operation: str, fields: dict[str, Any], message_id: str | None) -> bytes:
        """The envelope, its body made by zeep."""
        element = self.official.element(operation, "Response")
        prefixes: dict[str | None, str] = {"soap": SOAP, "wsa": WSA}
        if self.style == "prefixed":
            prefixes = {"v": SOAP, "a": WSA, None: self.official.namespace}
        envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap=prefixes)
        if self.style != "bare":
            header = etree.SubElement(envelope, f"{{{SOAP}}}Header")
            for name, text in (
                ("Action", f"/{operation}Response"),
                ("MessageID", f"urn:uuid:{uuid.uuid4()}"),
                ("RelatesTo", message_id),
                ("To", ANONYMOUS),
            ):
                etree.SubElement(header, f"{{{WSA}}}{name}").text = text
        body = etree.SubElement(envelope, f"{{{SOAP}}}Body")
        element.render(body, element(**fields))
        if wrong := self.official.problems_of(body[0]):
            raise ValueError(f"the answer to {operation} would be wrong: {wrong}")
        return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def serve(central: Central, port: int, report: Report) -> ThreadingHTTPServer:
    """Listens in a thread; reports each request, what is wrong with it, and the answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = _answered(central, raw, self.headers["Content-Type"], self.path, report)
            self.send_response(200)
            self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """What happens is reported in our own lines."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _answered(central: Central, raw: bytes, content_type: str, path: str, report: Report) -> bytes:
    """The reply to one request; whatever goes wrong here is reported, and ends the test."""
    try:
        envelope = Envelope(etree.fromstring(raw))
        name = etree.QName(envelope.body)
        operation = name.localname.removesuffix("Request")
        operation = operation[0].upper() + operation[1:]
        identity = central.check(operation, envelope, content_type)
        if path != PATH:
            envelope.problems.append(f"posted to {path}")
        request = central.official.typed(operation, "Request", envelope.body)
        fields = central.answer(operation, request)
        body = central.reply(operation, fields, envelope.header("MessageID"))
    except Exception as error:
        report("broken", error=f"{type(error).__name__}: {error}", raw=raw.decode(errors="replace"))
        raise
    report(
        "received",
        operation=operation,
        identity=identity,
        request=request,
        answered=fields,
        problems=envelope.problems,
    )
    return body
