"""ocppgw: a gateway between PLC-driven charging stations and OCPP networks."""

from ocppgw.hooks import hookimpl

__all__ = ["__version__", "hookimpl"]

__version__ = "0.1.0"
