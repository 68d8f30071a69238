"""A PLC simulated from a register map: a Modbus server with a program of its own."""

from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.simulation import Simulation

__all__ = ["Happening", "Simulation"]
