"""The configuration file read again while the gateway runs: what changed is put in force.

Nothing of it is kept on the disk: whoever is killed in the middle starts by the file as
it stands then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from ocppgw.central.settings import CentralSettings
from ocppgw.config import ChargePointServerSettings, Configuration, load
from ocppgw.errors import UserError
from ocppgw.gateway.doors import address
from ocppgw.gateway.files import digests_in
from ocppgw.gateway.house import House
from ocppgw.gateway.parts import Part, sentence
from ocppgw.web.keeping import Reloaded

if TYPE_CHECKING:
    from ocppgw.gateway.boxes import BoxPlan
    from ocppgw.gateway.central import CentralPart
    from ocppgw.gateway.charge_points import ChargePoints

log = logging.getLogger(__name__)

RESTART = "counts from the next start of the gateway on"


class Reloading:
    """One reload. What fails keeps its old settings, and the rest goes on."""

    def __init__(self, house: House, set_level: Callable[[str], None] | None) -> None:
        self._house = house
        self._set_level = set_level
        self._done: list[str] = []
        self._restart: list[str] = []
        self._failed: list[str] = []

    async def run(self) -> Reloaded:
        """Raises ``UserError`` with all that is wrong with the file; nothing has changed then."""
        ground = self._house.ground
        new, _ = await asyncio.to_thread(load, ground.path, None, ground.plugins)
        plans = await self._plans(new)
        self._fixed(new)
        self._logging(new)
        await self._client(new)
        self._still_running()
        await self._central(new)
        self._still_running()
        await self._charge_points(new, plans)
        return Reloaded(
            done=tuple(self._done), restart=tuple(self._restart), failed=tuple(self._failed)
        )

    async def _plans(self, new: Configuration) -> dict[str, BoxPlan]:
        """The plans of the boxes. One after the other: a register map takes its time to be
        read, and watchdogs of other devices must not wait for all of them."""
        if not new.settings.charge_boxes:
            return {}
        from ocppgw.gateway.boxes import all_right, checked

        plans = []
        for plan in checked(new, self._house.ground.plugins, self._house.ground.clock):
            plans.append(plan)
            await asyncio.sleep(0)
        return {plan.settings.identity: plan for plan in all_right(plans)}

    def _keep(self, **sections: Any) -> None:
        """Those sections are in force now."""
        self._house.settings = msgspec.structs.replace(self._house.settings, **sections)

    def _still_running(self) -> None:
        if self._house.ending:
            raise UserError("the gateway is ending; its next start goes by the new file")

    def _did(self, told: str) -> None:
        log.info("%s", told)
        self._done.append(told)

    def _needs_restart(self, told: str) -> None:
        log.warning("%s", told)
        self._restart.append(told)

    def _could_not(self, told: str) -> None:
        log.error("%s", told)
        self._failed.append(told)

    async def _tried(self, what: str, change: Awaitable[object], done: str) -> bool:
        """Whether it could be done; either is told."""
        try:
            await change
        except Exception as error:  # noqa: BLE001  told; the other sections are not to suffer
            self._could_not(f"{what}: {sentence(error)}")
            return False
        self._did(f"{what}: {done}")
        return True

    # Sections

    def _fixed(self, new: Configuration) -> None:
        old = self._house.settings
        if new.settings.plugins != old.plugins:
            self._needs_restart(f"plugins: what is new there {RESTART}")
        if new.settings.control != old.control:
            self._needs_restart(f"control: the new socket {RESTART}")

    def _logging(self, new: Configuration) -> None:
        section = new.settings.logging
        if section == self._house.settings.logging:
            return
        if self._set_level is None:
            self._needs_restart(f"logging: the level {RESTART}, for the command line named one")
        else:
            self._set_level(section.level)
            self._keep(logging=section)
            self._did(f"logging: the level is {section.level}")

    async def _client(self, new: Configuration) -> None:
        section, house = new.settings.http_client, self._house
        files = digests_in(section)
        if section == house.settings.http_client and files == house.ground.http.files:
            return
        change = house.ground.http.change(section)
        if await self._tried("http_client", change, "the new settings are in use"):
            self._keep(http_client=section)

    # The central system

    async def _central(self, new: Configuration) -> None:
        section, part = new.settings.central_system, self._house.central
        if section is not None and part is not None:
            await self._central_changed(part, section, new)
        elif section is not None:
            await self._tried("central_system", self._add_central(new), "it runs now")
        elif part is not None:
            await part.door.close()
            await part.stop()
            self._house.central = None
            self._did("central_system: stopped, and no longer a part of this gateway")

    async def _add_central(self, new: Configuration) -> None:
        from ocppgw.gateway.central import plan_of

        house = self._house
        plan = plan_of(new, house.ground.plugins)
        part = house.add_central(plan)
        try:
            part.door.bind(address(plan.settings.listen, plan.settings.limits))
            await part.start()
        except Exception:
            await part.door.close()
            await part.stop()
            house.central = None
            raise
        part.door.open()

    async def _central_changed(
        self, part: CentralPart, section: CentralSettings, new: Configuration
    ) -> None:
        from ocppgw.gateway.central import plan_of

        wanted = plan_of(new, self._house.ground.plugins)
        if (wanted.backend.name, wanted.options) != (part.plan.backend.name, part.plan.options):
            self._needs_restart(f"storage: the new place {RESTART}")
            wanted = replace(wanted, backend=part.plan.backend, options=part.plan.options)
        door, before = part.door, part.door.address
        where = address(section.listen, section.limits)
        moved = where != before
        if moved and not await self._tried(
            "central_system", door.move(where), f"the listener is {where.listen}"
        ):
            return
        if part.running and not _role_differs(part.plan.settings, section):
            part.plan = wanted
            return
        restart = part.restart(wanted)
        restarted = await self._tried("central_system", restart, "restarted with the new settings")
        if not restarted and moved and before is not None:
            back = f"the listener is {before.listen} again"
            await self._tried("central_system", door.move(before), back)

    # The charge boxes

    async def _charge_points(self, new: Configuration, plans: Mapping[str, BoxPlan]) -> None:
        house, server = self._house, new.settings.charge_point_server
        service = house.charge_points
        if service is None and plans:
            service = house.add_charge_points(server)
            try:
                service.door.bind(address(server.listen, server.limits))
            except UserError as error:
                house.charge_points = None
                self._could_not(f"charge_boxes: none is started: {sentence(error)}")
                return
            service.door.open()
        elif service is None:
            return
        elif plans:
            await self._server(service, server)
        await self._boxes(service, plans)
        if not service.parts:
            await service.door.close()
            house.charge_points = None

    async def _server(self, service: ChargePoints, new: ChargePointServerSettings) -> None:
        if new == service.settings and address(new.listen, new.limits) == service.door.address:
            return
        change = self._server_changed(service, new)
        await self._tried("charge_point_server", change, "the new settings are in use")

    async def _server_changed(self, service: ChargePoints, new: ChargePointServerSettings) -> None:
        where = address(new.listen, new.limits)
        if where != service.door.address:
            await service.door.move(where)
        service.settings = new

    async def _boxes(self, service: ChargePoints, plans: Mapping[str, BoxPlan]) -> None:
        """Stops all that have to be before any is started: they may exchange their devices."""
        parts = service.parts
        gone = [part for identity, part in parts.items() if identity not in plans]
        changed = [
            part
            for identity, part in parts.items()
            if identity in plans and (part.plan != plans[identity] or not part.running)
        ]
        await asyncio.gather(*(part.stop() for part in (*gone, *changed)))
        for part in gone:
            service.remove(part.identity)
            self._did(f"{part.name}: stopped, and no longer a part of this gateway")
        for part in changed:
            self._still_running()
            restart = part.restart(plans[part.identity])
            await self._tried(part.name, restart, "restarted with the new settings")
        for identity in [identity for identity in plans if identity not in parts]:
            self._still_running()
            part = service.add(plans[identity])
            if not await self._tried(part.name, _started(part), "it runs now"):
                service.remove(identity)


def _role_differs(old: CentralSettings, new: CentralSettings) -> bool:
    """Whether more has changed than the listener."""
    return msgspec.structs.replace(new, listen=old.listen, limits=old.limits) != old


async def _started(part: Part[Any]) -> None:
    try:
        await part.start()
    except Exception:
        await part.stop()
        raise
