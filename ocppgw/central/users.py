"""The tags: who may charge."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ocppgw.central.context import AuthorizeContext
from ocppgw.central.schema import USERS
from ocppgw.central.settings import CentralSettings, UserSettings, UserStatus
from ocppgw.clock import Clock
from ocppgw.errors import UserError
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import AuthorizationData, IdTagInfo
from ocppgw.storage.base import Conflict, Document, Insert, Storage, Update

REMEMBERED = 10_000
_OPTIONAL = ("expiryDate", "parentIdTag", "name", "removed")


class Users:
    """Tags of the configuration and of the store, compared without regard to case.

    Stored ones are remembered for ``users_cache`` seconds, unknown ones too.
    """

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        clock: Clock,
        new_commit_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._new_commit_id = new_commit_id
        self._configured = {user.id_tag.casefold(): _document(user) for user in settings.users}
        self._remembered: OrderedDict[str, tuple[float, Document | None]] = OrderedDict()

    async def authorize(self, id_tag: str, context: AuthorizeContext) -> IdTagInfo | None:
        """The built-in authorizer (O-13): ``None`` for a tag that nobody knows."""
        document = await self._find(id_tag.casefold())
        return None if document is None else self._judged(document, context.at)

    def _judged(self, document: Document, now: datetime) -> IdTagInfo:
        expiry: datetime | None = document.get("expiryDate")
        status = document.get("status", UserStatus.ACCEPTED.value)
        if status == UserStatus.BLOCKED.value:
            verdict = AuthorizationStatus.BLOCKED
        elif status == UserStatus.EXPIRED.value or (expiry is not None and expiry <= now):
            verdict = AuthorizationStatus.EXPIRED
        else:
            verdict = AuthorizationStatus.ACCEPTED
            expiry = expiry or now + timedelta(days=self._settings.authorization_days)
        return IdTagInfo(
            status=verdict, expiry_date=expiry, parent_id_tag=document.get("parentIdTag")
        )

    async def _find(self, key: str) -> Document | None:
        configured = self._configured.get(key)
        if configured is not None:
            return configured
        now = self._clock.monotonic()
        remembered = self._remembered.get(key)
        if remembered is not None and remembered[0] > now:
            return remembered[1]
        document = await self._storage.get(USERS, (key,))
        if document is not None and document.get("removed"):
            document = None
        self._remembered[key] = now + self._settings.users_cache, document
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return document

    async def all(self) -> list[Document]:
        """Every user, those of the configuration first; ``configured`` tells them apart."""
        stored = [
            {name: value for name, value in document.items() if name != "idTagKey"}
            for document in await self._storage.find(USERS)
            if not document.get("removed") and document["idTagKey"] not in self._configured
        ]
        configured = [document | {"configured": True} for document in self._configured.values()]
        return configured + stored

    async def local_list(self, now: datetime) -> tuple[AuthorizationData, ...]:
        """Those who may charge, as a station's local list has them (SendLocalList): with
        their parent, and with the expiry date that they have themselves."""
        judged = [(user, self._judged(user, now)) for user in await self.all()]
        return tuple(
            AuthorizationData(
                id_tag=user["idTag"],
                id_tag_info=IdTagInfo(
                    status=info.status,
                    expiry_date=user.get("expiryDate"),
                    parent_id_tag=info.parent_id_tag,
                ),
            )
            for user, info in judged
            if info.status is AuthorizationStatus.ACCEPTED
        )

    async def put(self, user: UserSettings) -> None:
        """Adds a user, or changes the one with that tag; free fields of it stay."""
        key = self._changeable(user.id_tag)
        document = _document(user) | {"idTagKey": key}
        try:
            await self._storage.commit(Insert(USERS, document, self._new_commit_id()))
        except Conflict:
            absent = tuple(name for name in _OPTIONAL if name not in document)
            update = Update(USERS, (key,), document, {}, self._new_commit_id(), absent)
            await self._storage.commit(update)
        self._remembered.pop(key, None)

    async def remove(self, id_tag: str) -> None:
        """From now on the tag is unknown."""
        key = self._changeable(id_tag)
        if await self._find(key) is None:
            raise UserError(f"user {id_tag} is not there; nothing to remove")
        update = Update(USERS, (key,), {"removed": True}, {}, self._new_commit_id())
        await self._storage.commit(update)
        self._remembered.pop(key, None)

    def _changeable(self, id_tag: str) -> str:
        key = id_tag.casefold()
        if key in self._configured:
            raise UserError(
                f"user {id_tag} is listed in the configuration (central_system.users);"
                " change it there"
            )
        return key


def _document(user: UserSettings) -> Document:
    optional: dict[str, Any] = {
        "expiryDate": user.expiry_date,
        "parentIdTag": user.parent_id_tag,
        "name": user.name,
    }
    present = {name: value for name, value in optional.items() if value is not None}
    return {"idTag": user.id_tag, "status": user.status.value} | present
