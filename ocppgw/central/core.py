"""What the parts of the central system share, and what the built-in handlers work with."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ocppgw.central.context import AuthorizeContext
from ocppgw.central.later import Later
from ocppgw.central.running import RunningTransactions
from ocppgw.central.schema import CONNECTOR
from ocppgw.central.seldom import Seldom
from ocppgw.central.settings import CentralSettings
from ocppgw.central.stations import Stations
from ocppgw.central.stops import Stops
from ocppgw.central.transactions import Transactions
from ocppgw.central.users import Users
from ocppgw.central.zombies import Zombies
from ocppgw.clock import Clock
from ocppgw.observe import Observed, StateChange
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import IdTagInfo
from ocppgw.storage.base import Document, Put, Storage, StorageError

LOG = logging.getLogger(__name__)

Authorizer: TypeAlias = Callable[[str, AuthorizeContext], Awaitable[IdTagInfo | None]]

INVALID = IdTagInfo(status=AuthorizationStatus.INVALID)


class Core:
    """Settings, storage, clock, and the parts that know stations, users, transactions."""

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        clock: Clock,
        random: Callable[[int], bytes],
        observe: Callable[[Observed], None] | None = None,
    ) -> None:
        self.settings = settings
        self.storage = storage
        self.clock = clock
        self.random = random
        self._observe = observe
        self.seldom = Seldom(clock)
        self.authorizers: Sequence[tuple[str, Authorizer]] = ()
        self._token = random(8).hex()
        self._commits = itertools.count(1)
        self._last_stamp = 0
        self.stations = Stations(
            settings, storage, clock, stamp=self.stamp, new_commit_id=self.new_commit_id
        )
        self.users = Users(settings, storage, clock, self.new_commit_id)
        self.running = RunningTransactions(settings.max_connectors)
        self.zombies = Zombies(
            settings,
            storage,
            clock,
            self.seldom,
            self.running,
            new_commit_id=self.new_commit_id,
            closed=self._closed,
        )
        self.transactions = Transactions(
            settings,
            storage,
            self.running,
            new_commit_id=self.new_commit_id,
            begun=self.zombies.begun,
        )
        self.stops = Stops(settings, storage, self.running, new_commit_id=self.new_commit_id)
        self.later = Later(storage, clock, self.stations.unwritten)

    def new_commit_id(self) -> str:
        """Unique over all processes of all times."""
        return f"{self._token}-{next(self._commits)}"

    def stamp(self) -> int:
        """A version for a Put: the time in milliseconds, but always more than the last."""
        now = int(self.clock.now().timestamp() * 1000)
        self._last_stamp = max(now, self._last_stamp + 1)
        return self._last_stamp

    def secret(self, secret: bytes) -> None:
        """Sets what transaction ids are made from, before the first of them."""
        self.transactions.secret = self.stops.secret = secret

    async def take_up(self) -> None:
        """Takes up the transactions that run; raises ``StorageError``.

        A kill may have come between a transaction's end and the word, stored a little later,
        that its connector charges no longer.
        """
        await self.transactions.load()
        for connector in await self.storage.find(CONNECTOR):
            place = connector["chargeBoxIdentity"], connector["id"]
            if connector.get("charging") and self.running.on_connector(*place) is None:
                fields: Document = {"charging": False}
                self.later.add(Put(CONNECTOR, place, fields, self.stamp(), "meter"))
        await self.later.flush()

    def tell(self, identity: str, subject: str, what: str, *, echo: bool = False) -> None:
        """Shows observers what became different at a station."""
        if self._observe is not None:
            self._observe(
                StateChange(
                    at=self.clock.now(),
                    role="central",
                    identity=identity,
                    subject=subject,
                    what=what,
                    echo=echo,
                )
            )

    async def _closed(self, transaction: Document) -> None:
        """A transaction was closed by rule: its connector charges no longer."""
        identity, place = transaction["chargeBoxIdentity"], transaction["connectorId"]
        number, meter = transaction["transactionId"], transaction["meterStop"]
        what = f"closed by rule ({transaction['synthetic']}) at {meter} Wh, no stop came"
        self.tell(identity, f"transaction {number}", what)
        station = await self.stations.load(identity)
        connector = station.connectors.get(place) if station is not None else None
        charges = self.running.on_connector(identity, place) is not None
        if station is not None and connector is not None and connector.charging and not charges:
            self.later.add(station.meter_change(connector, self.stamp(), {"charging": False}))

    async def authorize(self, id_tag: str, context: AuthorizeContext) -> IdTagInfo:
        """What the authorizers say, third-party ones first; Invalid if none knows the tag.

        Raises ``StorageError``: while the store is away no tag is called unknown.
        """
        for plugin, authorizer in self.authorizers:
            try:
                if is_built_in(authorizer):
                    info = await authorizer(id_tag, context)
                else:
                    async with asyncio.timeout(self.settings.handler_deadline):
                        info = await authorizer(id_tag, context)
            except StorageError:
                raise
            except Exception:
                if self.seldom(f"authorizer {plugin}"):
                    LOG.exception("plugin %s: its authorizer failed; the next one is asked", plugin)
                continue
            if info is not None:
                return info
        return INVALID


def is_built_in(function: object) -> bool:
    """Whether a handler or authorizer is one of ours, which need no deadline."""
    return str(getattr(function, "__module__", "")).startswith("ocppgw.central.")
