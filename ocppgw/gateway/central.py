"""The central system as a part of the gateway."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ocppgw.central.retention import collections
from ocppgw.central.service import CentralSystem
from ocppgw.central.settings import CentralSettings
from ocppgw.config import LOCAL_STORE, Configuration
from ocppgw.ending import Ending
from ocppgw.gateway.doors import Door
from ocppgw.gateway.parts import GRACE, Ground, Part, Store
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.net.gate import Away, Gate, come_back_later
from ocppgw.plugins import Plugins
from ocppgw.storage.base import Storage, StorageBackend

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CentralPlan:
    """The central system as its section describes it, and where it keeps its data."""

    settings: CentralSettings
    backend: StorageBackend
    options: msgspec.Struct

    @property
    def file(self) -> Path | None:
        """The file of its store, if that is one of ours."""
        path = getattr(self.options, "path", None)
        return path if self.backend.name == LOCAL_STORE else None


def plan_of(configuration: Configuration, plugins: Plugins) -> CentralPlan:
    """The plan of a configuration that has a central system."""
    section, choice = configuration.settings.central_system, configuration.settings.storage
    assert section is not None
    assert choice is not None
    backend = plugins.storage_backends()[choice.backend]
    options = configuration.options(backend.options_type, "storage", without=("backend",))
    return CentralPlan(section, backend, options)


class CentralPart(Part[CentralPlan]):
    """The central system with its store. Requests that come while it is stopped wait a
    little, and are told to come back later."""

    def __init__(self, plan: CentralPlan, ground: Ground) -> None:
        super().__init__("the central system", plan)
        self.door = Door("central_system", ground, self.answer)
        self.system: CentralSystem | None = None
        self._storage: Storage | None = None
        self._ground = ground
        self._gate = Gate()

    @property
    def store(self) -> Store:
        return Store("central", self.plan.file, self._storage)

    async def begin(self, plan: CentralPlan, ending: Ending) -> None:
        ground = self._ground
        self._storage = await plan.backend.open(plan.options, collections(plan.settings.retention))
        ending.push("storage", self._storage.close)
        secret = plan.settings.secret
        system = CentralSystem(
            plan.settings,
            storage=self._storage,
            clock=ground.clock,
            http=ground.http,
            observe=ground.observers if ground.observers else None,
            options=ground.context.options,
            secret=secret.encode() if secret is not None else None,
        )
        system.use(
            ground.plugins.central_handlers(system.context),
            ground.plugins.authorizers(system.context),
        )
        ending.push(self.name, system.stop)
        await system.start()
        self.system = system
        ending.push("requests to the central system", self._shut)
        self._gate.open()

    async def _shut(self) -> None:
        left = await self._gate.shut(GRACE)
        self.system = None
        if left:
            log.warning("%d requests of stations are not answered yet, and may fail", left)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """One request of a station."""
        try:
            return await self._gate.through(lambda: self.here.answer(request))
        except Away:
            return come_back_later()

    @property
    def here(self) -> CentralSystem:
        """The central system; raises :class:`ocppgw.net.gate.Away` while it is stopped."""
        if self.system is None:
            raise Away
        return self.system
