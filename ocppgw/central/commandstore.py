"""What is stored of commands that may wait: each step guarded, so that it is made once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ocppgw.central.command import CommandState, PendingCommand
from ocppgw.central.schema import PENDING
from ocppgw.central.seldom import Seldom
from ocppgw.clock import Clock
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, by_request
from ocppgw.storage.base import (
    ABSENT,
    Conflict,
    Document,
    Insert,
    Projection,
    Put,
    Storage,
    StorageError,
    Update,
)

LOG = logging.getLogger(__name__)

RETRY = 1.0  # seconds between tries to store what became of a command

_encode = msgspec.json.Encoder().encode


class CommandStore:
    """Commands as documents. A command that is sent, or may have been, has an attempt's
    number; what became of it is stored for that attempt alone."""

    def __init__(
        self, storage: Storage, clock: Clock, seldom: Seldom, new_commit_id: Callable[[], str]
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._seldom = seldom
        self._new_commit_id = new_commit_id

    # Looking

    async def get(self, number: int) -> Document | None:
        """The command of that number."""
        return await self._storage.get(PENDING, (number,))

    async def open(self, identity: str | None = None) -> list[Document]:
        """The commands that have not ended, of one station or all, in the order of acceptance."""
        where: dict[str, Any] = {"endedAt": ABSENT}
        if identity is not None:
            where["chargeBoxIdentity"] = identity
        found = await self._storage.find(PENDING, where)
        return sorted(found, key=lambda document: (document["acceptedAt"], document["number"]))

    async def newest(self, identity: str | None, limit: int) -> list[PendingCommand]:
        """The newest commands first, of one station or all, whatever became of them."""
        found = await self._storage.find(
            PENDING,
            {} if identity is None else {"chargeBoxIdentity": identity},
            order_by="acceptedAt",
            descending=True,
            limit=limit,
        )
        return [PendingCommand.of(document) for document in found]

    # A command's life

    async def accept(
        self, identity: str, request: Request, keep: timedelta, by: str | None
    ) -> Document:
        """Stores a new command that waits."""
        now = self._clock.now()
        document: Document = {
            "number": await self._storage.next_number("pending"),
            "chargeBoxIdentity": identity,
            "operation": by_request(Direction.TO_CHARGE_POINT, type(request)).name,
            "request": _encode(request).decode(),
            "acceptedAt": now,
            "until": now + keep,
            "state": CommandState.WAITING.value,
            "attempts": 0,
        }
        if by is not None:
            document["by"] = by
        await self._storage.commit(Insert(PENDING, document, self._new_commit_id()))
        return document

    async def claim(self, document: Document, until: datetime) -> Document:
        """Takes a waiting command for one attempt, which is over by then; raises Conflict if
        it does not wait any more."""
        fields: Document = {
            "state": CommandState.SENDING.value,
            "attempts": document["attempts"] + 1,
            "triedAt": self._clock.now(),
            "sendingUntil": until,
        }
        expect = {"state": CommandState.WAITING.value, "attempts": document["attempts"]}
        await self._storage.commit(self._update(document, fields, expect))
        return document | fields

    async def end(self, document: Document, state: CommandState, reason: str = "") -> None:
        """Ends a command that is as it was when it was looked at; raises Conflict."""
        fields: Document = {"state": state.value, "endedAt": self._clock.now()}
        if reason:
            fields["reason"] = reason
        expect = {"state": document["state"], "attempts": document["attempts"]}
        await self._storage.commit(self._update(document, fields, expect, ("sendingUntil",)))

    # What became of an attempt: stored however long the store is away

    async def answered(self, document: Document, state: CommandState, response: Response) -> None:
        """The station answered."""
        await self._finish(document, {"response": _encode(response).decode()}, state, ("reason",))

    async def unanswered(self, document: Document, state: CommandState, reason: str) -> None:
        """It will not be sent again, for that reason."""
        await self._finish(document, {"reason": reason}, state)

    async def not_sent(self, document: Document, reason: str) -> None:
        """It certainly did not get through, and waits on."""
        fields = {"state": CommandState.WAITING.value, "reason": reason}
        expect = {"state": CommandState.SENDING.value, "attempts": document["attempts"]}
        await self._store(self._update(document, fields, expect, ("sendingUntil",)))

    async def explain(self, document: Document, why: str) -> None:
        """Adds why the station refused."""
        key, fields = (document["number"],), {"reason": why}
        await self._store(Put(PENDING, key, fields, document["attempts"], "reason"))

    async def _finish(
        self,
        document: Document,
        fields: Document,
        state: CommandState,
        remove: tuple[str, ...] = (),
    ) -> None:
        """The answer is stored even where the attempt was given up before, as unknown."""
        fields = fields | {"state": state.value, "endedAt": self._clock.now()}
        expect = {"attempts": document["attempts"]}
        await self._store(self._update(document, fields, expect, ("sendingUntil", *remove)))

    async def _store(self, change: Update | Projection) -> None:
        while True:
            try:
                await self._storage.commit(change)
            except Conflict:
                return  # given up as unknown meanwhile: it is not sent again for that
            except StorageError as e:
                if self._seldom("pending"):
                    LOG.warning("what became of a command is stored later: %s", e)
                await self._clock.sleep(RETRY)
            else:
                return

    def _update(
        self, document: Document, fields: Document, expect: Document, remove: tuple[str, ...] = ()
    ) -> Update:
        key = (document["number"],)
        return Update(PENDING, key, fields, expect, self._new_commit_id(), remove)
