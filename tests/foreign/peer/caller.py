"""Calls a charge box with zeep, and checks what comes back to the letter."""

from __future__ import annotations

from typing import Any

import zeep
from lxml import etree
from zeep.helpers import serialize_object
from zeep.plugins import HistoryPlugin
from zeep.wsa import WsAddressingPlugin

from tests.foreign.peer.strict import Envelope, Official

BINDING = "ChargePointServiceSoap"
TIMEOUT = 60.0  # seconds


class Caller:
    """A client of one box; ``wsdl`` is the official one's path, or a URL of the box's own."""

    def __init__(self, official: Official, url: str, wsdl: str) -> None:
        self._official = official
        self._history = HistoryPlugin()
        transport = zeep.Transport(timeout=TIMEOUT, operation_timeout=TIMEOUT)
        plugins = [WsAddressingPlugin(), self._history]
        client = zeep.Client(wsdl, transport=transport, plugins=plugins)
        self._service = client.create_service(f"{{{official.namespace}}}{BINDING}", url)

    def call(self, identity: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
        """``answer`` as zeep types it, or ``fault``; and ``problems``."""
        headers = {"ChargeBoxIdentity": identity}  # the name of the WSDL's part
        try:
            answer = getattr(self._service, operation)(_soapheaders=headers, **fields)
        except zeep.exceptions.Fault as fault:
            subcodes = [etree.QName(code).localname for code in fault.subcodes]
            return {"fault": fault.message, "subcodes": subcodes, "problems": []}
        return {"answer": serialize_object(answer, dict), "problems": self._problems(operation)}

    def _problems(self, operation: str) -> list[str]:
        sent = self._history.last_sent["envelope"]
        asked = Envelope(sent)
        said = Envelope(self._history.last_received["envelope"])
        said.check_reply(operation, asked.header("MessageID"))
        mine = self._official.problems_of(asked.body)
        return said.problems + self._official.problems_of(said.body) + mine
