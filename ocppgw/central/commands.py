"""Commands to stations: sent to where the station listens, or the reason why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from ocppgw.central.core import Core
from ocppgw.central.station import Station
from ocppgw.link.base import NoEndpoint, PeerError, PeerTimeout, Unreachable
from ocppgw.link.soap import Poster, SoapPeer
from ocppgw.observe import Observed
from ocppgw.ocpp.model import GetDiagnosticsResponse, Request, Response
from ocppgw.ocpp.operations import Direction

DONE = frozenset({"Accepted", "Scheduled", "RebootRequired", "Unlocked"})
"""The values of ``status`` that say so, of whatever operation."""

EXPLANATION_WAIT = 3.0
"""Seconds that a station has to say why it refused."""

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"


class Reach(Enum):
    """Whether a station can be called."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"


class Reachability(msgspec.Struct, frozen=True, kw_only=True):
    """What the last command showed; ``why`` is a sentence for the operator."""

    state: Reach = Reach.UNKNOWN
    since: datetime | None = None
    why: str = ""


class Commands:
    """Calls stations, and remembers whether they could be reached."""

    def __init__(
        self,
        core: Core,
        http: Poster,
        observe: Callable[[Observed], None] | None,
        new_message_id: Callable[[], str],
    ) -> None:
        self._core = core
        self._http = http
        self._observe = observe
        self._new_message_id = new_message_id
        self._reach: dict[str, Reachability] = {}

    async def call(self, identity: str, request: Request, deadline: float) -> Response:
        """Sends a command; raises :class:`PeerError` if it fails, or ``StorageError``, before
        anything is sent, if the station is not at hand and the store is away."""
        station = await self.station(identity)
        peer = SoapPeer(
            self._http,
            identity=station.identity,
            version=station.version,
            direction=Direction.TO_CHARGE_POINT,
            endpoint=lambda: station.override or station.endpoint,
            own_address=lambda: self._own_address(station),
            new_message_id=self._new_message_id,
            observe=self._observe,
            clock=self._core.clock,
            role="central",
            missing_endpoint=_missing_endpoint(station.identity),
        )
        try:
            response = await peer.call(request, deadline)
        except PeerError as e:
            self._note(station, e)
            raise
        self._note(station, None)
        return response

    async def station(self, identity: str) -> Station:
        """The station that may be sent commands; raises :class:`NoEndpoint` for others."""
        stations = self._core.stations
        station = await stations.load(stations.canonical(identity))
        if station is None:
            raise NoEndpoint(
                f"no station {identity} is known here; check the identity, or let it call first"
            )
        if not station.accepted:
            raise NoEndpoint(
                f"station {identity} is {station.registration.value}; accept it before"
                " sending commands"
            )
        return station

    def _own_address(self, station: Station) -> str:
        return self._core.settings.public_url or station.called_as or ANONYMOUS

    def _note(self, station: Station, error: PeerError | None) -> None:
        if isinstance(error, (Unreachable, PeerTimeout)):
            state = Reach.UNREACHABLE
        elif error is None or error.delivered:
            state = Reach.REACHABLE
        else:
            return
        before = self._reach.get(station.identity)
        since = self._core.clock.now()
        if before is not None and before.state is state and before.since is not None:
            since = before.since
        why = "" if error is None else str(error)
        self._reach[station.identity] = Reachability(state=state, since=since, why=why)

    def reachability(self, identity: str, endpoint: str | None) -> Reachability:
        """What is known of a station's reachability."""
        if endpoint is None:
            return Reachability(why=_missing_endpoint(identity))
        return self._reach.get(identity, Reachability())

    async def explanation(self, identity: str, since: datetime, wait: float) -> str | None:
        """What the station reported of itself since then (the ``info`` of its
        StatusNotifications), waited for that many seconds; ``None`` if nothing came."""
        station = self._core.stations.known(self._core.stations.canonical(identity))
        if station is None:
            return None
        for at, text in reversed(station.reports):
            if at >= since:
                return text
        return await self._next_report(station, wait)

    async def _next_report(self, station: Station, wait: float) -> str | None:
        report: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        timer = asyncio.ensure_future(self._core.clock.sleep(wait))
        station.waiters.add(report)
        try:
            either: tuple[asyncio.Future[Any], ...] = (report, timer)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            station.waiters.discard(report)
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        return report.result() if report.done() else None


def accepted(response: Response) -> bool:
    """Whether a station does, or will do, what it was told. One that names no file of
    diagnostics uploads none."""
    if isinstance(response, GetDiagnosticsResponse):
        return response.file_name is not None
    status = getattr(response, "status", None)
    return status is None or getattr(status, "value", None) in DONE


def _missing_endpoint(identity: str) -> str:
    return (
        f"station {identity} has not told where it listens (no usable wsa:From); set"
        f" central_system.stations.{identity}.endpoint to its URL"
    )
