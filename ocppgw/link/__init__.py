"""A peer one can call (see :mod:`ocppgw.link.base`)."""

from ocppgw.link.base import (
    BadReply,
    NoEndpoint,
    Peer,
    PeerError,
    PeerFault,
    PeerTimeout,
    Unreachable,
    Unsayable,
)

__all__ = [
    "BadReply",
    "NoEndpoint",
    "Peer",
    "PeerError",
    "PeerFault",
    "PeerTimeout",
    "Unreachable",
    "Unsayable",
]
