"""The Charge Point: the charge box. Public for plugins: the context types."""

from ocppgw.chargepoint.context import ChargePointCall, ChargePointContext, ChargePointHandler

__all__ = ["ChargePointCall", "ChargePointContext", "ChargePointHandler"]
