"""Modbus for ocppgw: a PLC driver made of register maps, and a PLC simulated from them.

This module holds the hooks alone; pymodbus is loaded when a driver or a simulated PLC
is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import click

from ocppgw import hookimpl
from ocppgw.observe import GatewayContext
from ocppgw.plc import Driver, DriverContext, PlcDriver
from ocppgw_modbus.options import ModbusOptions, PluginOptions

if TYPE_CHECKING:
    from twisted.application.service import IService

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
            description="PLCs and wallboxes on Modbus TCP and RTU, described by register maps",
        )
    ]


@hookimpl
def ocppgw_services(gateway: GatewayContext) -> Sequence[IService]:
    """The simulated PLCs of ``plugins.options.modbus.simulate``."""
    wanted = gateway.options("modbus", PluginOptions).simulate
    if not wanted:
        return []
    from ocppgw_modbus.simulate.service import SimulatedPlc

    return [cast("IService", SimulatedPlc(options, gateway.clock)) for options in wanted]


@hookimpl
def ocppgw_commands(cli: click.Group) -> None:
    """``ocppgw simulate plc``."""
    group = cli.commands.get("simulate")
    if not isinstance(group, click.Group):
        group = click.Group("simulate", help="Simulates what is missing at a desk.")
        cli.add_command(group)
    group.add_command(_SimulatePlc("plc", short_help="A PLC from its register map."))


class _SimulatePlc(click.Command):
    """Stands for the command until it is needed: pymodbus takes its time to load."""

    def _real(self) -> click.Command:
        from ocppgw_modbus.simulate.command import simulate_plc

        return simulate_plc

    def make_context(self, *args: object, **keywords: object) -> click.Context:
        return self._real().make_context(*args, **keywords)  # type: ignore[arg-type]
