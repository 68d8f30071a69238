"""What a service manager is told: sd_notify(3), for units of ``Type=notify``."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import TypeAlias

log = logging.getLogger(__name__)

Notify: TypeAlias = Callable[..., None]
READY, RELOADING, STOPPING = "READY=1", "RELOADING=1", "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notifier(environment: Mapping[str, str] = os.environ) -> Notify:
    """Tells the socket that ``NOTIFY_SOCKET`` names; nobody if it names none.

    ``notify(READY, "STATUS=…")`` sends a state and what else is to be said, together.
    A name that begins with @ is one of Linux's abstract sockets.
    """
    name = environment.get("NOTIFY_SOCKET", "")
    if not name:
        return silent
    address = "\0" + name[1:] if name.startswith("@") else name

    def notify(*told: str) -> None:
        text = "\n".join(told).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(text, address)
        except OSError as error:  # the gateway works all the same
            log.warning("the service manager at %s could not be told %s: %s", name, told[0], error)

    return notify


def watchdog(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often, in seconds, the service manager wants to be told :data:`ALIVE`: twice in the
    time that it waits (sd_watchdog_enabled(3)). ``None`` if it does not."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) else None


def silent(*_: str) -> None:
    """Tells nobody."""
