"""Writing straight to a socket, for replies and calls that fit into its buffer.

Twisted's ``write`` waits for the reactor's next turn and two more system calls. When
nothing waits before the data, sending it at once is half of the whole cost of HTTP.
It looks at the transport's buffers, one of them private: a test pins that.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp


def is_bare(transport: Any) -> bool:
    """Whether this is a plain socket: what wraps one hands ``writeSomeData`` through to it."""
    return isinstance(transport, tcp.Connection) and not transport.TLS


def write(transport: Any, data: bytes) -> None:
    """Sends on a bare transport, at once as far as it goes, the rest in its turn."""
    if not transport.dataBuffer and not transport._tempDataBuffer:  # noqa: SLF001
        sent = transport.writeSomeData(data)
        if sent == len(data):
            return
        if isinstance(sent, int):
            data = data[sent:]
        # else the connection is lost: write() lets the reactor find out in its own way
    transport.write(data)
