"""The transaction lane: starts, stops and meter values, durable and in strict order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

from ocppgw.clock import Clock
from ocppgw.delivery.entry import (
    PARKED,
    QUEUE,
    QUEUE_MARK,
    WAITING,
    Entry,
    entry_document,
    entry_of,
)
from ocppgw.delivery.policy import Backoff, Bell, RetryPolicy, spread
from ocppgw.link.base import Peer, PeerError, Unsayable
from ocppgw.ocpp.model import Request, Response
from ocppgw.storage.base import (
    Change,
    Collection,
    Conflict,
    Delete,
    Document,
    Ensure,
    Projection,
    Put,
    Storage,
    StorageError,
    Update,
)

log = logging.getLogger(__name__)


class SessionBook(Protocol):
    """What the charge box knows of its sessions; the lane asks and tells.

    All three are plain calls that change nothing but memory. What they return is
    committed by the lane, and may be asked for again after a crash: the same question
    must get the same answer.
    """

    def addressed(self, session: str, request: Request) -> Request:
        """The request as it goes out, with the session's transaction id filled in;
        -1 only when none will ever come."""

    def answered(self, entry: Entry, response: Response) -> Sequence[Projection]:
        """Changes to commit together with the entry's removal."""

    def gave_up(self, entry: Entry, why: str) -> Sequence[Projection]:
        """Changes to commit together with the entry's parking, after the last attempt."""


class TransactionLane:
    """Sends one charge box's transaction messages, one after another, oldest first.

    A message is removed in the same commit as what its answer changes, so a crash in
    between sends it again, identical in every field. What does not reach the central
    system waits for ever and is no attempt; what is answered with a fault or nonsense
    is tried as :class:`RetryPolicy` says, then parked, and the lane goes on. A store
    that fails is asked again; the lane never ends by itself.

    Life: :meth:`load` after the start, then :meth:`run` in a task, cancelled at the end.
    """

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = (QUEUE, QUEUE_MARK)

    def __init__(
        self,
        *,
        box: str,
        storage: Storage,
        clock: Clock,
        peer: Peer,
        book: SessionBook,
        policy: RetryPolicy,
        changed: Callable[[str], None],
        settled: Callable[[Entry], None] = lambda _: None,
        jitter: Callable[[], float] = spread,
    ) -> None:
        """``changed`` is told, in a sentence, what an operator may want to know;
        ``settled`` of each entry, once what its answer or its parking changed is durable."""
        self._box = box
        self._storage = storage
        self._clock = clock
        self._peer = peer
        self._book = book
        self._policy = policy
        self._changed = changed
        self._told_settled = settled
        self._backoff = Backoff(policy, jitter)
        self._bell = Bell(clock)
        self._open = False
        self._last = 0
        self._waiting: dict[int, datetime] = {}
        self._cut_off = False
        self._not_before = clock.monotonic()
        self._held: tuple[int, float] | None = None

    # What the charge box calls

    async def load(self) -> None:
        """Learns what the store holds of this box; before the first :meth:`entry`."""
        mark = await self._storage.get(QUEUE_MARK, (self._box,))
        self._last = mark["last"] if mark else 0
        for document in await self._storage.find(QUEUE, {"box": self._box}):
            self._last = max(self._last, document["sequence"])
            if document["state"] == WAITING:
                self._waiting[document["sequence"]] = document["queued_at"]

    def entry(self, session: str, request: Request) -> Projection:
        """A message's place in the queue, as a change for the caller's own commit, so
        that the event and its message are durable together.

        Messages are sent in the order of these calls. Commit without awaiting
        anything else first, then call :meth:`wake`.
        """
        self._last += 1
        entry = Entry(
            box=self._box,
            sequence=self._last,
            session=session,
            request=request,
            queued_at=self._clock.now(),
        )
        self._waiting[entry.sequence] = entry.queued_at
        return Ensure(QUEUE, entry_document(entry))

    def wake(self) -> None:
        """An entry was committed."""
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

    # What an operator sees and does

    @property
    def pending(self) -> int:
        """How many messages wait, parked ones not counted."""
        return len(self._waiting)

    @property
    def oldest(self) -> datetime | None:
        """When the message that waits longest was made."""
        return next(iter(self._waiting.values()), None)

    async def waiting(self, limit: int | None = None) -> list[Entry]:
        """The messages that wait, oldest first."""
        return await self._entries(WAITING, limit)

    async def parked(self, limit: int | None = None) -> list[Entry]:
        """The messages that were given up, oldest first."""
        return await self._entries(PARKED, limit)

    async def send_again(self, sequence: int) -> None:
        """Puts a parked message back in its old place; KeyError if there is none."""
        entry = await self._parked_entry(sequence)
        await self._storage.commit(
            self._update(entry, {"state": WAITING, "attempts": 0}, remove=("parked_because",))
        )
        self._waiting = dict(sorted({**self._waiting, sequence: entry.queued_at}.items()))
        self._bell.ring()

    async def discard(self, sequence: int) -> None:
        """Forgets a parked message for good; KeyError if there is none."""
        entry = await self._parked_entry(sequence)
        await self._storage.commit(*self._removal(entry))

    # The lane itself

    async def run(self) -> None:
        """Sends what there is until cancelled."""
        while True:
            self._bell.hush()
            try:
                await self._turn()
            except StorageError as error:
                self._tell(f"the store failed, the lane tries again: {error}")
                self._pause()
            except Exception:
                log.exception("%s: the transaction lane stumbled and tries again", self._box)
                self._pause()

    async def _turn(self) -> None:
        """One look at the queue: sends its head, or waits until that makes sense."""
        if not self._open:
            await self._bell.wait()
            return
        delay = self._not_before - self._clock.monotonic()
        if delay > 0:
            await self._bell.wait(delay)
            return
        waiting = await self.waiting(limit=1)
        if not waiting:
            self._waiting.clear()
            await self._bell.wait()
            return
        delay = self._held_for(waiting[0])
        if delay > 0:
            await self._bell.wait(delay)
            return
        await self._transmit(waiting[0])

    async def _transmit(self, entry: Entry) -> None:
        try:
            request = self._book.addressed(entry.session, entry.request)
            response = await self._peer.call(request, self._policy.deadline)
        except PeerError as error:
            if error.delivered or isinstance(error, Unsayable):
                await self._refused(entry, str(error))
            else:
                self._not_reached(error)
            return
        self._reached()
        changes = self._book.answered(entry, response)
        await self._commit(*changes, *self._removal(entry))
        self._settled(entry)

    async def _refused(self, entry: Entry, why: str) -> None:
        """The central system read the message and gave no answer that can be used."""
        self._reached()
        attempts = entry.attempts + 1
        if attempts < self._policy.attempts:
            await self._commit(self._update(entry, {"attempts": attempts}))
            delay = self._policy.interval * attempts
            self._held = (entry.sequence, self._clock.monotonic() + delay)
            self._tell(f"{entry.operation} failed, sent again in {delay:.0f} s: {why}")
            return
        changes = self._book.gave_up(entry, why)
        parking = {"state": PARKED, "attempts": attempts, "parked_because": why}
        await self._commit(self._update(entry, parking), *changes)
        self._settled(entry)
        self._tell(f"{entry.operation} failed {attempts} times and was parked: {why}")

    def _not_reached(self, error: PeerError) -> None:
        if not self._cut_off:
            self._cut_off = True
            self._tell(f"{self.pending} messages wait: {error}")
        self._pause()

    def _reached(self) -> None:
        self._backoff.reset()
        if self._cut_off:
            self._cut_off = False
            self._tell(f"the central system is reached again, {self.pending} messages to send")

    def _pause(self) -> None:
        self._not_before = self._clock.monotonic() + self._backoff.next()

    def _held_for(self, entry: Entry) -> float:
        """Seconds that a message answered with a fault has still to wait."""
        if self._held is None or self._held[0] != entry.sequence:
            return 0.0
        return self._held[1] - self._clock.monotonic()

    def _settled(self, entry: Entry) -> None:
        """The head is done; whatever stood before it never came into the store."""
        for earlier in [s for s in self._waiting if s <= entry.sequence]:
            del self._waiting[earlier]
        self._told_settled(entry)

    def _tell(self, what: str) -> None:
        log.warning("%s: %s", self._box, what)
        self._changed(what)

    # The store

    async def _commit(self, *changes: Change) -> None:
        """Commits for certain: a store that is away is asked until it is back."""
        told = False
        while True:
            try:
                await self._storage.commit(*changes)
            except Conflict:
                raise
            except StorageError as error:
                if not told:
                    told = True
                    self._tell(f"an answer waits for the store: {error}")
                await self._clock.sleep(self._backoff.next())
            else:
                return

    async def _entries(self, state: str, limit: int | None) -> list[Entry]:
        where = {"box": self._box, "state": state}
        return [entry_of(d) for d in await self._storage.find(QUEUE, where, limit=limit)]

    async def _parked_entry(self, sequence: int) -> Entry:
        document = await self._storage.get(QUEUE, (self._box, sequence))
        if document is None or document["state"] != PARKED:
            raise KeyError(f"no parked message {sequence} of {self._box}")
        return entry_of(document)

    def _update(self, entry: Entry, fields: Document, remove: tuple[str, ...] = ()) -> Update:
        """A change of the entry as it was read: whoever else changed it meanwhile wins."""
        revision = entry.revision + 1
        return Update(
            QUEUE,
            (entry.box, entry.sequence),
            {**fields, "revision": revision},
            expect={"revision": entry.revision},
            commit_id=f"{entry.box}/{entry.sequence}/{revision}",
            remove=remove,
        )

    def _removal(self, entry: Entry) -> tuple[Projection, Projection]:
        """The mark goes first: a sequence must not come again when the entry is gone."""
        mark = Put(QUEUE_MARK, (entry.box,), {"last": entry.sequence}, version=entry.sequence)
        return mark, Delete(QUEUE, (entry.box, entry.sequence))
