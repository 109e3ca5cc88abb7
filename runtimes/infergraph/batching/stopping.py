"""How a batch that nobody waits for any more is stopped while it runs."""

from __future__ import annotations

import threading


class BatchAbandoned(BaseException):
    """Nobody waits for the batch any more; no failure, and so no `Exception`."""


class _Thread(threading.local):
    def check(self) -> None:
        """Raises BatchAbandoned; replaced in the thread of a model while a batch runs."""


_thread = _Thread()


def check_wanted() -> None:
    """Raises BatchAbandoned if this thread runs a batch that nobody waits for any more."""
    _thread.check()
