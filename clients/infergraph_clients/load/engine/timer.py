"""`Timer`: calls back at a precise time. Event loops' own timers are late by up to 1 ms or more.

epoll takes its timeout in milliseconds, and asyncio and libuv round up to them. On Linux a timer
descriptor (timerfd) wakes the loop within some tens of microseconds, without spinning, which would
take a core from the server when both share a machine. Elsewhere the last 2 ms are spun.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

from ...transports import now_ns

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_SPIN_NS = 2_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerDescriptor:
    """A callback at one time of `now_ns`, by a timerfd.

    `os.timerfd_create` came only with Python 3.13.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._library: Any = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = self._library.timerfd_create(_CLOCK_MONOTONIC, flags)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._time = _Itimerspec()
        self._pointer = ctypes.byref(self._time)
        loop.add_reader(self._descriptor, self._expired)

    def set(self, when: int) -> None:
        """Calls back at that time, or at once if it has passed; replaces an earlier time."""
        # An all-zero time would disarm the timer.
        self._time.value.seconds, self._time.value.nanoseconds = divmod(max(when, 1), 10**9)
        self._library.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        """Never calls back again."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _expired(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._callback()


class SpinningTimer:
    """The loop's own timer until 2 ms before the time, then a look in every turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._when = 0
        self._handle: asyncio.Handle | None = None

    def set(self, when: int) -> None:
        """As `TimerDescriptor.set`."""
        self.close()
        self._when = when
        # Not at once, also if it has passed: who sets it may be in the middle of something.
        self._handle = self._loop.call_soon(self._wait)

    def close(self) -> None:
        """Never calls back again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait(self) -> None:
        left = self._when - now_ns()
        if left <= 0:
            self._handle = None
            self._callback()
        elif left > _SPIN_NS:
            self._handle = self._loop.call_later((left - _SPIN_NS) / 1e9, self._wait)
        else:
            self._handle = self._loop.call_soon(self._wait)


Timer = TimerDescriptor | SpinningTimer


def make_timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Timer:
    """The most precise timer of this machine."""
    kind = TimerDescriptor if sys.platform == "linux" else SpinningTimer
    return kind(loop, callback)
