"""What the parts of a gateway are, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from twisted.internet.base import ReactorBase

from ocppgw.clock import Clock
from ocppgw.config import ClientSettings, Configuration
from ocppgw.ending import Ending
from ocppgw.errors import UserError
from ocppgw.gateway.files import digests_in
from ocppgw.net.base import HttpReply
from ocppgw.net.client import HttpClient
from ocppgw.net.gate import Gate
from ocppgw.observing import Observers
from ocppgw.plugins import Plugins
from ocppgw.storage.base import Storage, StorageError

GRACE = 5.0  # seconds that requests in flight have before their part is stopped

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)
PlanT = TypeVar("PlanT")


class Context:
    """What hooks of the gateway as a whole are given (``GatewayContext``).

    Plugins are asked at the start only, so it stays with the configuration of then.
    """

    def __init__(
        self, clock: Clock, configuration: Configuration, identities: Callable[[], Iterable[str]]
    ) -> None:
        self.clock = clock
        self._configuration = configuration
        self._identities = identities

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration; ``UserError`` if it is wrong."""
        return self._configuration.options(options_type, "plugins", "options", plugin)

    def identities(self) -> tuple[str, ...]:
        """The charge boxes of this gateway."""
        return tuple(self._identities())


class SharedClient:
    """The HTTP client of all roles; another one may take its place while they run.

    Raises UserError for files of the settings that cannot be used; ``files`` are their
    digests.
    """

    def __init__(self, reactor: ReactorBase, settings: ClientSettings) -> None:
        self._reactor = reactor
        self._client, self._gate = self._made(settings)
        self.files = digests_in(settings)

    async def post(
        self, url: str, body: bytes, *, content_type: bytes, deadline: float
    ) -> HttpReply:
        """As :meth:`ocppgw.net.client.HttpClient.post`."""
        client = self._client
        return await self._gate.through(
            lambda: client.post(url, body, content_type=content_type, deadline=deadline)
        )

    async def change(self, settings: ClientSettings) -> None:
        """Uses those settings from now on; calls under way have a while to be finished."""
        made = self._made(settings)
        (client, gate), (self._client, self._gate) = (self._client, self._gate), made
        self.files = digests_in(settings)
        await gate.shut(GRACE)
        await client.close()

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()

    def _made(self, settings: ClientSettings) -> tuple[HttpClient, Gate]:
        gate = Gate()
        gate.open()
        return HttpClient(self._reactor, settings.limits, settings.tls), gate


class Ground:
    """What all parts stand on."""

    def __init__(
        self,
        configuration: Configuration,
        plugins: Plugins,
        reactor: ReactorBase,
        clock: Clock,
        identities: Callable[[], Iterable[str]],
    ) -> None:
        self.path = configuration.path
        self.plugins = plugins
        self.reactor = reactor
        self.clock = clock
        self.context = Context(clock, configuration, identities)
        self.http = SharedClient(reactor, configuration.settings.http_client)
        self.observers = Observers(())  # until plugins are asked, at the start


@dataclass(frozen=True)
class Store:
    """A store, with the name of whose it is. ``path`` is that of its file, ``None`` if it
    is not one of ours; ``storage`` is as it was opened last, ``None`` if it never was."""

    name: str
    path: Path | None
    storage: Storage | None


class Part(ABC, Generic[PlanT]):
    """A part of the gateway that can be stopped and started singly, any number of times.

    ``plan`` is what it is made from.
    """

    def __init__(self, name: str, plan: PlanT) -> None:
        self.name = name
        self.plan = plan
        self.running = False
        self._ending = Ending()

    async def start(self) -> None:
        """Starts it; whatever it raises, :meth:`stop` clears away what had begun."""
        await self.begin(self.plan, self._ending)
        self.running = True

    async def stop(self) -> None:
        """Stops it, within the time that :mod:`ocppgw.ending` gives."""
        self.running = False
        await self._ending.run()

    def hand_over(self, ending: Ending) -> None:
        """Leaves its end to the end of the whole gateway."""
        ending.take(self._ending)

    @property
    @abstractmethod
    def store(self) -> Store:
        """Where it keeps its data."""

    @abstractmethod
    async def begin(self, plan: PlanT, ending: Ending) -> None:
        """Starts what the plan says and tells ``ending`` how each of it is stopped."""

    async def restart(self, plan: PlanT) -> None:
        """Stops it if it runs and starts it by that plan; if that fails, by its old one.

        The ``UserError`` says what failed, and whether the old one runs again.
        """
        old = self.plan
        await self.stop()
        self.plan = plan
        try:
            await self.start()
        except Exception as error:
            await self.stop()
            self.plan = old
            raise UserError(f"{sentence(error)}; {await self._again()}") from error

    async def _again(self) -> str:
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001  told, with what went before
            await self.stop()
            return f"it does not run, for with its old settings, too: {sentence(error)}"
        return "it runs with its old settings"


def sentence(error: Exception) -> str:
    """The error in words."""
    if isinstance(error, (UserError, StorageError)):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"
