"""The transaction lane: starts, stops and meter values, durable and in strict order."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

from ocppgw.clock import Clock
from ocppgw.delivery.entry import Entry
from ocppgw.delivery.lane import Lane
from ocppgw.delivery.leftovers import Leftovers, Removal
from ocppgw.delivery.policy import Held, RetryPolicy, Silence, spread
from ocppgw.delivery.queue import Queue
from ocppgw.link.base import Peer, PeerError, Unsayable
from ocppgw.ocpp.model import MeterValuesRequest, Request, Response
from ocppgw.storage.base import Change, Collection, Conflict, Projection, Storage, StorageError

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


class TransactionLane(Lane):
    """Sends one charge box's transaction messages, one after another, oldest first.

    A message is removed in the same commit as what its answer changes, so a crash in
    between sends it again, identical in every field; meter values, whose answer changes
    nothing, with whatever is committed next (:meth:`removal`, :meth:`finish`).

    While the central system is not reached a message waits for ever, and that is no
    attempt; what is answered with a fault or nonsense is tried as :class:`RetryPolicy`
    says, then parked, and the lane goes on; so it does with what alone gets no answer,
    with what cannot be said in the peer's version, and with errors of ours. A store that
    fails is asked again, for as long as it takes.
    """

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = Queue.COLLECTIONS

    def __init__(
        self,
        *,
        box: str,
        storage: Storage,
        clock: Clock,
        peer: Peer,
        book: SessionBook,
        policy: Callable[[], RetryPolicy],
        changed: Callable[[str], None],
        settled: Callable[[Entry], None] = lambda _: None,
        jitter: Callable[[], float] = spread,
    ) -> None:
        """``changed`` is told, in a sentence, what an operator may want to know;
        ``settled`` of each entry, once what its answer or its parking changed is durable."""
        super().__init__(box=box, clock=clock, policy=policy, changed=changed, jitter=jitter)
        self._storage = storage
        self._queue = Queue(box, storage)
        self._leftovers = Leftovers(self._queue)
        self._peer = peer
        self._book = book
        self._told_settled = settled
        self._last: int | None = None
        self._waiting: dict[int, datetime] = {}
        self._cut_off = False
        self._held: Held | None = None
        self._silence = Silence(policy, clock)

    async def load(self) -> None:
        """Learns what the store holds of this box; before the first :meth:`entry`."""
        last = await self._count()
        self._last = max(last, await self._queue.removed())

    def entry(self, session: str, request: Request) -> Projection:
        """A message's place in the queue, as a change for the caller's own commit, so
        that the event and its message are durable together.

        Messages are sent in the order of these calls, if each commit has ended before the
        next message is asked for (of commits at the same time a store may apply the later
        one first). After the commit call :meth:`wake`.
        """
        if self._last is None:
            raise RuntimeError("the lane must be loaded before it takes a message")
        self._last += 1
        entry = Entry(
            box=self._box,
            sequence=self._last,
            session=session,
            request=request,
            queued_at=self._clock.now(),
        )
        self._waiting[entry.sequence] = entry.queued_at
        return self._queue.addition(entry)

    def removal(self) -> Removal:
        """What is answered and still in the store, to go along with a commit of others."""
        return self._leftovers.removal()

    async def finish(self) -> None:
        """Removes what is left so, after :meth:`run` has ended; what a store that is away
        keeps is sent once more in the next life."""
        removal = self.removal()
        try:
            if removal.changes:
                await self._storage.commit(*removal.changes)
                removal.written()
        except StorageError as error:
            log.info("%s: some meter values will be sent again: %s", self._box, error)

    def nudge(self) -> None:
        self._silence.others_heard()
        super().nudge()

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
        answered = self._leftovers.sequences
        most = None if limit is None else limit + len(answered)
        found = await self._queue.waiting(most)
        return [entry for entry in found if entry.sequence not in answered][:limit]

    async def parked(self, limit: int | None = None) -> list[Entry]:
        """The messages that were given up, oldest first."""
        return await self._queue.parked(limit)

    async def send_again(self, sequence: int) -> None:
        """Puts a parked message back in its old place; KeyError if there is none."""
        entry = await self._queue.parked_one(sequence)
        await self._storage.commit(self._queue.return_of(entry))
        self._waiting = dict(sorted({**self._waiting, sequence: entry.queued_at}.items()))
        self._held = None
        self._bell.ring()

    async def discard(self, sequence: int) -> None:
        """Forgets a parked message for good; KeyError if there is none."""
        entry = await self._queue.parked_one(sequence)
        await self._storage.commit(*self._queue.removal(entry))

    # The lane itself

    async def _work(self) -> None:
        answered = self._leftovers.sequences
        heads = await self.waiting(limit=1)
        if not heads:
            self._waiting.clear()
            await self._bell.wait()
            return
        if heads[0].sequence not in self._waiting:  # its commit took longer than a look
            await self._count(answered)
        delay = self._held_for(heads[0])
        if delay > 0:
            await self._bell.wait(delay)
            return
        try:
            await self._transmit(heads[0])
        except StorageError:
            raise
        except Exception as error:
            # Ours, or a book's: the queue must not stand still for it.
            log.exception("%s: message %d cannot be handled", self._box, heads[0].sequence)
            await self._refused(heads[0], f"an error of ours: {error!r}")

    async def _transmit(self, entry: Entry) -> None:
        try:
            request = self._book.addressed(entry.session, entry.request)
            response = await self._peer.call(request, self._policy.deadline)
        except Unsayable as error:
            await self._park(entry, entry.attempts + 1, str(error))
            return
        except PeerError as error:
            if error.delivered:
                self._reached()
                await self._refused(entry, str(error))
            elif error.delivered is None and self._silence.ends_patience(entry.sequence):
                await self._park(entry, entry.attempts, f"others are answered, this never: {error}")
            else:
                self._not_reached(error)
            return
        self._reached()
        changes = self._book.answered(entry, response)
        if changes or not isinstance(entry.request, MeterValuesRequest):
            await self._commit(*changes, *self._queue.removal(entry))
        else:
            self._leftovers.add(entry)
            if self._leftovers.too_many:
                await self._commit()
        self._settled(entry)

    async def _refused(self, entry: Entry, why: str) -> None:
        """A transmission that counts: the message was read, and there is no usable answer."""
        attempts = entry.attempts + 1
        if attempts >= self._policy.attempts:
            await self._park(entry, attempts, why)
            return
        await self._commit(self._queue.attempt(entry, attempts))
        delay = self._policy.interval * attempts
        self._held = Held(entry.sequence, attempts, self._clock.monotonic())
        self._tell(f"{entry.operation} failed, sent again in {delay:.0f} s: {why}")

    async def _park(self, entry: Entry, attempts: int, why: str) -> None:
        parking = self._queue.parking(entry, attempts, why)
        try:
            await self._commit(parking, *self._book.gave_up(entry, why))
        except StorageError:
            raise
        except Exception:
            log.exception("%s: message %d is parked without its changes", self._box, entry.sequence)
            await self._commit(parking)
        self._settled(entry)
        times = f" {attempts} times" if attempts > 1 else ""
        self._tell(f"{entry.operation} failed{times} and was parked: {why}")

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

    def _held_for(self, entry: Entry) -> float:
        """Seconds that a message answered with a fault has still to wait."""
        held = self._held
        if held is None or held.sequence != entry.sequence:
            return 0.0
        return held.until(self._policy) - self._clock.monotonic()

    def _settled(self, entry: Entry) -> None:
        """The head is done; whatever stood before it never came into the store."""
        done = itertools.takewhile(lambda sequence: sequence <= entry.sequence, self._waiting)
        for sequence in tuple(done):
            del self._waiting[sequence]
        try:
            self._told_settled(entry)
        except Exception:
            log.exception("%s: nobody heard that %d is settled", self._box, entry.sequence)

    async def _count(self, answered: frozenset[int] = frozenset()) -> int:
        """Looks what waits, but for what is answered; the last sequence in the store."""
        waiting, last = {}, 0
        async for entry in self._queue.all():
            last = entry.sequence
            if entry.parked_because is None and last not in answered:
                waiting[last] = entry.queued_at
        self._waiting = waiting
        return last

    async def _commit(self, *changes: Change) -> None:
        """Commits for certain, with what is left to remove: a store that is away is asked
        until it is back."""
        told = False
        while True:
            removal = self.removal()
            try:
                await self._storage.commit(*changes, *removal.changes)
            except Conflict:
                raise
            except StorageError as error:
                if not told:
                    told = True
                    self._tell(f"an answer waits for the store: {error}")
                await self._clock.sleep(self._backoff.next())
            else:
                removal.written()
                self._backoff.reset()
                return
