"""Tags and what is known of them: how they compare, and how they are kept."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import TypeAlias, TypeVar

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.clock import Clock
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import IdTagInfo
from ocppgw.storage.base import Collection, Delete, Document, Ensure, Key

ItemT = TypeVar("ItemT")


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


class KeptTag(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tag, what was said of it, and when that was written down.

    The higher ``number`` is the later one.
    """

    number: int
    id_tag: str
    at: datetime
    info: IdTagInfo


# Number and place of a document.
Page: TypeAlias = tuple[int, int]

_tags_of = msgspec.json.Decoder(tuple[KeptTag, ...]).decode


class TagStore:
    """Tags in memory and, some to a document, in a collection of the box's store.

    A document never changes: where something else is said of a tag, or nothing any more,
    those that share its document get a new one, and the old one goes in the same commit.
    The box's store does a commit wholly or not at all. With many tags ``a_document`` ten
    thousand are written before the loop misses a poll; with one, least is written for one.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, collection: Collection, *, a_document: int
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._collection = collection
        self._a_document = a_document
        self._tags: dict[str, KeptTag] = {}
        self._page_of: dict[str, Page] = {}
        self._pages: dict[Page, tuple[str, ...]] = {}

    async def load(self) -> None:
        """Learns what the store holds."""
        where = {"box": self._ledger.box}
        found = await self._ledger.storage.find(self._collection, where)
        self._tags, self._page_of, self._pages = {}, {}, {}
        for document in found:
            tags = {folded(tag.id_tag): tag for tag in _tags_of(document["tags"])}
            self._enter((document["number"], document["place"]), tags)

    def __len__(self) -> int:
        return len(self._tags)

    def items(self) -> ItemsView[str, KeptTag]:
        """All tags, each with its :func:`folded` name."""
        return self._tags.items()

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
            folded(id_tag): KeptTag(number=number, id_tag=id_tag, at=now, info=info)
            for id_tag, info in kept
        }
        leaving = {*new, *(folded(id_tag) for id_tag in gone)} & self._tags.keys()
        old = {self._page_of[name] for name in leaving}
        staying = {name for page in old for name in self._pages[page]} - leaving
        tags = {**{name: self._tags[name] for name in sorted(staying)}, **new}
        pages = {
            (number, place): dict(part)
            for place, part in enumerate(_batched(tags.items(), self._a_document))
        }
        plan.changes.extend(Delete(self._collection, self._key(page)) for page in old)
        plan.changes.extend(
            Ensure(self._collection, self._document(page, part)) for page, part in pages.items()
        )
        plan.done.append(lambda: self._turn(old, pages))

    def _turn(self, old: Iterable[Page], new: Mapping[Page, dict[str, KeptTag]]) -> None:
        """What :meth:`plan` planned is durable."""
        for page in old:
            for name in self._pages.pop(page):
                del self._tags[name], self._page_of[name]
        for page, tags in new.items():
            self._enter(page, tags)

    def _enter(self, page: Page, tags: dict[str, KeptTag]) -> None:
        self._pages[page] = tuple(tags)
        self._tags.update(tags)
        self._page_of.update(dict.fromkeys(tags, page))

    def _key(self, page: Page) -> Key:
        return (self._ledger.box, *page)

    def _document(self, page: Page, tags: dict[str, KeptTag]) -> Document:
        number, place = page
        text = msgspec.json.encode(tuple(tags.values())).decode()
        return {"box": self._ledger.box, "number": number, "place": place, "tags": text}


def _batched(items: Iterable[ItemT], size: int) -> Iterator[tuple[ItemT, ...]]:
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch
