"""The control socket: a Unix socket that only its owner may open."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.base import ReactorBase
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from ocppgw.bridge import result_of
from ocppgw.errors import UserError

if TYPE_CHECKING:
    from ocppgw.central.service import CentralSystem
    from ocppgw.web.api import Api
    from ocppgw.web.keeping import Keeping

GRACE = 5.0  # seconds that answers in the making have at the end
LONGEST = 100  # bytes of a path; sockaddr_un holds 107 and a final zero


class ControlServer:
    """Binds the socket before anything runs, and serves the API once the roles have started."""

    def __init__(self, reactor: ReactorBase, path: Path) -> None:
        self._reactor = reactor
        self.path = Path(os.path.normpath(path))
        self._port: Any = None
        self._api: Api | None = None

    def bind(self) -> None:
        """Takes the path; raises ``UserError`` if another gateway has it or it cannot be had."""
        from twisted.web.server import Site  # only with a control socket, as is klein

        from ocppgw.web.api import Api

        path = self.path
        if len(os.fsencode(path)) > LONGEST:
            raise UserError(
                f"control.socket: {path} is longer than the {LONGEST} bytes that a"
                " socket's path may have; choose a shorter one"
            )
        self._api = Api()
        site = Site(self._api.app.resource())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear_away(path)
            with _private():
                self._port = SocketPort(path, site, self._reactor)
                self._port.startListening()
        except (OSError, CannotListenError) as error:
            why = getattr(error, "strerror", None) or getattr(error, "socketError", error)
            raise UserError(f"control.socket: {path} cannot be used: {why}") from error

    def open(self, central: Callable[[], CentralSystem | None], keeping: Keeping) -> None:
        """Answers requests from now on; see :meth:`ocppgw.web.api.Api.open`."""
        assert self._api is not None
        self._api.open(central, keeping)

    async def stop(self) -> None:
        """Finishes what is in flight and closes the socket; its path goes with it."""
        if self._port is None or self._api is None:
            return
        port, self._port = self._port, None
        await self._api.close(GRACE)
        await result_of(port.stopListening())


class SocketPort(unix.Port):
    """A port that takes its path away in the end only if it is still its own."""

    def __init__(self, path: Path, site: Any, reactor: ReactorBase) -> None:
        super().__init__(os.fsencode(path), site, mode=0o600, reactor=reactor)
        self._path = path
        self._inode: int | None = None

    def startListening(self) -> None:  # noqa: N802  Twisted's name
        super().startListening()
        self._inode = self._path.stat().st_ino

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802  Twisted's name
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        tcp.Port.connectionLost(self, reason)


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """New files are for their owner only, from their first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _clear_away(path: Path) -> None:
    """Removes what a gateway that was killed has left; refuses if one still answers there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UserError(f"control.socket: {path} is there and is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise UserError(
        f"control.socket: another gateway is running at {path}; stop it, or give this one"
        " another socket"
    )
