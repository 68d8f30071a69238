"""The latest-only lane: of each kind of message only the newest is worth sending."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

from ocppgw.clock import Clock
from ocppgw.delivery.entry import LATEST, message_fields, message_of, operation_name
from ocppgw.delivery.policy import Backoff, Bell, RetryPolicy, spread
from ocppgw.link.base import Peer, PeerError, Unsayable
from ocppgw.ocpp.model import Request
from ocppgw.storage.base import Collection, Document, Projection, Put, Storage, StorageError

log = logging.getLogger(__name__)


class LatestLane:
    """Sends the newest message under each name once, when the central system is reached.

    For status, availability, firmware and diagnostics notifications: an older message
    under the same name falls away unsent. One that is answered with a fault or nonsense
    is tried as :class:`RetryPolicy` says without holding up the others, then dropped.

    Life: :meth:`load` after the start, then :meth:`run` in a task, cancelled at the end.
    """

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = (LATEST,)

    def __init__(
        self,
        *,
        box: str,
        storage: Storage,
        clock: Clock,
        peer: Peer,
        policy: RetryPolicy,
        changed: Callable[[str], None],
        jitter: Callable[[], float] = spread,
    ) -> None:
        """``changed`` is told, in a sentence, what an operator may want to know."""
        self._box = box
        self._storage = storage
        self._clock = clock
        self._peer = peer
        self._policy = policy
        self._changed = changed
        self._backoff = Backoff(policy, jitter)
        self._bell = Bell(clock)
        self._open = False
        self._version = 0
        self._not_before = clock.monotonic()
        self._attempts: dict[int, int] = {}
        self._held_until: dict[int, float] = {}

    async def load(self) -> None:
        """Learns what the store holds of this box; before the first :meth:`put`."""
        documents = await self._storage.find(LATEST, {"box": self._box})
        self._version = max((d["version"] for d in documents), default=0)

    def put(self, key: str, request: Request) -> Projection:
        """The newest message under that key ("status.1"), as a change for the caller's
        own commit; then call :meth:`wake`."""
        self._version += 1
        fields = {**message_fields(request), "version": self._version}
        return Put(LATEST, (self._box, key), fields, version=self._version)

    def wake(self) -> None:
        """A message was committed."""
        self._bell.ring()

    def open(self) -> None:
        """The central system accepted the box: messages may go."""
        self._open = True
        self.nudge()

    def shut(self) -> None:
        """No further message goes until :meth:`open`; one that is under way is finished."""
        self._open = False

    def nudge(self) -> None:
        """Something else got through to the central system: do not wait any longer."""
        self._backoff.reset()
        self._not_before = self._clock.monotonic()
        self._bell.ring()

    async def unsent(self) -> dict[str, Request]:
        """What is still to be sent, by key, oldest first."""
        return {document["name"]: message_of(document) for document in await self._unsent()}

    async def run(self) -> None:
        """Sends what there is until cancelled."""
        while True:
            self._bell.hush()
            try:
                await self._turn()
            except StorageError as error:
                log.warning("%s: the store failed, the lane tries again: %s", self._box, error)
                self._pause()
            except Exception:
                log.exception("%s: the latest-only lane stumbled and tries again", self._box)
                self._pause()

    async def _turn(self) -> None:
        """One look at the store: sends what is due, or waits until something is."""
        if not self._open:
            await self._bell.wait()
            return
        now = self._clock.monotonic()
        if self._not_before > now:
            await self._bell.wait(self._not_before - now)
            return
        unsent = await self._unsent()
        due = next((d for d in unsent if self._due(d) <= now), None)
        if due is not None:
            await self._transmit(due)
        elif unsent:
            await self._bell.wait(min(map(self._due, unsent)) - now)
        else:
            await self._bell.wait()

    async def _transmit(self, document: Document) -> None:
        request = message_of(document)
        try:
            await self._peer.call(request, self._policy.deadline)
        except PeerError as error:
            if not (error.delivered or isinstance(error, Unsayable)):
                self._pause()
                return
            self._backoff.reset()
            if not self._drops(document["version"], request, error):
                return
        self._backoff.reset()
        await self._done(document)

    def _drops(self, version: int, request: Request, error: PeerError) -> bool:
        """Counts a failed attempt; whether that was the last."""
        attempts = self._attempts.get(version, 0) + 1
        name = operation_name(request)
        if attempts >= self._policy.attempts:
            self._changed(f"{name} failed {attempts} times and was dropped: {error}")
            return True
        delay = self._policy.interval * attempts
        self._attempts[version] = attempts
        self._held_until[version] = self._clock.monotonic() + delay
        self._changed(f"{name} failed, sent again in {delay:.0f} s: {error}")
        return False

    async def _done(self, document: Document) -> None:
        """Marks this version as sent; a newer one under the same key stays unsent."""
        version = document["version"]
        key = (self._box, document["name"])
        await self._storage.commit(Put(LATEST, key, {"sent": version}, version, part="sent"))
        self._attempts.pop(version, None)
        self._held_until.pop(version, None)

    async def _unsent(self) -> list[Document]:
        documents = await self._storage.find(LATEST, {"box": self._box})
        unsent = [d for d in documents if d["version"] != d.get("sent")]
        return sorted(unsent, key=lambda d: int(d["version"]))

    def _due(self, document: Document) -> float:
        return self._held_until.get(document["version"], self._not_before)

    def _pause(self) -> None:
        self._not_before = self._clock.monotonic() + self._backoff.next()
