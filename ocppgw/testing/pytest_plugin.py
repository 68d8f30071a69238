"""A pytest plugin: coroutine tests run as asyncio tasks on the reactor, and must leave nothing.

Use it with ``pytest --reactor=asyncio -p ocppgw.testing.pytest_plugin`` (needs pytest-twisted).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import defer
from twisted.internet.base import ReactorBase


def pytest_collection_finish() -> None:
    """Spares the collection after each test all that was imported before the first."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs ``async def test_…`` as an asyncio task on the reactor's loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def run() -> None:
        before = asyncio.all_tasks()
        await pyfuncitem.obj(**arguments)
        await _nothing_left(before)

    def start() -> defer.Deferred[Any]:
        return defer.Deferred.fromFuture(asyncio.ensure_future(run()))

    pytest_twisted.blockon(_in_reactor(start))
    gc.collect()
    return True


def _in_reactor(start: Any) -> defer.Deferred[Any]:
    """Calls ``start`` from a reactor callback, where a loop is running."""
    from twisted.internet import reactor  # not before pytest-twisted has installed it

    begun: defer.Deferred[Any] = defer.Deferred()
    cast("ReactorBase", reactor).callLater(0, begun.callback, None)
    return begun.addCallback(lambda _: start())


async def _nothing_left(before: set[asyncio.Task[Any]]) -> None:
    """Fails a test that leaves asyncio tasks running."""
    for _ in range(20):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the test left tasks running: {left}")
