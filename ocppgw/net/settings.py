"""The limits and time-outs of HTTP, as they stand in the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

KIB = 1024
MIB = 1024 * KIB


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a listener takes from its clients. Sizes are bytes, times seconds."""

    header_bytes: Annotated[
        int, Meta(description="Request line and headers together, at most.", ge=256, le=MIB)
    ] = 16 * KIB
    header_count: Annotated[
        int, Meta(description="Headers of a request, at most.", ge=4, le=10_000)
    ] = 100
    body_bytes: Annotated[
        int,
        Meta(
            description="Body of a request, at most, before and after decompression. A"
            " SendLocalList of 10,000 tags is up to 3 MB, the transactionData of an eight-hour"
            " session sampled every minute about 600 kB: a limit below turns them away.",
            ge=KIB,
        ),
    ] = 4 * MIB
    pending_body_bytes: Annotated[
        int,
        Meta(
            description="Bodies that are still arriving, over all connections, at most; beyond"
            " it the one that is just arriving is turned away with 503.",
            ge=KIB,
        ),
    ] = 64 * MIB
    idle_timeout: Annotated[
        float, Meta(description="Time without a request after which a connection is closed.", gt=0)
    ] = 120.0
    header_timeout: Annotated[
        float, Meta(description="From a request's first byte to the end of its headers.", gt=0)
    ] = 20.0
    body_timeout: Annotated[
        float,
        Meta(
            description="From the end of the headers to the end of the body; mobile stations"
            " need over a minute for a large StopTransaction.",
            gt=0,
        ),
    ] = 120.0
    handler_timeout: Annotated[
        float,
        Meta(description="Time to answer a request; then the client gets a 503.", gt=0),
    ] = 60.0
    send_timeout: Annotated[
        float,
        Meta(
            description="Time that a client may leave its reply unread, or its side of a"
            " connection that we close open.",
            gt=0,
        ),
    ] = 30.0
    connections: Annotated[
        int, Meta(description="Open connections, at most; more are turned away with 503.", ge=1)
    ] = 10_000
    connections_per_address: Annotated[
        int,
        Meta(
            description="Open connections of one address, at most; 0 for no such limit, as"
            " behind a reverse proxy, where all connections have its address.",
            ge=0,
        ),
    ] = 1_000
    compress_bytes: Annotated[
        int,
        Meta(
            description="Replies of at least this size are compressed if the client can read"
            " it; the default is about one packet, below which nothing is gained.",
            ge=0,
        ),
    ] = 1_400


class ClientLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What our HTTP client takes from its servers. Sizes are bytes, times seconds."""

    header_bytes: Annotated[
        int, Meta(description="Status line and headers of a reply, at most.", ge=256, le=MIB)
    ] = 32 * KIB
    body_bytes: Annotated[
        int,
        Meta(
            description="Body of a reply, at most, before and after decompression.",
            ge=KIB,
        ),
    ] = 2 * MIB
    connections_per_host: Annotated[
        int, Meta(description="Connections to one server, at most; calls beyond it wait.", ge=1)
    ] = 8
    idle_timeout: Annotated[
        float, Meta(description="Time after which an unused connection is closed.", gt=0)
    ] = 30.0


class ClientTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How https servers are checked, and how we show who we are."""

    ca_file: Annotated[
        Path | None,
        Meta(
            description="PEM file of the certificate authorities to trust instead of the system's."
        ),
    ] = None
    certificate_file: Annotated[
        Path | None,
        Meta(description="PEM file of our client certificate, and its chain if it has one."),
    ] = None
    key_file: Annotated[
        Path | None,
        Meta(
            description="PEM file of the client certificate's private key; by default it is"
            " looked for in certificate_file."
        ),
    ] = None
