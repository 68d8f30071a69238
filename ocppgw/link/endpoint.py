"""Where a station can be called back, judged from what it says and where it calls from.

Anybody who reaches the port can write anything into ``wsa:From``. What is taken from
it is therefore the scheme, the port and the path; the host is the one the connection
came from (O-10, quirks Q1 to Q3, Q28), so that a message cannot point our commands at
a third party. Only an address inside a network that the operator named as trusted is
taken as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

SCHEMES = ("http", "https")
MAX_LENGTH = 2048


def address_of(text: str) -> Address | None:
    """An IP address from text, IPv4-mapped ones unmapped; ``None`` if it is none."""
    try:
        address = ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def within(text: str, networks: Sequence[Network]) -> bool:
    """Whether an address, as text, lies in one of the networks."""
    address = address_of(text)
    return address is not None and any(address in network for network in networks)


def caller(remote: str, forwarded_for: bytes | None, proxies: Sequence[Network]) -> str:
    """Who calls: the connection's address, or what a trusted proxy says of it.

    ``forwarded_for`` is the X-Forwarded-For header. It is read from its end, and only
    as far as every hop is one of ``proxies``; the first other address is the caller.
    """
    if not proxies or not forwarded_for or not within(remote, proxies):
        return remote
    for hop in reversed(forwarded_for.decode("latin-1").split(",")):
        address = address_of(hop)
        if address is None:
            return remote
        remote = str(address)
        if not within(remote, proxies):
            break
    return remote


def callback_url(
    said: str | None,
    remote: str,
    *,
    reply_to: str | None = None,
    trusted: Sequence[Network] = (),
) -> str | None:
    """The URL at which the caller listens, or ``None`` if it did not say anything usable.

    ``said`` is the address in ``wsa:From``; ``reply_to`` is looked at if that is no use.
    """
    for text in (said, reply_to):
        parts = _usable(text)
        if parts is not None:
            return _rebuilt(parts, remote, trusted)
    return None


def _usable(text: str | None) -> SplitResult | None:
    if not text:
        return None
    text = text.strip()
    if len(text) > MAX_LENGTH or not all("!" <= character <= "~" for character in text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in SCHEMES or port == 0 or not (parts.hostname or port):
        return None
    if "addressing" in parts.path and parts.path.rstrip("/").endswith(("/anonymous", "/none")):
        return None  # WS-Addressing's words for "answer on this connection" and "do not"
    return parts


def _rebuilt(parts: SplitResult, remote: str, trusted: Sequence[Network]) -> str | None:
    said = parts.hostname or ""
    address = address_of(said if trusted and within(said, trusted) else remote)
    if address is None:
        return None
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}:{port}{parts.path or '/'}{query}"
