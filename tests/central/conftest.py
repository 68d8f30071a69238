"""A central system over a store in memory, called with real envelopes."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.central import handlers as built_in
from ocppgw.central.service import CentralSystem
from ocppgw.central.settings import CentralSettings, UnknownStations, UserSettings
from ocppgw.net.base import HttpReply, HttpRequest
from ocppgw.ocpp import Direction, Version, by_request, decode_reply, encode_call
from ocppgw.ocpp.enums import UnitOfMeasure
from ocppgw.ocpp.model import (
    BootNotificationRequest,
    MeterValue,
    MeterValuesRequest,
    SampledValue,
    StartTransactionRequest,
    StopTransactionRequest,
)
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import FakeClock
from ocppgw.testing.storage import MemoryStorage

TO_US = Direction.TO_CENTRAL_SYSTEM
PATH = "/Ocpp/CentralSystemService"
FROM = "http://192.168.1.7:9000/Ocpp/ChargePointService"
T0 = datetime(2026, 1, 1, 11, 0, tzinfo=UTC)

boot = BootNotificationRequest(charge_point_vendor="Vendor", charge_point_model="Model")


def start(connector_id=1, id_tag="TAG", timestamp=T0, meter_start=1000, **more):
    return StartTransactionRequest(
        connector_id=connector_id,
        id_tag=id_tag,
        timestamp=timestamp,
        meter_start=meter_start,
        **more,
    )


def stop(transaction_id, id_tag="TAG", timestamp=T0 + timedelta(hours=1), meter_stop=5000, **more):
    return StopTransactionRequest(
        transaction_id=transaction_id,
        id_tag=id_tag,
        timestamp=timestamp,
        meter_stop=meter_stop,
        **more,
    )


def reading(wh, at=T0 + timedelta(minutes=5)):
    sample = SampledValue(value=str(wh), unit=UnitOfMeasure.WH)
    return MeterValue(timestamp=at, sampled_value=(sample,))


def values(*readings, connector_id=1, transaction_id=None):
    return MeterValuesRequest(
        connector_id=connector_id, transaction_id=transaction_id, meter_value=readings
    )


class Racing(MemoryStorage):
    """Lets a test act in between: ``first[name]`` runs before the next such call."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.first = {}

    async def _meanwhile(self, name):
        act = self.first.pop(name, None)
        if act is not None:
            await act()

    async def commit(self, *changes):
        await self._meanwhile(f"commit {changes[0].collection.name}")
        await super().commit(*changes)

    async def get(self, collection, key):
        document = await super().get(collection, key)
        await self._meanwhile(f"got {collection.name}")
        return document


class Dying(MemoryStorage):
    """Killed at the ``calls``-th call from now: that one does nothing, and none after it."""

    def __init__(self, collections, calls, contents=None):
        super().__init__(collections, contents=contents)
        self.calls = calls

    def _one(self):
        self.calls -= 1
        if self.calls < 0:
            raise StorageUnavailable("killed")

    async def commit(self, *changes):
        self._one()
        await super().commit(*changes)

    async def get(self, collection, key):
        self._one()
        return await super().get(collection, key)

    async def find(self, *arguments, **more):
        self._one()
        return await super().find(*arguments, **more)


class Stations:
    """What the tests of the transport side stand in for: the stations' own servers."""

    def __init__(self):
        self.posted = []
        self.answer = HttpReply(status=200, headers={}, body=b"")

    async def post(self, url, body, *, content_type, deadline):
        self.posted.append((url, body, content_type, deadline))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    """One process's central system, and the means to call it."""

    def __init__(self, storage, clock, settings, handlers=(), authorizers=()):
        self.storage = storage
        self.clock = clock
        self.settings = settings
        self.http = Stations()
        self.seen = []
        self.ids = itertools.count(1)
        self.central = CentralSystem(
            settings,
            storage=storage,
            clock=clock,
            http=self.http,
            observe=self.seen.append,
            secret=settings.secret.encode() if settings.secret else None,
            options=lambda plugin, options_type: options_type(),
            new_message_id=lambda: f"urn:uuid:{next(self.ids)}",
        )
        self.use(handlers, authorizers)

    def use(self, handlers=(), authorizers=()):
        """Third-party handlers {type: handler} and authorizers before the built-in ones."""
        context = self.central.context
        chains = {}
        for name, plugin in (*handlers, ("central", built_in.ocppgw_central_handlers(context))):
            for request, handler in plugin.items():
                chains.setdefault(request, []).append((name, handler))
        ours = [("central", a) for a in built_in.ocppgw_authorizers(context)]
        self.central.use(chains, [*authorizers, *ours])

    def envelope(self, request, identity="CP-1", sender=FROM, version=Version.V15):
        return encode_call(
            request,
            direction=TO_US,
            version=version,
            identity=identity,
            message_id="the-same-for-all",
            to="http://central/",
            sender=sender,
        )

    async def post(self, body, remote="10.0.0.7", path=PATH, method="POST", query="", **headers):
        sent = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        target = f"{path}?{query}" if query else path
        return await self.central.answer(
            HttpRequest(
                method=method,
                target=target,
                path=path,
                query=query,
                headers={b"host": b"central.example:9220"} | sent,
                body=body,
                remote_address=remote,
            )
        )

    async def call(self, request, identity="CP-1", *, sender=FROM, **more):
        """The typed answer, or the ``Fault`` raised."""
        reply = await self.post(self.envelope(request, identity, sender), **more)
        return decode_reply(
            reply.body,
            direction=TO_US,
            version=Version.V15,
            operation=by_request(TO_US, type(request)),
        )

    async def all(self, collection):
        return await self.storage.find(collection)

    async def another(self):
        """A second process over the same store."""
        other = Bench(self.storage, self.clock, self.settings)
        await other.central.start()
        return other


@pytest.fixture
def tools():
    """The makers of requests, since test modules cannot import from each other."""

    class Tools:
        pass

    tools = Tools()
    tools.start, tools.stop, tools.reading, tools.values = start, stop, reading, values
    tools.Racing, tools.Dying = Racing, Dying
    tools.boot, tools.T0, tools.Bench, tools.FROM, tools.PATH = boot, T0, Bench, FROM, PATH
    return tools


@pytest.fixture
def make():
    """``await make(**settings)`` gives a started :class:`Bench`; clean up with ``stop``."""

    async def made(handlers=(), authorizers=(), storage=None, clock=None, **settings):
        settings.setdefault("unknown_stations", UnknownStations.ACCEPT)
        settings.setdefault("users", (UserSettings(id_tag="TAG"),))
        storage = storage or MemoryStorage(CentralSystem.COLLECTIONS)
        bench = Bench(
            storage, clock or FakeClock(), CentralSettings(**settings), handlers, authorizers
        )
        await bench.central.start()
        return bench

    return made
