"""Where log lines go: the console, or twistd's log.

Application code uses stdlib :mod:`logging`; Twisted's own lines join it. The level
``xml`` is ``info`` with every SOAP message, indented (logger ``ocppgw.xml``).
"""

from __future__ import annotations

import logging
import sys
from typing import cast

from twisted.logger import ILogObserver, Logger, LogLevel, STDLibLogObserver, globalLogBeginner

XML = "ocppgw.xml"
OURS = "ocppgw."
GATEWAY = "gateway"  # who speaks in the ordinary lines of our own modules
COLUMN = 18  # characters: an identity, an arrow, and "central"

_TWISTED_LEVELS = (
    (logging.CRITICAL, LogLevel.critical),
    (logging.ERROR, LogLevel.error),
    (logging.WARNING, LogLevel.warn),
    (logging.INFO, LogLevel.info),
)


def to_console() -> None:
    """Everything to standard error, a line each; Twisted's included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.getLogger().handlers[:] = [handler]
    twisted = cast("ILogObserver", STDLibLogObserver(name="twisted"))
    globalLogBeginner.beginLoggingTo([twisted], redirectStandardIO=False, discardBuffer=True)
    set_level("info")


def to_twisted() -> None:
    """Everything into Twisted's log, which twistd sets up."""
    logging.getLogger().handlers[:] = [TwistedHandler()]
    set_level("info")


def set_level(level: str) -> None:
    """The least important lines to write: a level of the configuration file."""
    logging.getLogger().setLevel("INFO" if level == "xml" else level.upper())
    logging.getLogger(XML).setLevel(logging.DEBUG if level in ("xml", "debug") else logging.INFO)
    for name in ("twisted", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)


def actor(record: logging.LogRecord) -> str:
    """Who speaks: somebody of the story, or a part of the program."""
    told = getattr(record, "actor", None)
    if told is not None:
        return str(told)
    ordinary = record.levelno == logging.INFO and record.name.startswith(OURS)
    return GATEWAY if ordinary else record.name


class Lines(logging.Formatter):
    """Time, who speaks, and what; how bad it is where it is bad."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        bad = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        time = self.formatTime(record, self.datefmt)
        return f"{time}  {actor(record):<{COLUMN}}  {bad}{record.message}"

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = ""
        return super().format(record)


class TwistedHandler(logging.Handler):
    """Hands log records to Twisted's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next(
            (twisted for least, twisted in _TWISTED_LEVELS if record.levelno >= least),
            LogLevel.debug,
        )
        told = getattr(record, "actor", None)
        text = f"{told}: {record.getMessage()}" if told else record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        Logger(namespace=record.name).emit(level, "{text}", text=text)
