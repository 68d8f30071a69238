"""The composition root: settings become roles, listeners and drivers.

The order of a life: drivers are made and ports bound (nothing runs yet, so what is
wrong ends the start with a sentence); then, on the reactor's first turn, storage is
opened, the roles start and the listeners take requests. The end goes the other way, role
by role: stop listening, finish what is in flight, stop pollers, flush the lanes, close
storage. A charge box can so tell a central system of the same process what it has to.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TypeVar, cast

import msgspec
from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import maybeDeferred

from ocppgw.bridge import at_once, result_of
from ocppgw.central.service import CentralSystem
from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.server import ChargePointServer
from ocppgw.clock import Clock, SystemClock
from ocppgw.config import LOCAL_STORE, Configuration, Settings
from ocppgw.ending import Ending
from ocppgw.errors import UserError
from ocppgw.net.base import HttpHandler, HttpRequest, HttpResponse
from ocppgw.net.client import HttpClient
from ocppgw.net.server import Listener, listen
from ocppgw.net.settings import HttpLimits
from ocppgw.observing import Observers
from ocppgw.plc.base import Driver, DriverContext
from ocppgw.plugins import Plugins
from ocppgw.storage.base import Collection, Storage
from ocppgw.web.control import ControlServer

log = logging.getLogger(__name__)

GRACE = 5.0  # seconds that requests in flight have at the end

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class Context:
    """What hooks of the gateway as a whole are given (``GatewayContext``)."""

    def __init__(self, clock: Clock, configuration: Configuration) -> None:
        self.clock = clock
        self._configuration = configuration

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration; ``UserError`` if it is wrong."""
        return self._configuration.options(options_type, "plugins", "options", plugin)

    def identities(self) -> tuple[str, ...]:
        """The charge boxes of this gateway."""
        return tuple(box.identity for box in self._configuration.settings.charge_boxes)


def open_drivers(configuration: Configuration, plugins: Plugins, clock: Clock) -> list[Driver]:
    """The driver of each charge box, without any I/O to the devices.

    Raises ``UserError`` with what every driver has to say against its options.
    """
    known = plugins.plc_drivers()
    drivers, problems = [], []
    for index, box in enumerate(configuration.settings.charge_boxes):
        driver = known[box.plc["driver"]]
        options = configuration.options(
            driver.options_type, "charge_boxes", index, "plc", without=("driver",)
        )
        context = DriverContext(box.identity, box.connectors, configuration.base, clock)
        try:
            drivers.append(driver.open(options, context))
        except UserError as error:
            problems.append(f"charge box {box.identity}: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return drivers


class Gateway:
    """The roles of one configuration file in one process. Used once: bind, start, stop."""

    def __init__(
        self,
        configuration: Configuration,
        plugins: Plugins,
        reactor: ReactorBase,
        clock: Clock | None = None,
    ) -> None:
        self._configuration = configuration
        self._settings: Settings = configuration.settings
        self._plugins = plugins
        self._reactor = reactor
        self._clock = clock or SystemClock()
        self._context = Context(self._clock, configuration)
        self._drivers = open_drivers(configuration, plugins, self._clock)
        self._http = HttpClient(
            reactor, self._settings.http_client.limits, self._settings.http_client.tls
        )
        self._ending = Ending()
        self._listeners: dict[str, Listener] = {}
        self._control: ControlServer | None = None
        self.central: CentralSystem | None = None
        self.own_address = ""
        self._charge_points: ChargePointServer | None = None

    def bind(self) -> None:
        """Binds every port; no request is taken yet. Raises ``UserError``."""
        settings = self._settings
        if settings.central_system is not None:
            section = settings.central_system
            self._bind("central_system", section.listen, self._to_central, section.limits)
        if settings.charge_boxes:
            server = settings.charge_point_server
            self._bind("charge_point_server", server.listen, self._to_boxes, server.limits)
            self.own_address = self._address_of(self._listeners["charge_point_server"])
        if settings.control is not None:
            self._control = ControlServer(self._reactor, settings.control.socket)
            self._control.bind()

    def _bind(
        self, section: str, description: str, handler: HttpHandler, limits: HttpLimits
    ) -> None:
        try:
            listener = at_once(listen(self._reactor, description, handler, limits))
        except UserError as error:
            raise UserError(f"{self._configuration.path}: {section}.listen: {error}") from error
        self._listeners[section] = listener

    def port(self, section: str) -> int:
        """The port that a section's listener was bound to."""
        return self._listeners[section].port

    async def start(self) -> None:
        """Opens storage, starts the roles, takes requests. Raises UserError or StorageError."""
        settings = self._settings
        for state in self._plugins.describe():
            if not state.built_in and state.why is None:
                log.info("plugin %s %s is %s", state.name, state.version, state.state)
        self._ending.push("the HTTP client", self._http.close)
        observers = Observers(self._plugins.observers(self._context))
        self._ending.push("observers", observers.stop)
        if settings.central_system is not None:
            await self._start_central(observers)
            self._open("central_system")
        self._start_services()  # before the boxes: it may be a PLC, simulated
        if settings.charge_boxes:
            await self._start_boxes(observers)
            self._open("charge_point_server")
        if self._control is not None:
            self._control.open(self.central)
            log.info("commands are taken at %s", self._control.path)

    def _open(self, section: str) -> None:
        listener = self._listeners[section]
        self._ending.push(section, partial(self._close, section))
        listener.open()
        log.info("%s listens at %s port %d", section, listener.address, listener.port)

    async def _close(self, section: str) -> None:
        await self._listeners.pop(section).stop(GRACE)

    async def stop(self) -> None:
        """Stops in order; may be called at any point of a start, and more than once."""
        if self._control is not None:
            await self._ending.stop("the control socket", self._control.stop)
        await self._ending.run()
        for section in tuple(self._listeners):  # those that were never opened
            await self._ending.stop(section, partial(self._close, section))

    # Roles

    async def _start_central(self, observers: Observers) -> None:
        section = self._settings.central_system
        assert section is not None
        storage = await self._central_storage(CentralSystem.COLLECTIONS)
        central = CentralSystem(
            section,
            storage=storage,
            clock=self._clock,
            http=self._http,
            observe=observers if observers else None,
            options=self._context.options,
            secret=section.secret.encode() if section.secret is not None else None,
        )
        central.use(
            self._plugins.central_handlers(central.context),
            self._plugins.authorizers(central.context),
        )
        self._ending.push("the central system", central.stop)
        await central.start()
        self.central = central

    async def _start_boxes(self, observers: Observers) -> None:
        boxes = []
        for settings, driver in zip(self._settings.charge_boxes, self._drivers, strict=True):
            storage = await self._local_storage(settings.state, ChargeBox.COLLECTIONS)
            box = ChargeBox(
                settings,
                storage=storage,
                clock=self._clock,
                http=self._http,
                driver=driver,
                own_address=lambda: self.own_address,
                observe=observers,
                options=self._context.options,
            )
            box.use(self._plugins.charge_point_handlers(box.context))
            boxes.append(box)
        self._charge_points = ChargePointServer(boxes, address=self.own_address)
        for box in boxes:
            self._ending.push(f"charge box {box.identity}", box.stop)
            await box.start()

    def _address_of(self, listener: Listener) -> str:
        """The URL of the charge point service, as central systems are told."""
        server = self._settings.charge_point_server
        if server.public_url is not None:
            return server.public_url
        host = f"[{listener.address}]" if ":" in listener.address else listener.address
        scheme = "https" if server.listen.startswith(("ssl:", "tls:")) else "http"
        return f"{scheme}://{host}:{listener.port}{server.path}"

    def _start_services(self) -> None:
        for name, offered in self._plugins.services(self._context):
            service = cast("Service", offered)
            try:
                service.privilegedStartService()
                service.startService()
            except Exception as error:  # noqa: BLE001  a plugin may raise anything
                log.error("plugin %s: a service of it did not start: %s", name, error)
                continue
            self._ending.push(f"a service of plugin {name}", partial(_stop_service, service))

    # Storage

    async def _central_storage(self, collections: Sequence[Collection]) -> Storage:
        assert self._settings.storage is not None
        backend = self._plugins.storage_backends()[self._settings.storage.backend]
        options = self._configuration.options(backend.options_type, "storage", without=("backend",))
        return await self._opened(backend.open(options, collections))

    async def _local_storage(self, path: str, collections: Sequence[Collection]) -> Storage:
        backend = self._plugins.storage_backends()[LOCAL_STORE]
        options = backend.options_type(path=self._configuration.base / path)
        return await self._opened(backend.open(options, collections))

    async def _opened(self, opening: Awaitable[Storage]) -> Storage:
        storage = await opening
        self._ending.push("storage", storage.close)
        return storage

    # Requests; none comes before its role has started

    async def _to_central(self, request: HttpRequest) -> HttpResponse:
        assert self.central is not None
        return await self.central.answer(request)

    async def _to_boxes(self, request: HttpRequest) -> HttpResponse:
        assert self._charge_points is not None
        path = self._settings.charge_point_server.path
        if request.path.rstrip("/").casefold() != path.rstrip("/").casefold():
            text = f"There is nothing here; the service is at {path}.\n"
            return HttpResponse(
                status=404, content_type=b"text/plain; charset=utf-8", body=text.encode()
            )
        return await self._charge_points.answer(request)


async def _stop_service(service: Service) -> None:
    await result_of(maybeDeferred(service.stopService))
