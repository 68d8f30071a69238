"""The raw XML of every message, for those who ask for it by the log level (O-41)."""

from __future__ import annotations

import logging
from contextlib import suppress

from lxml import etree

LOG = logging.getLogger("ocppgw.xml")
LONGEST = 64 * 1024

_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True
)


def wanted() -> bool:
    """Whether anybody listens; asks before a message's XML is put together."""
    return LOG.isEnabledFor(logging.DEBUG)


def xml(what: str, body: bytes) -> None:
    """Logs a message, indented; ``what`` says whose and in which direction."""
    if wanted():
        LOG.debug("%s\n%s", what, pretty(body))


def pretty(body: bytes) -> str:
    """The message indented, or, where it is no XML, as it is; long ones are cut."""
    text = body[:LONGEST].decode("utf-8", "replace")
    if len(body) <= LONGEST and b"<!DOCTYPE" not in body:
        with suppress(etree.XMLSyntaxError, ValueError):  # else it is shown as it came
            text = etree.tostring(
                etree.fromstring(body.strip(), _PARSER), pretty_print=True, encoding="unicode"
            )
    return text.rstrip() + ("" if len(body) <= LONGEST else f" … ({len(body)} bytes in all)")
