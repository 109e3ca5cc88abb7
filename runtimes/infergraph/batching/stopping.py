"""How a batch that nobody waits for any more is stopped while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class BatchAbandoned(BaseException):
    """Nobody waits for the batch any more.

    It is no `Exception`, so that a task which handles failures does not take it for one.
    """


class _Running(threading.local):
    """Whether somebody waits for what the thread computes; None while it computes no batch."""

    wanted: Callable[[], bool] | None = None


_running = _Running()


def check_wanted() -> None:
    """Raises BatchAbandoned if this thread computes a batch that no request waits for any more.

    Tasks call it in the model's thread, between their units of work. A request waits no longer when
    it was cancelled, has failed, or its deadline has passed. Outside of a batch nothing happens. It
    costs less than a microsecond while the first of the batch's requests is wanted.
    """
    wanted = _running.wanted
    if wanted is not None and not wanted():
        raise BatchAbandoned


@contextlib.contextmanager
def computing(wanted: Callable[[], bool]) -> Iterator[None]:
    """Makes `check_wanted` ask `wanted`, in this thread, for what is computed inside."""
    before, _running.wanted = _running.wanted, wanted
    try:
        yield
    finally:
        _running.wanted = before
