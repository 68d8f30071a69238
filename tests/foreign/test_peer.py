"""The foreign central system is foreign, and as strict as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.foreign.site import WSDLS

PEER = Path(__file__).with_name("peer")

REQUEST = """\
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
    xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:o="urn://Ocpp/Cs/2012/06/">
  <s:Header>
    <o:chargeBoxIdentity>BOX-1</o:chargeBoxIdentity>
    <a:Action>/StartTransaction</a:Action>
    <a:MessageID>urn:uuid:1</a:MessageID>
    <a:From><a:Address>http://127.0.0.1:9000/Ocpp/ChargePointService</a:Address></a:From>
    <a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>
    <a:To>http://127.0.0.1:9220/Ocpp/CentralSystemService</a:To>
  </s:Header>
  <s:Body><o:startTransactionRequest>
    <o:connectorId>1</o:connectorId>
    <o:idTag>TAG</o:idTag>
    <o:timestamp>2026-01-01T00:00:00Z</o:timestamp>
    <o:meterStart>5</o:meterStart>
  </o:startTransactionRequest></s:Body>
</s:Envelope>"""
MEDIA = 'application/soap+xml; charset=utf-8; action="/StartTransaction"'


def test_it_has_nothing_of_ocppgw() -> None:
    imported = set()
    for file in PEER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module)
    ours = {name for name in imported if name.split(".")[0] in ("ocppgw", "ocppgw_modbus", "tests")}

    assert ours <= {f"tests.foreign.peer.{file.stem}" for file in PEER.glob("*.py")}
    assert "zeep" in imported


def problems_with(text: str, media: str = MEDIA) -> list[str]:
    """What the foreign central system would say of that request."""
    from lxml import etree

    from tests.foreign.peer.__main__ import CENTRAL_SYSTEM
    from tests.foreign.peer.service import Central
    from tests.foreign.peer.strict import Envelope, Official

    if not WSDLS.is_dir():
        pytest.skip(f"no official WSDLs: OCPPGW_WSDL_DIR names no folder ({WSDLS})")
    central = Central(Official(WSDLS / CENTRAL_SYSTEM), 9220, ["TAG"], 5)
    envelope = Envelope(etree.fromstring(text))
    central.check("StartTransaction", envelope, media)
    return envelope.problems


def test_nothing_is_wrong_with_a_right_request() -> None:
    assert problems_with(REQUEST) == []


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("Cs/2012/06", "Cs/2010/08"),
        (r"<o:chargeBoxIdentity>.*Identity>", ""),
        (r"(</?)o(:chargeBoxIdentity)", r"\1a\2"),
        (r"<a:Action>.*Action>", ""),
        ("/StartTransaction<", "/StopTransaction<"),
        (r"<a:MessageID>.*ID>", ""),
        (r"<a:From>.*From>", ""),
        ("http://127.0.0.1:9000", "urn:me"),
        ("addressing/anonymous", "addressing/none"),
        (r"<a:To>.*To>", ""),
        ("<a:To>", "<a:RelatesTo>urn:uuid:0</a:RelatesTo><a:To>"),
        ("9220", "9221"),
        (r"(?s)(<o:timestamp>.*timestamp>)\s*(<o:meterStart>.*Start>)", r"\2\1"),
        ("<o:meterStart>5", "<o:meterStart>5.5"),
        ("2026-01-01T", "2026-01-01 "),
        (r"<o:idTag>.*idTag>", ""),
        ("TAG", "T" * 21),
        ("</o:startT", "<o:more/></o:startT"),
    ],
)
def test_what_is_wrong_is_a_problem(pattern: str, instead: str) -> None:
    text = re.sub(pattern, instead, REQUEST)
    assert text != REQUEST
    assert problems_with(text)


@pytest.mark.parametrize(
    "media",
    [
        "text/xml; charset=utf-8",
        "application/soap+xml; charset=utf-8",
        'application/soap+xml; action="/Heartbeat"',
    ],
)
def test_another_content_type_is_a_problem(media: str) -> None:
    assert len(problems_with(REQUEST, media)) >= 1
