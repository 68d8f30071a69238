"""Modbus for ocppgw: a PLC driver made of register maps, and a PLC simulated from them."""

__version__ = "0.1.0"
