"""Coroutines in fixtures that several tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest_twisted
from twisted.internet.defer import Deferred

from ocppgw.testing.pytest_plugin import _in_reactor

ResultT = TypeVar("ResultT")


def wait_for(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """What the coroutine gives, run as a task on the reactor's loop."""
    begun = _in_reactor(lambda: Deferred.fromFuture(asyncio.ensure_future(work())))
    return cast("ResultT", pytest_twisted.blockon(begun))
