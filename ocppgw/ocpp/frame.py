"""SOAP envelopes out: the fixed parts around a body, put together once a dialect."""

from __future__ import annotations

from functools import lru_cache

from ocppgw.ocpp.faults import ADDRESSING_2004, Wire
from ocppgw.ocpp.scalars import escape


def header(name: str, text: str) -> str:
    """A WS-Addressing header that is a text."""
    return f"<wsa:{name}>{escape(text)}</wsa:{name}>"


def endpoint(name: str, url: str) -> str:
    """A WS-Addressing header that is an endpoint reference."""
    return f"<wsa:{name}><wsa:Address>{escape(url)}</wsa:Address></wsa:{name}>"


def anonymous(addressing: str) -> str:
    """The address that means: on the connection that the request came by."""
    return f"{addressing}{'/role' if addressing == ADDRESSING_2004 else ''}/anonymous"


@lru_cache(maxsize=64)
def _frame(soap: str, addressing: str, namespace: str, prefix: str) -> tuple[str, str, str]:
    declared, tag = (f"xmlns:{prefix}", f"{prefix}:") if prefix else ("xmlns", "")
    start = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{escape(soap)}" xmlns:wsa="{escape(addressing)}"'
        f' {declared}="{escape(namespace)}"><soap:Header>'
    )
    return start, f"<{tag}chargeBoxIdentity>", f"</{tag}chargeBoxIdentity>"


def envelope_text(wire: Wire, identity: str | None, headers: str, body: str) -> bytes:
    """The whole message; ``headers`` and ``body`` are markup."""
    start, opening, closing = _frame(wire.soap, wire.addressing, wire.namespace or "", wire.prefix)
    who = "" if identity is None else f"{opening}{escape(identity)}{closing}"
    return (
        f"{start}{who}{headers}</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()
