"""The tags that the central system has judged, remembered for the time without it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from datetime import timedelta

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import JUDGED_TAGS
from ocppgw.chargepoint.tag_store import TagStore, folded, lasting, valid_at
from ocppgw.clock import Clock
from ocppgw.ocpp.model import IdTagInfo

# The same word said again is written again only after so long: the cache is to know which
# tags are still in use, and the flash card is to last.
FRESH = timedelta(days=1)


class TagCache:
    """Tags learned from the answers to Authorize, StartTransaction and StopTransaction.

    It holds ``longest`` tags at most. Where one too many comes, those go first that may
    not charge any more, then those that the central system was asked for longest ago.
    """

    def __init__(self, ledger: Ledger, clock: Clock, *, longest: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._longest = longest
        self._tags = TagStore(ledger, clock, JUDGED_TAGS, a_document=1)

    def __len__(self) -> int:
        return len(self._tags)

    async def load(self) -> None:
        """Learns from the store what was remembered."""
        await self._tags.load()

    def get(self, id_tag: str) -> IdTagInfo | None:
        """What the central system last said of a tag, expired or not."""
        kept = self._tags.get(id_tag)
        return None if kept is None else kept.info

    def plan_remembered(self, plan: Plan, id_tag: str, info: IdTagInfo) -> None:
        """Adds to a commit what the central system just said of a tag."""
        said, before = lasting(info), self._tags.get(id_tag)
        same = before is not None and before.info == said
        if before is not None and same and abs(self._clock.now() - before.at) < FRESH:
            return
        self._tags.plan(plan, [(id_tag, said)], self._surplus(id_tag))

    def plan_forgotten(self, plan: Plan, id_tags: Iterable[str]) -> None:
        """Adds to a commit that these tags are not remembered any longer."""
        known = [id_tag for id_tag in id_tags if self._tags.get(id_tag) is not None]
        if known:
            self._tags.plan(plan, (), known)

    async def clear(self, *, and_then: Callable[[], None]) -> None:
        """Forgets all; durable when it returns. ``and_then`` is called in the same moment."""

        async def prepare() -> Plan:
            plan = Plan()
            self.plan_forgotten(plan, [name for name, _ in self._tags.items()])
            plan.done.append(and_then)
            return plan

        await self._ledger.write(prepare)

    def _surplus(self, id_tag: str) -> list[str]:
        """The tags that make room for this one."""
        if len(self._tags) < self._longest:
            return []
        others = [(name, tag) for name, tag in self._tags.items() if name != folded(id_tag)]
        surplus = max(0, len(others) + 1 - self._longest)
        now = self._clock.now()
        leaving = heapq.nsmallest(
            surplus, others, key=lambda other: (valid_at(other[1].info, now), other[1].number)
        )
        return [name for name, _ in leaving]
