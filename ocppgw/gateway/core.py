"""A gateway in one process: its life, and what may be done to it while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.base import ReactorBase

from ocppgw import logs
from ocppgw.clock import Clock, SystemClock
from ocppgw.config import Configuration
from ocppgw.ending import Ending
from ocppgw.errors import UserError
from ocppgw.gateway.house import House
from ocppgw.gateway.parts import Part, Store, sentence
from ocppgw.gateway.reloading import Reloading
from ocppgw.plugins import Plugins
from ocppgw.storage import backup
from ocppgw.storage.backup import Manifest, StoreFile
from ocppgw.systemd import READY, RELOADING, STOPPING, Notify, silent
from ocppgw.web.control import ControlServer
from ocppgw.web.keeping import Reloaded

if TYPE_CHECKING:
    from ocppgw.central.service import CentralSystem

log = logging.getLogger(__name__)

T = TypeVar("T")


class Gateway:
    """The roles of one configuration file in one process. Used once: bind, start, stop.

    Reloads, backups and restores are done one after the other, each to its end even if
    whoever asked for it has gone.
    """

    def __init__(
        self,
        configuration: Configuration,
        plugins: Plugins,
        reactor: ReactorBase,
        clock: Clock | None = None,
        *,
        set_level: Callable[[str], None] | None = logs.set_level,
        notify: Notify = silent,
    ) -> None:
        """``set_level`` puts a log level in force, ``None`` if a reload must not change it;
        ``notify`` tells a service manager."""
        self._house = House(configuration, plugins, reactor, clock or SystemClock())
        self._reactor = reactor
        self._set_level = set_level
        self._notify = notify
        self._control: ControlServer | None = None
        self._ending = Ending()
        self._alone = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._ready = False

    @property
    def central(self) -> CentralSystem | None:
        """The central system, while it runs."""
        part = self._house.central
        return part.system if part is not None else None

    @property
    def own_address(self) -> str:
        """The URL of the charge point service, as central systems are told."""
        service = self._house.charge_points
        return service.own_address() if service is not None else ""

    def port(self, section: str) -> int:
        """The port that a section's listener was bound to."""
        role = self._house.central if section == "central_system" else self._house.charge_points
        assert role is not None
        return role.door.listener.port

    # Its life

    def bind(self) -> None:
        """Binds every port; no request is taken yet. Raises ``UserError``."""
        self._house.bind()
        control = self._house.settings.control
        if control is not None:
            self._control = ControlServer(self._reactor, control.socket)
            self._control.bind()

    async def start(self) -> None:
        """Opens storage, starts the roles, takes requests. Raises UserError or StorageError."""
        await self._house.start()
        self._ready = True
        if self._control is not None:
            self._control.open(self._central_for_commands, self)
            log.info("commands are taken at %s", self._control.path)
        self._notify(READY, self._status())

    def _status(self) -> str:
        boxes = sum(1 for part in self._house.parts()) - (self._house.central is not None)
        roles = ["a central system"] if self._house.central is not None else []
        roles += [f"{boxes} charge box{'es' if boxes > 1 else ''}"] if boxes else []
        return f"STATUS=runs {' and '.join(roles)}"

    def _central_for_commands(self) -> CentralSystem | None:
        """Raises :class:`ocppgw.net.gate.Away` while it is stopped."""
        part = self._house.central
        return part.here if part is not None else None

    async def stop(self) -> None:
        """Stops in order; may be called at any point of a start, and more than once."""
        self._ready = False
        self._house.ending = True
        self._notify(STOPPING)
        if self._control is not None:
            await self._ending.stop("the control socket", self._control.stop)
        if self._under_way:
            await self._ending.stop("what was being done to the gateway", self._finished)
        self._house.hand_over(self._ending)
        await self._ending.run()

    async def _finished(self) -> None:
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _by_itself(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Does it as soon as nothing else of the kind is done, and to its end."""

        async def do() -> T:
            async with self._alone:
                if not self._ready:
                    raise UserError("the gateway is starting or ending; try again when it runs")
                return await work()

        task = asyncio.ensure_future(do())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    # What may be done to it

    async def reload(self) -> Reloaded:
        """Reads the configuration file again and puts in force what has changed.

        A second one waits for the first. Raises ``UserError`` with everything that is
        wrong with the file; nothing has changed then.
        """
        try:
            return await self._by_itself(self._reload)
        except UserError as error:
            log.error("the configuration is not reloaded: %s", error)
            raise

    async def _reload(self) -> Reloaded:
        self._notify(RELOADING, f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        log.info("%s is read again", self._house.ground.path)
        try:
            reloaded = await Reloading(self._house, self._set_level).run()
        finally:
            if self._ready:
                self._notify(READY, self._status())
        log.info("the reload is done" if reloaded != Reloaded() else "nothing has changed")
        return reloaded

    def stores(self) -> Mapping[str, Store]:
        """What the gateway keeps data in: ``central``, and ``box-`` and its identity for each
        charge box, as in :func:`ocppgw.config.file_stores`."""
        return {part.store.name: part.store for part in self._house.parts()}

    async def backup(self, target: Path, by: str | None = None) -> Manifest:
        """Writes all stores that are files into a new archive. Raises ``StorageError``.

        ``by`` is who wants it, for the log.
        """

        async def work() -> Manifest:
            files = [
                StoreFile(name, store.path)
                for name, store in self.stores().items()
                if store.path is not None
            ]
            now = self._house.ground.clock.now()
            manifest = await asyncio.to_thread(backup.write, files, target, now)
            megabytes = sum(copied.size for copied in manifest.stores) / 1e6
            wanted = f", wanted by {by}" if by else ""
            log.info("a backup is written to %s: %.1f MB of stores%s", target, megabytes, wanted)
            return manifest

        return await self._by_itself(work)

    async def restore(self, source: Path, only: Sequence[str]) -> Sequence[str]:
        """Puts stores of an archive back, all of them or those named; gives their names.

        Raises ``UserError`` or ``StorageError``, which names the stores restored before.
        """

        async def work() -> Sequence[str]:
            manifest = await asyncio.to_thread(backup.read, source)
            files = {name: store.path for name, store in self.stores().items()}
            names = only or [copied.name for copied in manifest.stores]
            for name in names:
                manifest.copy_of(name)
                if files.get(name) is None:
                    there = ", ".join(known for known, file in files.items() if file is not None)
                    raise UserError(f"this gateway has no store `{name}`; there are: {there}")
            with backup.telling_what_is_restored() as restored:
                for name in names:
                    path = cast("Path", files[name])
                    await self._exchange(path, partial(_put_back, source, name, path))
                    restored.append(name)
            return restored

        return await self._by_itself(work)

    async def exchange(self, path: Path, replace: Callable[[], None]) -> None:
        """Calls ``replace`` in a thread while the store at ``path`` is closed.

        Whoever uses that store is stopped for it and started again, whether ``replace``
        raised or not; what it raised is raised here. ``UserError`` if nobody here uses
        that store, or if its user does not start with what is there now.
        """
        await self._by_itself(partial(self._exchange, path, replace))

    async def _exchange(self, path: Path, replace: Callable[[], None]) -> None:
        part = self._user_of(path)
        log.info("%s is stopped: its store is exchanged", part.name)
        await part.stop()
        try:
            await asyncio.to_thread(replace)
        finally:
            if not self._house.ending:  # else it would start behind the back of the end
                await self._started_again(part)

    async def _started_again(self, part: Part[Any]) -> None:
        try:
            await part.start()
        except Exception as error:
            await part.stop()
            raise UserError(
                f"{part.name} does not start with the store that is there now:"
                f" {sentence(error)}; put another one there, then `ocppgw reload`"
            ) from error
        log.info("%s runs again", part.name)

    def _user_of(self, path: Path) -> Part[Any]:
        wanted = path.resolve()
        for part in self._house.parts():
            file = part.store.path
            if file is not None and file.resolve() == wanted:
                return part
        raise UserError(f"{path}: no part of this gateway keeps its data there")


def _put_back(source: Path, name: str, path: Path) -> None:
    backup.put_back(source, name, path)
