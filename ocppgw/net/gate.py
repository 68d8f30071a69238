"""The gate before a part that answers requests, which may be stopped and started meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ocppgw.net.base import HttpResponse

PATIENCE = 5.0  # seconds that a request waits for the gate to open
RETRY_AFTER = b"10"  # seconds, told to whoever is sent away

T = TypeVar("T")


class Away(Exception):
    """Nobody is there to answer at the moment; whoever asked is to come back later."""


class Gate:
    """Shut at first. Requests that come to a shut gate wait a little, since a restart
    takes no longer than that as a rule, and raise :class:`Away` if it was longer."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._opened = asyncio.Event()
        self._empty = asyncio.Event()
        self._inside = 0

    def open(self) -> None:
        """Lets requests through."""
        self._opened.set()

    async def through(self, answer: Callable[[], Awaitable[T]]) -> T:
        """What ``answer`` gives, once the gate is open; raises :class:`Away`."""
        if not self._opened.is_set():
            await self._wait()
        self._inside += 1
        try:
            return await answer()
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._opened.wait()
        except TimeoutError:
            raise Away from None

    async def shut(self, grace: float) -> int:
        """Keeps new requests outside and waits for those inside, ``grace`` seconds at most;
        how many are left inside then."""
        self._opened.clear()
        if self._inside:
            self._empty.clear()
            try:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
            except TimeoutError:
                return self._inside
        return 0


def come_back_later() -> HttpResponse:
    """The answer to a request that nobody is there for."""
    return HttpResponse(
        status=503,
        content_type=b"text/plain; charset=utf-8",
        headers=((b"retry-after", RETRY_AFTER),),
        body=b"Come back later: this part of the gateway is being restarted.\n",
    )
