"""What this station itself knows of a tag: the local list first, then the cache (O-32)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.local_list import LocalList
from ocppgw.chargepoint.tag_cache import TagCache
from ocppgw.chargepoint.tag_store import folded, lasting, valid_at
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.model import IdTagInfo
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)

STORE_RETRY = 1.0


class NotCleared(Exception):
    """Why the cache is not cleared, in a few words."""


class KnownTag(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tag here; ``valid``: it may charge, by that, at this moment."""

    info: IdTagInfo
    listed: bool
    valid: bool


class Tags:
    """The local list and the cache as one, as far as the configuration keys let them count.

    A tag of the local list is not in the cache: what the list says of it holds. While
    AuthorizationCacheEnabled is false nothing is remembered, and what the central system
    judges anew is forgotten.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        keys: Callable[[], Keys],
        local_list_length: int,
        cache_length: int,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._keys = keys
        self.cache = TagCache(ledger, clock, longest=cache_length)
        self.local_list = LocalList(
            ledger, clock, longest=local_list_length, listed=self.cache.plan_forgotten
        )
        self._said: dict[str, tuple[str, IdTagInfo]] = {}
        self._bell = Bell(clock)

    async def load(self) -> None:
        """Learns what the life before left in the store."""
        await self.local_list.load()
        await self.cache.load()

    def find(self, id_tag: str) -> KnownTag | None:
        """What is known of a tag here, in whatever spelling."""
        keys = self._keys()
        listed = self.local_list.get(id_tag) if keys.local_list_enabled else None
        info = listed
        if info is None and keys.cache_enabled:
            info = self.cache.get(id_tag)
        if info is None:
            return None
        return KnownTag(info=info, listed=listed is not None, valid=self._valid(info))

    def parent_of(self, id_tag: str) -> str | None:
        """The parent tag, as far as it is known here."""
        known = self.find(id_tag)
        return None if known is None else known.info.parent_id_tag

    def _valid(self, info: IdTagInfo) -> bool:
        return valid_at(info, self._clock.now())

    # What the central system says of tags

    def said(self, id_tag: str, info: IdTagInfo) -> None:
        """The central system said that of a tag; it is remembered soon."""
        known = self.find(id_tag)
        if known is not None and known.listed and known.valid != self._valid(lasting(info)):
            listed, said = known.info.status.value, info.status.value
            what = f"the local list says {listed} of tag {id_tag}, the central system {said}"
            log.warning("%s: %s; the list should be sent anew", self._ledger.box, what)
        self._said[folded(id_tag)] = (id_tag, info)
        self._bell.ring()

    def plan_said(self, plan: Plan, id_tag: str, info: IdTagInfo) -> None:
        """Adds to a commit what is to be remembered of that."""
        keys = self._keys()
        listed = keys.local_list_enabled and self.local_list.get(id_tag) is not None
        if keys.cache_enabled and not listed:
            self.cache.plan_remembered(plan, id_tag, info)
        else:
            self.cache.plan_forgotten(plan, [id_tag])

    async def clear_cache(self) -> None:
        """Does what ClearCache asks, or raises :class:`NotCleared`. The local list stays: it
        is the central system's to change with SendLocalList. (The original dropped it,
        O-38; the specification's cache is what the station has learned.)"""
        if not self._keys().cache_enabled:
            raise NotCleared("AuthorizationCacheEnabled is false")
        try:
            await self.cache.clear(and_then=self._said.clear)
        except StorageError as error:
            raise NotCleared(f"the store cannot write: {error}") from error

    async def run(self) -> None:
        """Writes down what the central system says of tags."""
        while True:
            self._bell.hush()
            if not self._said:
                await self._bell.wait()
                continue
            try:
                await self._ledger.write(self._prepare)
            except StorageError as error:
                log.warning("%s: a tag is not remembered yet: %s", self._ledger.box, error)
                await self._clock.sleep(STORE_RETRY)

    async def _prepare(self) -> Plan | None:
        """One tag a commit, so that each is planned from what the last one left."""
        if not self._said:
            return None
        name, (id_tag, info) = next(iter(self._said.items()))
        plan = Plan()
        self.plan_said(plan, id_tag, info)
        plan.done.append(lambda: self._done(name, info))
        return plan

    def _done(self, name: str, info: IdTagInfo) -> None:
        """Unless something else was said of it meanwhile."""
        if name in self._said and self._said[name][1] is info:
            del self._said[name]
