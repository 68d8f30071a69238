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
STORY = "ocppgw.story"

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


class Lines(logging.Formatter):
    """Time and message; where it is not the story, also how bad and from where."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        if record.name == STORY and record.levelno == logging.INFO:
            return f"{self.formatTime(record, self.datefmt)}  {record.message}"
        return (
            f"{self.formatTime(record, self.datefmt)}  "
            f"{record.levelname.lower()} {record.name}: {record.message}"
        )

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
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        Logger(namespace=record.name).emit(level, "{text}", text=text)
