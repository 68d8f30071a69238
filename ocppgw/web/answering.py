"""How routes of the control API answer: JSON, and every error a sentence.

``{"error": "…"}``, and ``"mayWait": true`` in it for a command that certainly did not get
through, to a station that may be reached later.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.web.http import Request as WebRequest

from ocppgw.errors import UserError
from ocppgw.link.base import PeerError, PeerTimeout, Unreachable
from ocppgw.net.gate import Away
from ocppgw.storage.base import StorageError
from ocppgw.web.messages import as_json

log = logging.getLogger(__name__)

P = ParamSpec("P")


class ApiError(Exception):
    """An answer that is an error: the HTTP status and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Begins(Protocol):
    """What has routes: it keeps account of the answers in the making."""

    def begin(self, answer: Coroutine[Any, Any, bytes]) -> Deferred[bytes]: ...


ApiT = TypeVar("ApiT", bound=Begins)


def answering(
    route: Callable[Concatenate[ApiT, WebRequest, P], Coroutine[Any, Any, Any]],
) -> Callable[Concatenate[ApiT, WebRequest, P], Deferred[bytes]]:
    """A route as klein wants it: what the coroutine gives, or raises, as JSON."""

    @wraps(route)
    def answer(
        self: ApiT, request: WebRequest, *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[bytes]:
        async def run() -> bytes:
            request.setHeader("Content-Type", "application/json")
            try:
                value = await route(self, request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  each becomes an answer
                status, sentence = _explained(error)
                request.setResponseCode(status)
                value = {"error": sentence} | ({"mayWait": True} if _may_wait(error) else {})
            body = json.dumps(as_json(value)).encode() + b"\n"
            request.setHeader("Content-Length", str(len(body)))
            return body

        return self.begin(run())

    return cast("Callable[Concatenate[ApiT, WebRequest, P], Deferred[bytes]]", answer)


def body_of(request: WebRequest) -> Any:
    """The decoded JSON body; an absent one is an empty object."""
    assert request.content is not None
    text = request.content.read()
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}") from error


def _may_wait(error: Exception) -> bool:
    """Whether the same command may be kept until its station can be reached."""
    return isinstance(error, (Unreachable, PeerTimeout)) and error.delivered is False


def _explained(error: Exception) -> tuple[int, str]:
    """The HTTP status and the sentence of an error."""
    if isinstance(error, ApiError):
        return error.status, str(error)
    if isinstance(error, UserError):
        return 400, str(error)
    if isinstance(error, PeerTimeout):
        return 504, str(error)
    if isinstance(error, PeerError):
        return 502, str(error)
    if isinstance(error, StorageError):
        return 503, str(error)
    if isinstance(error, Away):
        return 503, "the central system is being restarted; try again in a moment"
    log.error("a request of the control API failed", exc_info=error)
    return 500, f"unexpected {type(error).__name__}; the gateway's log says more"
