"""One call at a time for each station, in the order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque


class TooManyWaitingError(Exception):
    """The station has as many calls waiting as it may have."""


class Turn:
    """The right to be served; free of cost while nobody else wants it.

    ``if turn.busy: await turn.wait(limit) else: turn.busy = True``, then ``give`` once.
    """

    __slots__ = ("_waiting", "busy")

    def __init__(self) -> None:
        self.busy = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self, limit: int) -> None:
        """Returns when it is the caller's turn; raises :class:`TooManyWaitingError`."""
        if len(self._waiting) >= limit:
            raise TooManyWaitingError
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self.give()  # the turn had come just as the caller went away
            raise

    def give(self) -> None:
        """Hands the turn to the one who waits longest."""
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return
        self.busy = False
