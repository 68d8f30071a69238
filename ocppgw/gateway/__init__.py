"""The composition root: settings become roles, listeners and drivers."""

from ocppgw.gateway.core import Gateway

__all__ = ["Gateway"]
