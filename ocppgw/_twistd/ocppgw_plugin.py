"""Announces the ``ocppgw`` subcommand to twistd; installed into ``twisted/plugins``."""

from twisted.application.service import ServiceMaker

gateway = ServiceMaker("ocppgw", "ocppgw.tap", "A gateway to OCPP charging networks.", "ocppgw")
