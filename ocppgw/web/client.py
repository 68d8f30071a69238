"""The client of the control API: plain blocking HTTP over its Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from ocppgw.errors import UserError

TIMEOUT = 120.0  # seconds; the gateway has deadlines of its own, below that


class RefusedError(UserError):
    """The gateway's sentence instead of an answer; ``may_wait`` says that a command did not
    get through and may be kept until its station can be reached."""

    def __init__(self, sentence: str, *, may_wait: bool) -> None:
        super().__init__(sentence)
        self.may_wait = may_wait


class ControlClient:
    """Calls the gateway that listens at that socket, and waits ``timeout`` seconds for it."""

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def is_there(self) -> bool:
        """Whether a gateway listens at the socket; ``UserError`` if that is not ours to know."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError as error:
                raise UserError(f"{self._path}: {error.strerror or error}") from error
        return True

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; raises ``UserError`` with the sentence that came instead of one."""
        connection = _UnixConnection(self._path, self._timeout)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            status, text = reply.status, reply.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UserError(
                f"no gateway is running at {self._path}; start one with `ocppgw run FILE`,"
                " or name its control socket with --socket"
            ) from error
        except PermissionError as error:
            raise UserError(
                f"{self._path}: only the user that the gateway runs as may open it"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise UserError(f"the gateway at {self._path} gave no answer: {why}") from error
        finally:
            connection.close()
        return self._answer(status, text)

    def _answer(self, status: int, text: bytes) -> Any:
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise UserError(f"{self._path}: what answers there is no gateway of ours") from error
        if status >= 400:
            sentence = str(answer.get("error", f"the gateway answered {status}"))
            raise RefusedError(sentence, may_wait=bool(answer.get("mayWait")))
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
