"""The hand-shake that the PLC begins, as a table and as the identity of its events.

Four phases, each visible in the registers: request up, acknowledge up, request down,
acknowledge down. The driver keeps one durable note for each hand-shake: the id of the
event it has taken and not yet seen the request go down for. What to do next follows
from the note and the registers alone, so a driver that was killed anywhere goes on
where the PLC stands. Pure functions; the doing is in :mod:`ocppgw_modbus.events`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from ocppgw_modbus.spec import EventKind


class Act(Enum):
    """What is to be done next."""

    NOTHING = "nothing"
    FETCH = "read the event's fields, then decide"
    RAISE = "write acknowledge up"
    FORGET = "remove the note durably, then write acknowledge down"
    LOWER = "write acknowledge down"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One poll of a hand-shake; ``sequence`` is ``None`` without such a register."""

    request: bool
    acknowledge: bool
    sequence: int | None = None


class EventId(msgspec.Struct, frozen=True, kw_only=True):
    """What an event's id is made of, and its text.

    ``epoch`` keeps numbers apart that a restarted PLC gives a second time;
    ``fingerprint`` is a hash of the event's fields. Without a sequence register both are
    empty and ``epoch`` is fresh for each event.
    """

    key: str
    epoch: str
    sequence: int | None = None
    fingerprint: str = ""

    def __str__(self) -> str:
        if self.sequence is None:
            return f"{self.key}:{self.epoch}"
        return f"{self.key}:{self.epoch}:{self.sequence}:{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """The parts of an id made by this module."""
        key, epoch, *rest = text.split(":")
        if len(rest) != 2:
            return cls(key=key, epoch=epoch)
        return cls(key=key, epoch=epoch, sequence=int(rest[0]), fingerprint=rest[1])


def next_act(note: EventId | None, seen: Seen, *, verified: bool) -> Act:
    """What the note and the registers ask for.

    ``verified`` says that the request that is up has been compared with the note since
    the connection was made.
    """
    if note is None:
        if seen.request:
            return Act.FETCH
        return Act.LOWER if seen.acknowledge else Act.NOTHING
    if not seen.request:
        return Act.FORGET
    if note.sequence is not None and (not verified or seen.sequence != note.sequence):
        return Act.FETCH
    return Act.NOTHING if seen.acknowledge else Act.RAISE


def fingerprint(fields: Mapping[str, object]) -> str:
    """A short hash of an event's fields."""
    text = "\n".join(f"{name}={fields[name]!r}" for name in sorted(fields))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identify(
    key: str,
    kind: EventKind,
    *,
    sequence: int | None,
    fields: Mapping[str, object],
    note: EventId | None,
    last: EventId | None,
    went_on: bool,
    fresh: Callable[[], str],
) -> EventId:
    """The id of the event whose request is up.

    It is the noted one if nothing differs. A start or stop with the number and fields of
    the last one that was finished is that one again (a PLC that lost power before it
    remembered the acknowledge), unless the connector ``went_on``: after the session's
    stop a start begins another session, and after a start a stop ends that one, even if
    the PLC's numbers began again and its meter stands still. A tag is a new one always: to
    ask twice does no harm, to swallow a customer's tag does. A number that went back
    begins a new epoch.
    """
    if sequence is None:
        return note or EventId(key=key, epoch=fresh())
    mark = fingerprint(fields)
    for known in (note, last):
        if known is None or (known.sequence, known.fingerprint) != (sequence, mark):
            continue
        if known is note or not (went_on or kind is EventKind.TAG):
            return known
    ahead = last is not None and last.sequence is not None and sequence - last.sequence > 0
    epoch = last.epoch if last is not None and ahead else fresh()
    return EventId(key=key, epoch=epoch, sequence=sequence, fingerprint=mark)
