"""Who may talk to us, and what is learned from every message of those that may."""

from __future__ import annotations

import logging
from datetime import datetime

from ocppgw.central.core import Core
from ocppgw.central.settings import CentralSettings, networks
from ocppgw.central.station import Registration, Station, boot_fields
from ocppgw.link.endpoint import callback_url, caller, within
from ocppgw.net.base import HttpRequest
from ocppgw.ocpp.enums import RegistrationStatus
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import BootNotificationRequest, BootNotificationResponse, Response
from ocppgw.ocpp.soap import Call

LOG = logging.getLogger(__name__)

_HINTS = {
    Registration.REFUSED: (
        "list it under central_system.stations, or set unknown_stations to accept or pending"
    ),
    Registration.PENDING: "it waits for an operator to accept it",
}


class Admission:
    """Lets stations in or turns them away, by configuration and the operator's word."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._stations = core.stations
        self._proxies = networks(core.settings.proxies)
        self._trusted = networks(core.settings.trusted_networks)

    def remote(self, http: HttpRequest) -> str:
        """Whose request it is: the connection's address, or what a trusted proxy says."""
        if not self._proxies:
            return http.remote_address
        return caller(http.remote_address, http.headers.get(b"x-forwarded-for"), self._proxies)

    async def admit(self, call: Call, remote: str) -> Station:
        """The station that calls; not every one is ``accepted``.

        Raises a SecurityError fault for a station that calls from the wrong address.
        """
        identity = self._stations.canonical(call.identity)
        station = self._stations.known(identity)
        if station is None:
            station = await self._stations.load(identity)
        elif call.request.__class__ is BootNotificationRequest:
            station = await self._stations.checked_again(station)
        if station is not None and station.networks and not within(remote, station.networks):
            raise Fault.security_error(f"{identity} may not call from {remote}")
        if station is None or station.new:
            station = await self._stations.take_in(identity, station)
        return station

    async def not_accepted(
        self, station: Station, call: Call, remote: str, now: datetime
    ) -> Response:
        """What a station hears that is not accepted (yet): Rejected to its boot, which it
        tries again, and a SecurityError fault to anything else."""
        if self._core.seldom(f"not accepted {station.identity}"):
            LOG.warning(
                "station %r at %s is %s: %s",
                station.identity,
                remote,
                station.registration.value,
                _HINTS[station.registration],
            )
        request = call.request
        if not isinstance(request, BootNotificationRequest):
            raise Fault.security_error()
        if station.registration is Registration.PENDING:
            fields = boot_fields(request) | {"lastBoot": now, "calledFrom": remote}
            await self._core.storage.commit(station.set("boot", self._core.stamp(), fields))
        return BootNotificationResponse(
            status=RegistrationStatus.REJECTED,
            current_time=now,
            interval=self._core.settings.retry_interval,
        )

    def heard(self, station: Station, call: Call, http: HttpRequest, remote: str) -> None:
        """Learns what a message tells besides its content; called for every one (Q3)."""
        wire = call.wire
        if station.said != wire.from_address or station.remote_seen != remote:
            self._learn(station, call, http, remote)
        if wire.warnings:
            for warning in wire.warnings:
                if station.warn_once(warning):
                    LOG.warning("station %s, taken all the same: %s", station.identity, warning)
        station.version = call.version

    def _learn(self, station: Station, call: Call, http: HttpRequest, remote: str) -> None:
        station.said, station.remote_seen = call.wire.from_address, remote
        station.called_as = own_url(self._core.settings, http) or station.called_as
        said = callback_url(
            call.wire.from_address, remote, reply_to=call.wire.reply_to, trusted=self._trusted
        )
        if said is not None:
            station.endpoint = said


def own_url(settings: CentralSettings, http: HttpRequest) -> str | None:
    """Our own URL: the configured one, or as the caller named us; ``None`` if it did not."""
    if settings.public_url is not None:
        return settings.public_url
    host = http.headers.get(b"host", b"").decode("latin-1")
    if not host:
        return None
    scheme = "https" if settings.listen.startswith(("ssl:", "tls:")) else "http"
    return f"{scheme}://{host}{settings.path}"
