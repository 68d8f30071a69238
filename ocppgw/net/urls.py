"""The URLs that our client calls; many come from peers, so nothing in them is trusted."""

from __future__ import annotations

import base64
import functools
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ocppgw.net.base import ConnectFailed

_SAFE = "%/:=&?~#+!$,;'@()*[]"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True):
    """Where a URL leads. ``shown`` is for people: without password and query."""

    scheme: str
    host: str
    port: int
    request_line: bytes  # and the headers that come from the URL
    shown: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


@functools.lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """Reads a URL. Raises ConnectFailed, in a sentence, if nothing can be called by it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError:
        raise ConnectFailed(f"{_shown(url)!r} is no URL that can be called") from None
    if parts.scheme not in _DEFAULT_PORTS or not host or any(c <= " " for c in host):
        raise ConnectFailed(
            f"{_shown(url)!r} is no URL that can be called: it has to be like http://host:port/path"
        )
    default = _DEFAULT_PORTS[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    where = name if port in (None, default) else f"{name}:{port}"
    path = quote(parts.path or "/", safe=_SAFE)
    query = "?" + quote(parts.query, safe=_SAFE) if parts.query else ""
    lines = [f"POST {path}{query} HTTP/1.1", f"Host: {where}"]
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        lines.append(f"Authorization: Basic {base64.b64encode(login).decode('ascii')}")
    return Target(
        scheme=parts.scheme,
        host=host,
        port=default if port is None else port,
        request_line=("\r\n".join(lines) + "\r\n").encode("ascii"),
        shown=f"{parts.scheme}://{where}{path}",
    )


def _shown(url: str) -> str:
    """A URL that could not be read, without what may be a password."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('//')[0]}//…@{after}" if at else url
