"""Tags and what is known of them: how they compare, and how they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.clock import Clock
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import IdTagInfo
from ocppgw.storage.base import Collection, Delete, Document, Ensure, Key


def folded(id_tag: str) -> str:
    """What is the same for all spellings of a tag: idTags are case-insensitive, and a
    reader's register may fill them up with blanks."""
    return id_tag.strip().casefold()


def same_tag(one: str, other: str) -> bool:
    """Whether both are spellings of one tag."""
    return folded(one) == folded(other)


def valid_at(info: IdTagInfo, now: datetime) -> bool:
    """Whether a tag of which that was said may charge at that moment."""
    expired = info.expiry_date is not None and info.expiry_date <= now
    return info.status is AuthorizationStatus.ACCEPTED and not expired


def lasting(info: IdTagInfo) -> IdTagInfo:
    """What outlives the moment of what was said: a tag that is in use elsewhere just now
    (ConcurrentTx) is an accepted one (OCPP 1.5, Authorize)."""
    if info.status is not AuthorizationStatus.CONCURRENT_TX:
        return info
    return msgspec.structs.replace(info, status=AuthorizationStatus.ACCEPTED)


class KeptTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag, what was said of it, and when that was written down.

    ``number`` and ``place`` name its document; the higher number is the later one.
    """

    number: int
    place: int
    id_tag: str
    at: datetime
    info: IdTagInfo


class TagStore:
    """Tags in memory and, one document each, in a collection of the box's store.

    A document never changes: a tag of which something else is said gets a new one, and
    the old one goes in the same commit. The box's store does a commit wholly or not at
    all, however many documents it holds.
    """

    def __init__(self, ledger: Ledger, clock: Clock, collection: Collection) -> None:
        self._ledger = ledger
        self._clock = clock
        self._collection = collection
        self._tags: dict[str, KeptTag] = {}

    async def load(self) -> None:
        """Learns what the store holds."""
        where = {"box": self._ledger.box}
        found = await self._ledger.storage.find(self._collection, where)
        self._tags = {folded(d["id_tag"]): msgspec.convert(d, KeptTag) for d in found}

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[KeptTag]:
        return iter(self._tags.values())

    def get(self, id_tag: str) -> KeptTag | None:
        """What is kept of a tag, in whatever spelling."""
        return self._tags.get(folded(id_tag))

    def plan(
        self, plan: Plan, kept: Iterable[tuple[str, IdTagInfo]], gone: Iterable[str] = ()
    ) -> None:
        """Adds to a commit that those tags are kept with what is said of them, and that
        these are not kept any longer."""
        number, now = self._ledger.number(), self._clock.now()
        new = {
            folded(id_tag): KeptTag(number=number, place=place, id_tag=id_tag, at=now, info=info)
            for place, (id_tag, info) in enumerate(kept)
        }
        names = (*new, *(folded(id_tag) for id_tag in gone))
        old = {name: self._tags[name] for name in names if name in self._tags}
        plan.changes.extend(Delete(self._collection, self._key(tag)) for tag in old.values())
        plan.changes.extend(Ensure(self._collection, self._document(tag)) for tag in new.values())
        plan.done.append(lambda: self._apply(old, new))

    def _apply(self, old: Iterable[str], new: dict[str, KeptTag]) -> None:
        for name in old:
            del self._tags[name]
        self._tags.update(new)

    def _key(self, tag: KeptTag) -> Key:
        return (self._ledger.box, tag.number, tag.place)

    def _document(self, tag: KeptTag) -> Document:
        said = msgspec.to_builtins(tag.info, builtin_types=(datetime,))
        return {
            "box": self._ledger.box,
            "number": tag.number,
            "place": tag.place,
            "id_tag": tag.id_tag,
            "at": tag.at,
            "info": {name: value for name, value in said.items() if value is not None},
        }
