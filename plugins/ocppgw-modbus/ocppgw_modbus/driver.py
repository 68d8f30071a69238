"""The driver that ``plc.driver: modbus`` opens."""

from __future__ import annotations

import uuid

from ocppgw.errors import UserError
from ocppgw.plc import Command, Driver, DriverContext, Station
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.client import Client
from ocppgw_modbus.device import Backoff, Device
from ocppgw_modbus.mapfile import load_map
from ocppgw_modbus.options import ModbusOptions


class ModbusDriver(Driver):
    """A station that is one Modbus device."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def run(self, station: Station) -> None:
        await self._device.run(station)

    async def execute(self, command: Command, deadline: float) -> None:
        await self._device.execute(command, deadline)

    def supports(self, command: type[Command]) -> bool:
        return self._device.supports(command)


def open_driver(options: ModbusOptions, context: DriverContext) -> ModbusDriver:
    """A driver for the device and map of the options; no connection is made yet.

    Raises :class:`UserError` for a map that is wrong, or has too few connectors.
    """
    bound = load_map(context.base / options.map, options.unit_id)
    if context.connectors > bound.connectors:
        raise UserError(
            f"charge box {context.station}: it has {context.connectors} connectors, the register"
            f" map {bound.name} has {bound.connectors}; correct `connectors` in one of them"
        )
    return ModbusDriver(_device(bound, options, context))


def _device(bound: BoundMap, options: ModbusOptions, context: DriverContext) -> Device:
    # A request that hangs must not starve a watchdog of the device.
    timeout = min([options.timeout, *(cyclic.every for cyclic in bound.cyclic)])

    def connection() -> Client:
        return Client(
            options.host, options.port, timeout=timeout, connect_timeout=options.connect_timeout
        )

    return Device(
        bound,
        connection,
        Backoff(options.reconnect_first, options.reconnect_longest),
        name=context.station,
        connectors=context.connectors,
        clock=context.clock,
        fresh=lambda: uuid.uuid4().hex[:12],
    )
