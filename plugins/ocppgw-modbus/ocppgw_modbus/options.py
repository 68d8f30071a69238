"""The driver's keys in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535, description="TCP port of the device.")]


class ModbusOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PLC or wallbox on Modbus TCP, described by a register map."""

    host: Annotated[str, Meta(min_length=1, description="Host name or address of the device.")]
    map: Annotated[Path, Meta(description="Register map, from this file's folder.")]
    port: Port = 502
    unit_id: Annotated[
        Annotated[int, Meta(ge=0, le=255)] | None,
        Meta(description="Modbus unit identifier, if it is not the map's."),
    ] = None
    timeout: Annotated[
        float, Meta(gt=0, le=60, description="Seconds a request may take before the line is lost.")
    ] = 2.0
    connect_timeout: Annotated[
        float, Meta(gt=0, le=60, description="Seconds that connecting may take.")
    ] = 5.0
    reconnect_first: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds before the first attempt to reconnect.")
    ] = 1.0
    reconnect_longest: Annotated[
        float, Meta(gt=0, le=3600, description="Most seconds between two such attempts.")
    ] = 30.0


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated PLC inside the gateway's process."""

    map: Annotated[Path, Meta(description="Register map of the PLC.")]
    listen: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0: any free one.")] = 5020
    connectors: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Connectors that are there, if fewer than the map's."),
    ] = None
    speed: Annotated[float, Meta(gt=0, description="Times as fast as the real clock.")] = 1.0
    day: Annotated[
        Path | None, Meta(description="Script of the day; without one the built-in day.")
    ] = None


class PluginOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``plugins.options.modbus``."""

    simulate: Annotated[
        list[SimulateOptions], Meta(description="PLCs to simulate in the gateway's process.")
    ] = []
