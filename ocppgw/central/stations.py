"""The stations: who may talk to us, and the cache of those that do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ocppgw.central.schema import CONNECTOR, STATION
from ocppgw.central.settings import CentralSettings, IdentityCase, UnknownStations
from ocppgw.central.station import Registration, Station
from ocppgw.clock import Clock
from ocppgw.errors import UserError
from ocppgw.storage.base import Conflict, Projection, Storage, Update


class Stations:
    """Finds a station by its identity, and takes in new ones as configured.

    Only accepted stations stay in memory; what others send costs a look into the store
    and leaves nothing behind, but for stations kept pending, of which there are at most
    ``max_stations``.
    """

    def __init__(
        self,
        settings: CentralSettings,
        storage: Storage,
        clock: Clock,
        *,
        stamp: Callable[[], int],
        new_commit_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._stamp = stamp
        self._new_commit_id = new_commit_id
        self._fold = settings.identity_case is IdentityCase.FOLD
        self._spelled = {identity.casefold(): identity for identity in settings.stations}
        self._known: dict[str, Station] = {}
        self._touched: dict[str, Station] = {}
        self._stored: int | None = None

    def known(self, identity: str) -> Station | None:
        """An accepted station that has called since the start; costs next to nothing."""
        return self._known.get(identity)

    def canonical(self, identity: str) -> str:
        """The spelling under which a station is kept."""
        if not self._fold:
            return identity
        folded = identity.casefold()
        return self._spelled.get(folded, folded)

    async def load(self, identity: str) -> Station | None:
        """The station of that (canonical) identity, or ``None`` if nobody knows it."""
        if identity in self._known:
            return self._known[identity]
        document = await self._storage.get(STATION, (identity,))
        settings = self._settings.stations.get(identity)
        registration = self._registration(identity, document and document.get("registration"))
        if registration is None:
            return None
        connectors = []
        if document is not None:
            connectors = await self._storage.find(CONNECTOR, {"chargeBoxIdentity": identity})
        if identity in self._known:  # another call was faster
            return self._known[identity]
        station = Station(identity, registration, settings, document, connectors)
        if station.accepted and not station.new:
            self._known[identity] = station
        return station

    def _registration(self, identity: str, stored: object) -> Registration | None:
        if identity in self._settings.stations:
            return Registration.CONFIGURED
        if stored == Registration.CONFIGURED.value:
            return self._policy()  # it was taken off the list
        if stored is not None:
            return Registration(stored)
        return None

    def _policy(self) -> Registration:
        return {
            UnknownStations.ACCEPT: Registration.ACCEPTED,
            UnknownStations.PENDING: Registration.PENDING,
            UnknownStations.REFUSE: Registration.REFUSED,
        }[self._settings.unknown_stations]

    async def checked_again(self, station: Station) -> Station:
        """The same station, unless an operator has shut it out meanwhile (anywhere)."""
        if station.registration is Registration.CONFIGURED:
            return station
        document = await self._storage.get(STATION, (station.identity,))
        stored = document and document.get("registration")
        registration = self._registration(station.identity, stored)
        if registration is None or registration is station.registration:
            return station
        self._known.pop(station.identity, None)
        return Station(station.identity, registration, None, document)

    async def take_in(self, identity: str, station: Station | None) -> Station:
        """Stores a station that calls for the first time, unless it is to be refused."""
        if station is None:
            registration = self._policy()
            if registration is Registration.REFUSED or not await self._room():
                return Station(identity, Registration.REFUSED, None, None)
            station = Station(identity, registration, None, None)
        now = self._clock.now()
        await self._storage.commit(station.first(now, self._settings.assumed_connectors))
        self._stored = None if self._stored is None else self._stored + 1
        if station.accepted:
            return self._known.setdefault(identity, station)
        return station

    async def _room(self) -> bool:
        if self._stored is None:
            self._stored = len(await self._storage.find(STATION))
        return self._stored < self._settings.max_stations

    def touch(self, station: Station, now: datetime) -> None:
        """Notes that a station was heard of; stored with the next batch."""
        station.last_seen = now
        self._touched[station.identity] = station

    def unwritten(self) -> list[Projection]:
        """The changes that make the stations' documents current; asking clears them."""
        touched, self._touched = self._touched, {}
        return [station.unwritten_change(self._stamp()) for station in touched.values()]

    def in_memory(self) -> dict[str, Station]:
        """The accepted stations that have called since the start."""
        return self._known

    async def decide(self, identity: str, registration: Registration) -> None:
        """An operator's word: accepts or refuses a station from now on."""
        identity = self.canonical(identity)
        if identity in self._settings.stations:
            raise UserError(
                f"station {identity} is listed in the configuration"
                " (central_system.stations); change it there"
            )
        change = Update(
            STATION, (identity,), {"registration": registration.value}, {}, self._new_commit_id()
        )
        try:
            await self._storage.commit(change)
        except Conflict:
            raise UserError(f"station {identity} has never called; nothing to decide") from None
        self._known.pop(identity, None)
