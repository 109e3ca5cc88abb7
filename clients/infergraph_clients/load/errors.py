"""`LoadError`: what the user has to put right before any load can be sent."""

from __future__ import annotations

from ..errors import UsageError


class LoadError(UsageError):
    """The input is wrong; its text is one line that names what, its value, and what is accepted."""
