"""The configuration keys of a charge box (O-27, O-38): each one declared once.

A key's name, type, range, default and description stand here. The same declaration reads
the YAML file's ``configuration`` section, checks what ChangeConfiguration brings, and
makes the reference page.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from ocppgw.chargepoint.values import SAYABLE
from ocppgw.describe import described
from ocppgw.ocpp.enums import Measurand

A_WEEK = 7 * 24 * 3600

Interval = Annotated[int, Meta(ge=0, le=A_WEEK)]

O37_MEASURANDS = (
    Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
    Measurand.POWER_ACTIVE_IMPORT,
    Measurand.VOLTAGE,
    Measurand.CURRENT_IMPORT,
)


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that the central system may change, under their OCPP names."""

    heartbeat_interval: Annotated[
        int,
        Meta(
            ge=1,
            le=A_WEEK,
            description="Seconds between heartbeats; a boot answer's interval takes its place.",
        ),
    ] = field(default=300, name="HeartBeatInterval")
    connection_timeout: Annotated[
        Interval,
        Meta(
            description="Seconds from a tag's acceptance until the car has to be plugged in; "
            "handed to the PLC, which runs the session."
        ),
    ] = field(default=60, name="ConnectionTimeOut")
    sample_interval: Annotated[
        Interval,
        Meta(description="Seconds between the samples of a transaction, 0 for none."),
    ] = field(default=60, name="MeterValueSampleInterval")
    aligned_interval: Annotated[
        Interval,
        Meta(
            description="Seconds between the samples aligned to the clock, counted from "
            "midnight UTC, 0 for none."
        ),
    ] = field(default=0, name="ClockAlignedDataInterval")
    sampled_data: Annotated[
        tuple[Measurand, ...],
        Meta(description="What MeterValues report of the samples of a transaction."),
    ] = field(default=O37_MEASURANDS, name="MeterValuesSampledData")
    aligned_data: Annotated[
        tuple[Measurand, ...],
        Meta(description="What MeterValues report of the samples aligned to the clock."),
    ] = field(default=O37_MEASURANDS[:1], name="MeterValuesAlignedData")
    stop_sampled_data: Annotated[
        tuple[Measurand, ...],
        Meta(description="What StopTransaction brings along of a transaction's samples."),
    ] = field(default=(), name="StopTxnSampledData")
    stop_aligned_data: Annotated[
        tuple[Measurand, ...],
        Meta(description="What StopTransaction brings along of the samples aligned to the clock."),
    ] = field(default=(), name="StopTxnAlignedData")
    sample_on_transaction: Annotated[
        bool,
        Meta(
            description="Whether samples are taken during transactions only; without it, every "
            "connector is sampled all the time (the original's key)."
        ),
    ] = field(default=True, name="SampleOnTransaction")
    transaction_attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="How often a transaction message is sent that the central system "
            "answers with a fault; then it is parked.",
        ),
    ] = field(default=3, name="TransactionMessageAttempts")
    transaction_retry_interval: Annotated[
        float,
        Meta(
            gt=0,
            le=A_WEEK,
            description="Seconds until such a message is sent again, times the transmissions.",
        ),
    ] = field(default=60.0, name="TransactionMessageRetryInterval")
    local_list_enabled: Annotated[
        bool,
        Meta(description="Whether the local authorization list counts; it is kept anyway."),
    ] = field(default=True, name="LocalAuthListEnabled")
    cache_enabled: Annotated[
        bool,
        Meta(description="Whether tags that the central system has judged are remembered."),
    ] = field(default=True, name="AuthorizationCacheEnabled")
    local_pre_authorize: Annotated[
        bool,
        Meta(
            description="Whether a remembered tag may charge at once, without asking the central "
            "system. A tag of the local list always may (O-32)."
        ),
    ] = field(default=False, name="LocalPreAuthorize")
    local_authorize_offline: Annotated[
        bool,
        Meta(
            description="Whether the local list and remembered tags count while the central "
            "system cannot be reached."
        ),
    ] = field(default=True, name="LocalAuthorizeOffline")
    allow_offline_unknown: Annotated[
        bool,
        Meta(
            description="Whether a tag that nobody knows may charge while the central system "
            "cannot be reached."
        ),
    ] = field(default=False, name="AllowOfflineTxForUnknownId")

    def __post_init__(self) -> None:
        for name, info in FIELDS.items():
            value = getattr(self, info.name)
            for one in value if isinstance(value, tuple) else ():
                if one not in SAYABLE:
                    raise ValueError(f"`{name}`: OCPP 1.5 has no word for {one.value}")


FIELDS = {info.encode_name: info for info in msgspec.structs.fields(Keys)}


def parsed(name: str, text: str) -> Any:
    """The value that ChangeConfiguration's text means for the key of that name.

    Lists are comma separated; a measurand named twice counts once. Case does not matter.
    Raises ValueError for what the key cannot be.
    """
    kind = FIELDS[name].type
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    text = text.strip()
    plain: object = text
    if get_origin(bare) is tuple:
        parts = [part.strip() for part in text.split(",")]
        known = {measurand.value.casefold(): measurand.value for measurand in Measurand}
        plain = list(dict.fromkeys(known.get(part.casefold(), part) for part in parts if part))
    elif bare is bool:
        plain = {"true": True, "1": True, "false": False, "0": False}.get(text.casefold(), text)
    elif re.fullmatch(r"\+?[0-9]+", text):
        plain = int(text)
    try:
        return msgspec.convert(plain, kind, strict=bare is bool)
    except msgspec.ValidationError:
        raise ValueError(f'expected {described(kind)}, got "{text}"') from None


def shown(value: object) -> str:
    """A key's value as GetConfiguration reports it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(shown(one) for one in value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
