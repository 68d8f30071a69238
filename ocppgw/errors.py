"""The error that a user, not a programmer, has to read."""

from __future__ import annotations


class UserError(Exception):
    """One sentence: where, what was expected, what came, what to do.

    The command line prints it without a traceback and exits with ``exit_code``.
    """

    exit_code = 1
