"""The latest-only lane: of each kind of message only the newest is worth sending."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

import msgspec

from ocppgw.clock import Clock
from ocppgw.delivery.entry import message_fields, message_of, operation_name
from ocppgw.delivery.lane import Lane
from ocppgw.delivery.policy import RetryPolicy, spread
from ocppgw.link.base import Peer, PeerError, Unsayable
from ocppgw.ocpp.model import Request
from ocppgw.storage.base import Collection, Document, Projection, Put, Storage, StorageError

log = logging.getLogger(__name__)

# A document stays when its message was sent, and bears the version that was.
LATEST = Collection("box_latest", ("box", "name"))


class _Trials(msgspec.Struct):
    """What became of the transmissions of one version under a name, in this life."""

    version: int
    refused: int = 0
    unanswered: int = 0
    refused_at: float = 0.0


class LatestLane(Lane):
    """Sends the newest message under each name once, when the central system is reached.

    For status, availability, firmware and diagnostics notifications: an older message
    under the same name falls away unsent. One that is answered with a fault or nonsense
    is tried as :class:`RetryPolicy` says without holding up the others, then dropped. One
    that gets no answer is sent after the others, again and again.
    """

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = (LATEST,)

    def __init__(
        self,
        *,
        box: str,
        storage: Storage,
        clock: Clock,
        peer: Peer,
        policy: Callable[[], RetryPolicy],
        changed: Callable[[str], None],
        jitter: Callable[[], float] = spread,
    ) -> None:
        """``changed`` is told, in a sentence, what an operator may want to know."""
        super().__init__(box=box, clock=clock, policy=policy, changed=changed, jitter=jitter)
        self._storage = storage
        self._peer = peer
        self._version: int | None = None
        self._trials: dict[str, _Trials] = {}

    async def load(self) -> None:
        """Learns what the store holds of this box; before the first :meth:`put`."""
        documents = await self._storage.find(LATEST, {"box": self._box})
        self._version = max((d["version"] for d in documents), default=0)

    def put(self, key: str, request: Request) -> Projection:
        """The newest message under that key ("status.1"), as a change for the caller's
        own commit; then call :meth:`wake`."""
        if self._version is None:
            raise RuntimeError("the lane must be loaded before it takes a message")
        self._version += 1
        fields = {**message_fields(request), "version": self._version}
        return Put(LATEST, (self._box, key), fields, version=self._version)

    async def unsent(self) -> dict[str, Request]:
        """What is still to be sent, by key, oldest first."""
        return {document["name"]: message_of(document) for document in await self._unsent()}

    async def _work(self) -> None:
        now = self._clock.monotonic()
        unsent = await self._unsent()
        due = [document for document in unsent if self._due(document) <= now]
        if due:
            # A message that is never answered must not keep the others from their turn.
            await self._attempt(min(due, key=lambda d: self._trials_of(d).unanswered))
        elif unsent:
            await self._bell.wait(min(map(self._due, unsent)) - now)
        else:
            await self._bell.wait()

    async def _attempt(self, document: Document) -> None:
        try:
            await self._transmit(document)
        except StorageError:
            raise
        except Exception as error:
            # Ours: the other messages must not stand still for it.
            log.exception("%s: %s cannot be handled", self._box, document["name"])
            why = f"an error of ours: {error!r}"
            if self._drops(self._trials_of(document), document["operation"], why):
                await self._done(document)

    async def _transmit(self, document: Document) -> None:
        request = message_of(document)
        try:
            await self._peer.call(request, self._policy.deadline)
        except Unsayable as error:
            self._tell(f"{operation_name(request)} was dropped: {error}")
        except PeerError as error:
            if not error.delivered:
                if error.delivered is None:
                    self._trials_of(document).unanswered += 1
                self._pause()
                return
            name = operation_name(request)
            if not self._drops(self._trials_of(document), name, str(error)):
                return
        self._backoff.reset()
        await self._done(document)

    def _drops(self, trials: _Trials, name: str, why: str) -> bool:
        """Counts a failed attempt; whether that was the last."""
        trials.refused += 1
        if trials.refused >= self._policy.attempts:
            self._tell(f"{name} failed {trials.refused} times and was dropped: {why}")
            return True
        delay = self._policy.interval * trials.refused
        trials.refused_at = self._clock.monotonic()
        self._tell(f"{name} failed, sent again in {delay:.0f} s: {why}")
        return False

    async def _done(self, document: Document) -> None:
        """Marks this version as sent; a newer one under the same key stays unsent."""
        name, version = document["name"], document["version"]
        key = (self._box, name)
        await self._storage.commit(Put(LATEST, key, {"sent": version}, version, part="sent"))
        self._trials.pop(name, None)

    async def _unsent(self) -> list[Document]:
        documents = await self._storage.find(LATEST, {"box": self._box})
        unsent = [d for d in documents if d["version"] != d.get("sent")]
        return sorted(unsent, key=lambda d: int(d["version"]))

    def _due(self, document: Document) -> float:
        trials = self._trials_of(document)
        if not trials.refused:
            return self._not_before
        return trials.refused_at + self._policy.interval * trials.refused

    def _trials_of(self, document: Document) -> _Trials:
        name, version = document["name"], document["version"]
        trials = self._trials.get(name)
        if trials is None or trials.version != version:
            trials = self._trials[name] = _Trials(version)
        return trials
