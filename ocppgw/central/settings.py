"""The keys of ``central_system`` in the configuration file."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from ipaddress import ip_network
from typing import Annotated

import msgspec
from msgspec import Meta

from ocppgw.central.retention import RetentionSettings
from ocppgw.link.endpoint import Network, callback_url
from ocppgw.net.settings import HttpLimits


class UnknownStations(Enum):
    """What happens to a station that nobody announced."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    PENDING = "pending"


class IdentityCase(Enum):
    """How two spellings of an identity compare (Q7)."""

    EXACT = "exact"
    FOLD = "fold"


class UserStatus(Enum):
    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks from text, a single address being a network of one; ValueError names a bad one."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise ValueError(
                f"`{text}` is no IP address or network; write for example 10.1.0.0/16"
            ) from None
    return tuple(found)


class StationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A station that the operator announces; every key may be left out."""

    endpoint: Annotated[
        str | None,
        Meta(
            description="URL at which the station is called, whatever it says itself; needed"
            " for stations behind NAT or a proxy, and for those that do not send wsa:From."
        ),
    ] = None
    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="IP addresses or networks that the station may call from; anybody"
            " else with its identity is refused. Empty: any."
        ),
    ] = ()

    def __post_init__(self) -> None:
        networks(self.addresses)
        if self.endpoint is not None and not callback_url(self.endpoint, "127.0.0.1"):
            raise ValueError(
                f"endpoint: expected an absolute URL like http://10.1.2.3:9000/Ocpp/"
                f"ChargePointService, got `{self.endpoint}`"
            )


class UserSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag that may charge, or may not."""

    id_tag: Annotated[
        str, Meta(description="The tag as the reader gives it; case does not matter.", min_length=1)
    ]
    status: Annotated[UserStatus, Meta(description="`accepted`, `blocked` or `expired`.")] = (
        UserStatus.ACCEPTED
    )
    expiry_date: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="From then on the tag is answered Expired. Left out: valid, and told"
            " to stations with an expiry date `authorization_days` ahead."
        ),
    ] = None
    parent_id_tag: Annotated[
        str | None,
        Meta(description="Tags of one parent may stop each other's transactions.", min_length=1),
    ] = None
    name: Annotated[str | None, Meta(description="Whose it is, for the operator's eyes.")] = None


class CentralSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The central system: whom it serves, and how it answers."""

    listen: Annotated[
        str,
        Meta(
            description="Where it listens: a Twisted endpoint string such as"
            " `tcp:9220:interface=0.0.0.0` or `ssl:9220:privateKey=key.pem:certKey=cert.pem`."
        ),
    ] = "tcp:9220:interface=127.0.0.1"
    path: Annotated[
        str,
        Meta(
            description="Path of the service; case, a final slash and a query do not matter.",
            pattern="^/",
        ),
    ] = "/Ocpp/CentralSystemService"
    public_url: Annotated[
        str | None,
        Meta(
            description="Our own URL as stations see it, for wsa:From and the WSDL. Left out:"
            " the one that the station used."
        ),
    ] = None
    unknown_stations: Annotated[
        UnknownStations,
        Meta(
            description="A station that is neither listed here nor stored: `refuse` it,"
            " `accept` it at once, or keep it `pending` until an operator's word."
        ),
    ] = UnknownStations.REFUSE
    identity_case: Annotated[
        IdentityCase,
        Meta(description="Whether `CP-1` and `cp-1` are two stations (`exact`) or one (`fold`)."),
    ] = IdentityCase.EXACT
    stations: Annotated[
        dict[str, StationSettings],
        Meta(description="The stations known beforehand, by identity (chargeBoxIdentity)."),
    ] = msgspec.field(default_factory=dict)
    max_stations: Annotated[
        int,
        Meta(
            description="How many unknown stations `accept` and `pending` take in, so that"
            " nobody can fill the store with invented ones.",
            ge=1,
        ),
    ] = 10_000
    assumed_connectors: Annotated[
        int,
        Meta(
            description="Connectors that a new station is shown with before it reports any;"
            " their status is Unknown until then.",
            ge=0,
            le=64,
        ),
    ] = 1
    max_connectors: Annotated[
        int,
        Meta(
            description="The highest connector number taken for real; reports for higher ones"
            " are stored but add no connector to the station.",
            ge=1,
            le=1000,
        ),
    ] = 64
    heartbeat_interval: Annotated[
        int, Meta(description="Told to accepted stations, in seconds.", ge=1)
    ] = 20
    retry_interval: Annotated[
        int,
        Meta(
            description="Told to stations whose boot is answered Rejected: when to try again,"
            " in seconds.",
            ge=1,
        ),
    ] = 60
    authorization_days: Annotated[
        int,
        Meta(
            description="The expiry date sent with an accepted tag is that many days ahead.",
            ge=1,
            le=3650,
        ),
    ] = 30
    refuse_concurrent: Annotated[
        bool,
        Meta(
            description="Whether a tag that is charging already is answered ConcurrentTx when"
            " it starts somewhere else."
        ),
    ] = False
    users: Annotated[
        tuple[UserSettings, ...],
        Meta(
            description="Tags known beforehand; they win over those in the store and can be"
            " changed here only."
        ),
    ] = ()
    users_cache: Annotated[
        int,
        Meta(
            description="For how many seconds a stored tag is remembered, and thus how late a"
            " change by another process is seen. Changes through this gateway count at once.",
            ge=0,
        ),
    ] = 30
    clock_tolerance: Annotated[
        int,
        Meta(
            description="How far a station's timestamps may lie in the future, in seconds,"
            " before they are marked as suspect.",
            ge=1,
        ),
    ] = 300
    max_session_energy: Annotated[
        int,
        Meta(
            description="A transaction of more than that many Wh is marked as suspect.",
            ge=1,
        ),
    ] = 1_000_000
    close_after_available: Annotated[
        int,
        Meta(
            description="A transaction whose stop never came is closed when its connector has"
            " been reported Available for that many seconds, without a value of it; values that"
            " come later move that end, a stop replaces it. 0: never.",
            ge=0,
        ),
    ] = 300
    command_deadline: Annotated[
        float,
        Meta(description="How long a command to a station may take, in seconds.", gt=0),
    ] = 30.0
    max_pending: Annotated[
        int,
        Meta(
            description="How many commands sent with `--later` may wait for one station.",
            ge=1,
            le=1000,
        ),
    ] = 32
    handler_deadline: Annotated[
        float,
        Meta(description="How long a plugin's handler or authorizer may take, in seconds.", gt=0),
    ] = 20.0
    queue_per_station: Annotated[
        int,
        Meta(
            description="Calls of one station that may wait for their turn; one more is told"
            " to come back later.",
            ge=1,
        ),
    ] = 32
    proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of reverse proxies whose X-Forwarded-For is"
            " believed."
        ),
    ] = ()
    trusted_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks inside which a station's own word for its address (wsa:From)"
            " is believed; anywhere else the connection's address is taken."
        ),
    ] = ()
    secret: Annotated[
        str | None,
        Meta(
            description="Secret that transaction ids are made from; at least 16 characters."
            " Left out: one is made and kept in the store.",
            min_length=16,
        ),
    ] = None
    retention: Annotated[
        RetentionSettings, Meta(description="For how long what piles up is kept.")
    ] = RetentionSettings()
    limits: Annotated[HttpLimits, Meta(description="Limits and time-outs of the listener.")] = (
        HttpLimits()
    )

    def __post_init__(self) -> None:
        for name, texts in (("proxies", self.proxies), ("trusted_networks", self.trusted_networks)):
            try:
                networks(texts)
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
        _no_duplicates("users", [user.id_tag.casefold() for user in self.users])
        if self.identity_case is IdentityCase.FOLD:
            _no_duplicates("stations", [identity.casefold() for identity in self.stations])


def _no_duplicates(key: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{key}: `{name}` is there twice; leave one of them out")
