"""The only place where Deferreds and coroutines meet.

Application code is coroutines that run as asyncio tasks; Twisted's edges call
:func:`later`, and coroutines that need a Deferred's result await :func:`result_of`.
No asyncio loop runs before the reactor does: in a service, start coroutines with
:func:`when_running`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def later(coroutine: Coroutine[Any, Any, T] | asyncio.Task[T]) -> Deferred[T]:
    """Runs a coroutine as an asyncio task; the Deferred fires with its (or a task's) result.

    Cancelling the Deferred cancels the task.
    """
    return Deferred.fromFuture(asyncio.ensure_future(coroutine))


async def result_of(deferred: Deferred[T]) -> T:
    """Awaits a Deferred from a coroutine; one that has fired already needs no loop."""
    if deferred.called and not deferred.paused:
        return _fired(deferred)
    return await deferred.asFuture(asyncio.get_running_loop())


def _fired(deferred: Deferred[T]) -> T:
    """What a Deferred that has fired came to."""
    results: list[T] = []
    failures: list[Failure] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for, without any loop.

    For what must be done before the reactor runs, such as binding ports. RuntimeError
    if it had to wait after all.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} had to wait; it cannot be done at once")


def when_running(call: Callable[[], object]) -> None:
    """Calls back from the reactor's first turn, where an asyncio loop is running."""
    from twisted.internet import reactor

    cast("ReactorBase", reactor).callLater(0, call)
