"""Charge boxes as parts of the gateway, and their drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.keys import FIELDS
from ocppgw.chargepoint.server import ChargePointServer
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.clock import Clock
from ocppgw.config import LOCAL_STORE, Configuration
from ocppgw.ending import Ending
from ocppgw.errors import UserError
from ocppgw.gateway.files import digests_in
from ocppgw.gateway.parts import GRACE, Ground, Part, Store
from ocppgw.plc.base import Driver, DriverContext
from ocppgw.plugins import Plugins
from ocppgw.storage.base import Storage


@dataclass(frozen=True)
class BoxPlan:
    """A charge box as its section describes it. Two are equal if nothing has changed,
    also in the files that the driver's options name."""

    settings: ChargeBoxSettings
    state: Path
    options: msgspec.Struct
    files: Mapping[Path, str]
    open_driver: Callable[[], Driver] = field(compare=False)


def plans_of(configuration: Configuration, plugins: Plugins, clock: Clock) -> list[BoxPlan]:
    """A plan for each charge box, without any I/O to the devices.

    Raises ``UserError`` with what every driver has to say against its options.
    """
    return all_right(list(checked(configuration, plugins, clock)))


def checked(
    configuration: Configuration, plugins: Plugins, clock: Clock
) -> Iterator[BoxPlan | UserError]:
    """The plan of one charge box after the other, or what its driver says against it."""
    for index in range(len(configuration.settings.charge_boxes)):
        plan = _plan(configuration, plugins, clock, index)
        try:
            plan.open_driver()
        except UserError as error:
            yield UserError(f"charge box {plan.settings.identity}: {error}")
        else:
            yield plan


def all_right(plans: Sequence[BoxPlan | UserError]) -> list[BoxPlan]:
    """The plans; ``UserError`` with all that is wrong if anything is."""
    problems = [str(plan) for plan in plans if isinstance(plan, UserError)]
    if problems:
        raise UserError("\n".join(problems))
    return [plan for plan in plans if isinstance(plan, BoxPlan)]


def _plan(configuration: Configuration, plugins: Plugins, clock: Clock, index: int) -> BoxPlan:
    box = configuration.settings.charge_boxes[index]
    driver = plugins.plc_drivers()[box.plc["driver"]]
    options = configuration.options(
        driver.options_type, "charge_boxes", index, "plc", without=("driver",)
    )
    context = DriverContext(
        box.identity, box.connectors, configuration.base, clock, frozenset(FIELDS)
    )
    return BoxPlan(
        settings=box,
        state=configuration.base / box.state,
        options=options,
        files=digests_in(options),
        open_driver=partial(driver.open, options, context),
    )


class BoxPart(Part[BoxPlan]):
    """A charge box with its state, and its place in the charge point service."""

    def __init__(
        self,
        plan: BoxPlan,
        ground: Ground,
        server: ChargePointServer,
        own_address: Callable[[], str],
    ) -> None:
        self.identity = plan.settings.identity
        super().__init__(f"charge box {self.identity}", plan)
        self._storage: Storage | None = None
        self._ground = ground
        self._server = server
        self._own_address = own_address
        server.expect(self.identity)

    @property
    def store(self) -> Store:
        return Store(f"box-{self.identity}", self.plan.state, self._storage)

    async def begin(self, plan: BoxPlan, ending: Ending) -> None:
        ground = self._ground
        driver = plan.open_driver()  # of this life: a driver has memories of its own
        backend = ground.plugins.storage_backends()[LOCAL_STORE]
        storage = await backend.open(
            backend.options_type(path=plan.state), ChargeBox.collections(plan.settings)
        )
        self._storage = storage
        ending.push(f"the storage of {self.name}", storage.close)
        box = ChargeBox(
            plan.settings,
            storage=storage,
            clock=ground.clock,
            http=ground.http,
            driver=driver,
            own_address=self._own_address,
            observe=ground.observers,
            options=ground.context.options,
        )
        box.use(ground.plugins.charge_point_handlers(box.context))
        ending.push(self.name, box.stop)
        await box.start()
        ending.push(f"calls to {self.name}", partial(self._server.away, self.identity, GRACE))
        self._server.add(box)
