"""The Central System. Public for plugins: the context types."""

from ocppgw.central.command import CommandState, PendingCommand
from ocppgw.central.context import (
    AuthorizeContext,
    CentralCall,
    CentralContext,
    CentralHandler,
    Purpose,
)

__all__ = [
    "AuthorizeContext",
    "CentralCall",
    "CentralContext",
    "CentralHandler",
    "CommandState",
    "PendingCommand",
    "Purpose",
]
