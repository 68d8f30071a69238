"""All parts of a gateway, and the settings that they run with.

The order of a life: ports are bound (nothing runs yet, so what is wrong ends the start
with a sentence); then, on the reactor's first turn, storage is opened, the roles start
and the listeners take requests. The end goes the other way, role by role: stop
listening, finish what is in flight, stop pollers, flush the lanes, close storage. A
charge box can so tell a central system of the same process what it has to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import maybeDeferred

from ocppgw.bridge import result_of
from ocppgw.clock import Clock
from ocppgw.config import ChargePointServerSettings, Configuration, Settings
from ocppgw.ending import Ending
from ocppgw.gateway.doors import address
from ocppgw.gateway.parts import Ground, Part
from ocppgw.observing import Observers
from ocppgw.plugins import Plugins

if TYPE_CHECKING:
    from ocppgw.gateway.central import CentralPart, CentralPlan
    from ocppgw.gateway.charge_points import ChargePoints

log = logging.getLogger(__name__)


class House:
    """The parts. ``settings`` are those in force, section by section.

    A role's code is imported only if there is such a role.
    """

    def __init__(
        self, configuration: Configuration, plugins: Plugins, reactor: ReactorBase, clock: Clock
    ) -> None:
        self.settings: Settings = configuration.settings
        self.ground = Ground(configuration, plugins, reactor, clock, self._identities)
        self.central: CentralPart | None = None
        self.charge_points: ChargePoints | None = None
        self.ending = False
        self._services = Ending()
        if self.settings.central_system is not None:
            from ocppgw.gateway.central import plan_of

            self.add_central(plan_of(configuration, plugins))
        if self.settings.charge_boxes:
            from ocppgw.gateway.boxes import plans_of

            added = self.add_charge_points(self.settings.charge_point_server)
            for plan in plans_of(configuration, plugins, clock):
                added.add(plan)

    def add_central(self, plan: CentralPlan) -> CentralPart:
        """Gives it a central system, which has to be started yet."""
        from ocppgw.gateway.central import CentralPart

        self.central = CentralPart(plan, self.ground)
        return self.central

    def add_charge_points(self, settings: ChargePointServerSettings) -> ChargePoints:
        """Gives it a charge point service, with no box yet."""
        from ocppgw.gateway.charge_points import ChargePoints

        self.charge_points = ChargePoints(settings, self.ground)
        return self.charge_points

    def parts(self) -> Iterator[Part[Any]]:
        """All that can be stopped and started singly."""
        if self.central is not None:
            yield self.central
        if self.charge_points is not None:
            yield from self.charge_points.parts.values()

    def _identities(self) -> tuple[str, ...]:
        return tuple(self.charge_points.parts) if self.charge_points is not None else ()

    # A life

    def bind(self) -> None:
        """Binds every port; no request is taken yet. Raises ``UserError``."""
        if self.central is not None:
            section = self.central.plan.settings
            self.central.door.bind(address(section.listen, section.limits))
        if self.charge_points is not None:
            server = self.charge_points.settings
            self.charge_points.door.bind(address(server.listen, server.limits))

    async def start(self) -> None:
        """Opens storage, starts the roles, takes requests. Raises UserError or StorageError."""
        plugins = self.ground.plugins
        for state in plugins.describe():
            if not state.built_in and state.why is None:
                log.info("plugin %s %s is %s", state.name, state.version, state.state)
        self.ground.observers = Observers(plugins.observers(self.ground.context))
        if self.central is not None:
            await self.central.start()
            self.central.door.open()
        self._start_services()  # before the boxes: it may be a PLC, simulated
        if self.charge_points is not None:
            for part in self.charge_points.parts.values():
                await part.start()
            self.charge_points.door.open()

    def _start_services(self) -> None:
        for name, offered in self.ground.plugins.services(self.ground.context):
            service = cast("Service", offered)
            try:
                service.privilegedStartService()
                service.startService()
            except Exception as error:  # noqa: BLE001  a plugin may raise anything
                log.error("plugin %s: a service of it did not start: %s", name, error)
                continue
            self._services.push(f"a service of plugin {name}", partial(_stop_service, service))

    def hand_over(self, ending: Ending) -> None:
        """Leaves the end of all that has begun to ``ending``."""
        self.ending = True
        ending.push("the HTTP client", self.ground.http.close)
        ending.push("observers", self.ground.observers.stop)
        if self.central is not None:
            self.central.hand_over(ending)
            ending.push("central_system", self.central.door.close)
        ending.take(self._services)
        if self.charge_points is not None:
            for part in self.charge_points.parts.values():
                part.hand_over(ending)
            ending.push("charge_point_server", self.charge_points.door.close)


async def _stop_service(service: Service) -> None:
    await result_of(maybeDeferred(service.stopService))
