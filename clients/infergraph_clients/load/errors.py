"""`LoadError`, which the user puts right before any load, and `ExitStatus` of a command."""

from __future__ import annotations

from enum import IntEnum

from ..errors import UsageError


class LoadError(UsageError):
    """The input is wrong; its text is one line that names what, its value, and what is accepted."""


class ExitStatus(IntEnum):
    """What a command's exit status says; the larger of two counts, but for an interrupt.

    FINE: measured, and as asked for. MISSED: an SLO or a threshold is missed, or a comparison finds
    that something got worse. USAGE: the input is wrong, said before any load. INVALID: the
    measurement says nothing about the server: the tester was too slow, or the runs too short.
    INTERRUPTED: ended by Ctrl-C, with a report of what was measured.
    """

    FINE = 0
    MISSED = 1
    USAGE = 2
    INVALID = 3
    INTERRUPTED = 130
