"""The line to the central system: every call goes through here, so that one place knows
whether it answers."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.narrator import Narrator
from ocppgw.link.base import Peer, PeerError, Unsayable
from ocppgw.ocpp.model import Request, Response

CENTRAL_SYSTEM = "central system"


class CentralLine:
    """A :class:`Peer` that tells when the central system falls silent and comes back.

    Who must not wait longer once it is back registers with :meth:`when_back`.
    ``reached`` is whether the last call was answered, ``None`` before any was.
    """

    def __init__(self, peer: Peer, narrator: Narrator) -> None:
        self._peer = peer
        self._narrator = narrator
        self.reached: bool | None = None
        self._back: list[Callable[[], None]] = []

    def when_back(self, call: Callable[[], None]) -> None:
        self._back.append(call)

    async def call(self, request: Request, deadline: float) -> Response:
        """As :meth:`Peer.call`."""
        try:
            response = await self._peer.call(request, deadline)
        except Unsayable:
            raise
        except PeerError as error:
            if error.delivered:
                self._answers()
            else:
                self._does_not(error)
            raise
        self._answers()
        return response

    def _answers(self) -> None:
        before, self.reached = self.reached, True
        if before is not False:
            return
        self._narrator.say(CENTRAL_SYSTEM, "answers again")
        for call in self._back:
            call()

    def _does_not(self, error: PeerError) -> None:
        before, self.reached = self.reached, False
        if before is not False:
            self._narrator.say(CENTRAL_SYSTEM, f"does not answer: {error}")
