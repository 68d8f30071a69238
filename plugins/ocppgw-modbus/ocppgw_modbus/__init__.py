"""Modbus for ocppgw: a PLC driver made of register maps, and a PLC simulated from them.

This module holds the hooks alone; pymodbus is loaded when a driver or a simulated PLC
is opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from ocppgw import hookimpl
from ocppgw.plc import Driver, DriverContext, PlcDriver
from ocppgw_modbus.options import ModbusOptions

__version__ = "0.1.0"


@hookimpl
def ocppgw_plc_drivers() -> Sequence[PlcDriver]:
    """``plc.driver: modbus``."""

    def open_driver(options: ModbusOptions, context: DriverContext) -> Driver:
        from ocppgw_modbus.driver import open_driver

        return open_driver(options, context)

    return [
        PlcDriver(
            name="modbus",
            options_type=ModbusOptions,
            open=open_driver,
            description="PLCs and wallboxes on Modbus TCP, described by a register map",
        )
    ]
