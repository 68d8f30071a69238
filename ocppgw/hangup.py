"""SIGHUP: the configuration is to be read again, unless the terminal has gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from twisted.internet.base import ReactorBase


class Hangup:
    """Calls ``reload`` for a SIGHUP that somebody sent, on the reactor's thread.

    A process in a terminal gets one, too, when that is closed: ``end`` is called then,
    unless whoever started the process had it ignore the signal (nohup).
    """

    def __init__(
        self, reactor: ReactorBase, reload: Callable[[], object], end: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._reload = reload
        self._end = end
        self._in_terminal = has_terminal()
        self._before = signal.signal(signal.SIGHUP, self._signalled)
        if self._before is signal.SIG_IGN:
            self._in_terminal = False

    def forget(self) -> None:
        """The signal is no longer ours."""
        signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        gone = self._in_terminal and not has_terminal()
        self._reactor.callFromThread(self._end if gone else self._reload)


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
