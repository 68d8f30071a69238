"""What a charge box's section of the configuration says."""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from ocppgw.chargepoint.keys import Keys
from ocppgw.net.base import ConnectFailed
from ocppgw.net.urls import target_of

Seconds = Annotated[float, Meta(gt=0)]
Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text50 = Annotated[str, Meta(max_length=50)]


class CentralSystemLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The central system of a charge box."""

    url: Annotated[str, Meta(description="Where it listens, an http or https URL.")]
    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="IP addresses or networks (10.1.0.0/16) that may send commands to this "
            "box. May be left out when the URL names an IP address."
        ),
    ] = ()
    deadline: Annotated[
        Seconds, Meta(description="Seconds that it has for the answer to a message.")
    ] = 30.0

    def __post_init__(self) -> None:
        wrong = ValueError(f"`url` must be an http or https URL, got {self.url!r}")
        try:
            target = target_of(self.url)
        except ConnectFailed:
            raise wrong from None
        if target.port == 0:
            raise wrong
        for address in self.addresses:
            ip_network(address, strict=False)
        if not self.addresses:
            try:
                ip_address(target.host)
            except ValueError:
                raise ValueError(
                    f"`addresses` must name who may call this box, since the URL's host "
                    f"{target.host!r} is no IP address"
                ) from None

    def allows(self, remote_address: str) -> bool:
        """Whether a call from that IP address may come from this central system."""
        allowed = self.addresses or (urlsplit(self.url).hostname or "",)
        try:
            address = ip_address(remote_address)
        except ValueError:
            return False
        return any(address in ip_network(network, strict=False) for network in allowed)


class CommandDeadlines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the PLC has for what it is told; all in seconds."""

    remote_start: Annotated[
        Seconds, Meta(description="Seconds for a remote start or stop (the original: 50 x 300 ms).")
    ] = 15.0
    command: Annotated[
        Seconds, Meta(description="Seconds for unlock, availability, reset and other commands.")
    ] = 15.0
    answer: Annotated[
        Seconds,
        Meta(description="Seconds for one attempt to hand the PLC an answer; then again."),
    ] = 10.0
    session_end: Annotated[
        Seconds,
        Meta(description="Seconds that a session has to end before an unlock or a soft reset."),
    ] = 10.0


class SamplesFrom(Enum):
    """What the samples of a transaction are counted from (O-35)."""

    TRANSACTION = "transaction"
    CLOCK = "clock"


class Checkpoints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a running session's energy is written to the disk."""

    wh: Annotated[int, Meta(ge=1, description="Wh after which it is written again.")] = 250
    minutes: Annotated[float, Meta(gt=0, description="Minutes after which it is.")] = 15.0


class ChargeBoxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One charge box: a PLC that is to be an OCPP charge point."""

    identity: Annotated[
        str,
        Meta(min_length=1, max_length=48, description="The chargeBoxIdentity it reports under."),
    ]
    central_system: Annotated[
        CentralSystemLink, Meta(description="The central system it reports to and obeys.")
    ]
    state: Annotated[
        str,
        Meta(min_length=1, description="Path of its own state file, always on a local disk."),
    ]
    plc: Annotated[
        dict[str, Any],
        Meta(description="The PLC: `driver`, and the keys that this driver knows."),
    ]
    connectors: Annotated[
        int, Meta(ge=1, le=64, description="How many connectors it has, numbered from 1.")
    ] = 1
    public_url: Annotated[
        str | None,
        Meta(
            description="Where the central system can reach this box's service, if that differs "
            "from the charge point server's own."
        ),
    ] = None
    vendor: Annotated[
        str, Meta(max_length=20, description="chargePointVendor, unless the PLC says.")
    ] = "ocppgw"
    model: Annotated[
        str, Meta(max_length=20, description="chargePointModel, unless the PLC says.")
    ] = "PLC"
    serial_number: Annotated[
        Text25 | None,
        Meta(description="chargePointSerialNumber, unless the PLC says."),
    ] = None
    charge_box_serial_number: Annotated[
        Text25 | None, Meta(description="chargeBoxSerialNumber.")
    ] = None
    firmware_version: Annotated[
        Text50 | None, Meta(description="firmwareVersion, unless the PLC says.")
    ] = None
    iccid: Annotated[Text20 | None, Meta(description="Of the modem's SIM.")] = None
    imsi: Annotated[Text20 | None, Meta(description="Of the modem's SIM.")] = None
    meter_type: Annotated[Text25 | None, Meta(description="meterType, unless the PLC says.")] = None
    meter_serial_number: Annotated[
        Text25 | None, Meta(description="meterSerialNumber, unless the PLC says.")
    ] = None
    boot_retry: Annotated[
        Seconds,
        Meta(
            description="Seconds until the next BootNotification when the central system does "
            "not answer or names no interval; doubles up to `boot_retry_longest`."
        ),
    ] = 10.0
    boot_retry_longest: Annotated[
        Seconds, Meta(description="The longest such wait, in seconds.")
    ] = 300.0
    configuration: Annotated[
        Keys,
        Meta(
            description="The configuration keys, by their OCPP names, until the central system "
            "changes them."
        ),
    ] = field(default_factory=Keys)
    checkpoint: Annotated[
        Checkpoints, Meta(description="How often a running session's energy is saved.")
    ] = field(default_factory=Checkpoints)
    keep_sessions_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36_500,
            description="Days that a session stays in the state file after its end.",
        ),
    ] = 400
    samples_from: Annotated[
        SamplesFrom,
        Meta(
            description="Whether MeterValueSampleInterval counts from the start of each "
            "transaction or from midnight UTC."
        ),
    ] = SamplesFrom.TRANSACTION
    stop_data_limit: Annotated[
        int,
        Meta(
            ge=10,
            le=2000,
            description="How many meter values StopTransaction brings along at most; of a longer "
            "session those between its begin and its end are thinned out evenly.",
        ),
    ] = 500
    idle_values_kept: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="How many meter values of a connector without a transaction are kept "
            "while the central system cannot be reached; the oldest fall away.",
        ),
    ] = 48
    deadlines: Annotated[
        CommandDeadlines, Meta(description="How long the PLC has for a command.")
    ] = field(default_factory=CommandDeadlines)
    local_list_length: Annotated[
        int, Meta(ge=1, le=100_000, description="How many tags the local list may hold.")
    ] = 10_000
    cache_length: Annotated[
        int,
        Meta(ge=1, le=100_000, description="How many judged tags are remembered beside it."),
    ] = 1_000
    plc_grace: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds that the PLC may be away before its connectors are reported "
            "as Faulted.",
        ),
    ] = 3.0
    handler_deadline: Annotated[
        Seconds, Meta(description="How long a plugin's handler may take, in seconds.")
    ] = 20.0
    tag_answer_age: Annotated[
        Seconds,
        Meta(description="Seconds after which the answer to a tag is of no use: it is refused."),
    ] = 20.0
    refused_start_wait: Annotated[
        Seconds,
        Meta(
            description="Seconds that the PLC has, once told that its start was refused, to "
            "report the stop; then the charge box stops the transaction itself."
        ),
    ] = 30.0
