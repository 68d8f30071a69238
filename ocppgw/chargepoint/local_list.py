"""The local authorization list that the central system sends (O-26, O-32, O-38)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import LISTED_TAGS, LOCAL_LISTS
from ocppgw.chargepoint.tag_store import TagStore, folded, lasting
from ocppgw.clock import Clock
from ocppgw.ocpp.enums import UpdateStatus, UpdateType
from ocppgw.ocpp.model import AuthorizationData, IdTagInfo, SendLocalListRequest
from ocppgw.storage.base import Put, StorageError

TAGS_A_DOCUMENT = 100
# Tags of one SendLocalList that surely fit the default limit of a request's body.
SENT_AT_ONCE = 10_000


class NotTaken(Exception):
    """An update that the list cannot take; the message is one sentence, and its first 38
    characters tell an operator enough."""

    def __init__(self, status: UpdateStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class LocalList:
    """What SendLocalList brought, tag by tag; tags compare without regard to case.

    An update is one commit and is taken whole or not at all. Only what changes is written:
    a nightly full list that brings nothing new costs next to nothing. ``listed`` may add
    to that commit; it is given the tags of the update.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        longest: int,
        listed: Callable[[Plan, Iterable[str]], None],
    ) -> None:
        self._ledger = ledger
        self._longest = longest
        self._listed = listed
        self._tags = TagStore(ledger, clock, LISTED_TAGS, a_document=TAGS_A_DOCUMENT)
        self._version = 0

    @property
    def version(self) -> int:
        """The version that the last update gave the list; 0 says that it is empty."""
        return self._version if len(self._tags) else 0

    def __len__(self) -> int:
        return len(self._tags)

    async def load(self) -> None:
        """Learns the list from the store."""
        head = await self._ledger.storage.get(LOCAL_LISTS, (self._ledger.box,))
        self._version = 0 if head is None else head["list_version"]
        await self._tags.load()

    def get(self, id_tag: str) -> IdTagInfo | None:
        """What the list says of a tag, expired or not; ``None`` if it is not listed."""
        kept = self._tags.get(id_tag)
        return None if kept is None else kept.info

    async def update(self, request: SendLocalListRequest) -> None:
        """Takes a full or differential list, whole or not at all; durable when it returns.

        A full list is always taken, whatever its version, a differential one only with a
        higher version. The hash is not looked at: 1.5 does not say what it is made of.
        Raises :class:`NotTaken`; the list stays as it is then.
        """

        async def prepare() -> Plan | None:
            _check(request, self.version)
            return self._planned(request)

        try:
            await self._ledger.write(prepare)
        except StorageError as error:
            raise NotTaken(UpdateStatus.FAILED, f"the store cannot write: {error}") from error

    def _planned(self, request: SendLocalListRequest) -> Plan | None:
        """The commit that makes the list what the update wants; ``None`` if it is that."""
        sent = {folded(entry.id_tag): entry for entry in request.local_authorization_list}
        here = {name: tag.info for name, tag in self._tags.items()}
        said = {
            name: lasting(entry.id_tag_info)
            for name, entry in sent.items()
            if entry.id_tag_info is not None
        }
        full = request.update_type is UpdateType.FULL
        gone = [name for name in here if name not in said and (full or name in sent)]
        new = {name: info for name, info in said.items() if here.get(name) != info}
        size = len(here.keys() | said.keys()) - len(gone)
        if size > self._longest:
            why = f"it would hold {size} tags, it holds {self._longest} at most"
            raise NotTaken(UpdateStatus.FAILED, why)
        if not new and not gone and request.list_version == self._version:
            return None
        plan = Plan()
        self._tags.plan(plan, ((sent[name].id_tag, new[name]) for name in new), gone)
        self._plan_version(plan, request.list_version)
        self._listed(plan, sent)
        return plan

    def _plan_version(self, plan: Plan, version: int) -> None:
        key, fields = (self._ledger.box,), {"list_version": version}
        plan.changes.append(Put(LOCAL_LISTS, key, fields, version=self._ledger.number()))
        plan.done.append(lambda: self._has_version(version))

    def _has_version(self, version: int) -> None:
        self._version = version


def _check(request: SendLocalListRequest, version: int) -> None:
    """Raises :class:`NotTaken` for an update that a list of that version cannot take."""
    kind = request.update_type
    if not isinstance(kind, UpdateType):
        why = f"updateType is {kind.value!r}, expected Full or Differential"
        raise NotTaken(UpdateStatus.NOT_SUPPORTED, why)
    if request.list_version < 1:
        why = f"listVersion is {request.list_version}, expected 1 or more"
        raise NotTaken(UpdateStatus.FAILED, why)
    if kind is UpdateType.DIFFERENTIAL and request.list_version <= version:
        why = f"it has version {version}, got a differential update to {request.list_version}"
        raise NotTaken(UpdateStatus.VERSION_MISMATCH, f"{why}; send a higher one, or a full list")
    _check_tags(request.local_authorization_list, informed=kind is UpdateType.FULL)


def _check_tags(sent: Sequence[AuthorizationData], *, informed: bool) -> None:
    """``informed``: something must be said of each tag."""
    seen: set[str] = set()
    for entry in sent:
        name = folded(entry.id_tag)
        if not name:
            raise NotTaken(UpdateStatus.FAILED, "an idTag of the update is empty")
        if name in seen:
            raise NotTaken(UpdateStatus.FAILED, f"idTag {entry.id_tag} stands in it twice")
        if informed and entry.id_tag_info is None:
            why = f"idTag {entry.id_tag} is without idTagInfo, which a full list must have"
            raise NotTaken(UpdateStatus.FAILED, why)
        seen.add(name)
