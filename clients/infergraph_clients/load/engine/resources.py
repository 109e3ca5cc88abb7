"""`ResourceMonitor`: the tester's own CPU, memory and event loop lag, so that it can be doubted."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time

import numpy as np
import numpy.typing as npt

_PERIOD_S = 0.05
_SECOND_S = 1.0
_STATM = "/proc/self/statm"


class ResourceMonitor:
    """Watches the process from `start` to `stop`.

    Attributes:
        lags: Nanoseconds by which each tick of 50 ms was late. Loops round up to 1 ms.
        cpu, busiest_cpu: The CPU share of the whole time, and the largest of one second.
        memory: Resident bytes, once a second, where the system tells (Linux).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lags: list[int] = []
        self.busiest_cpu = 0.0
        self.cpu = 0.0
        self.memory: list[int] = []

    def start(self) -> None:
        """Begins to watch."""
        self._began = self._second = (time.monotonic(), time.process_time())
        self._expected = time.monotonic_ns() + int(_PERIOD_S * 1e9)
        self._handle = self._loop.call_later(_PERIOD_S, self._tick)

    def stop(self) -> None:
        """Ends it."""
        self._handle.cancel()
        self.cpu = _share(self._began)
        self.busiest_cpu = max(self.busiest_cpu, self.cpu)

    @property
    def lags(self) -> npt.NDArray[np.int64]:
        return np.array(self._lags, np.int64)

    def _tick(self) -> None:
        now = time.monotonic_ns()
        self._lags.append(max(0, now - self._expected))
        if time.monotonic() - self._second[0] >= _SECOND_S:
            self.busiest_cpu = max(self.busiest_cpu, _share(self._second))
            self.memory += _resident_bytes()
            self._second = (time.monotonic(), time.process_time())
        self._expected = now + int(_PERIOD_S * 1e9)
        self._handle = self._loop.call_later(_PERIOD_S, self._tick)


def peak_memory_bytes() -> int:
    """The largest resident size that this process has had."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def _resident_bytes() -> list[int]:
    try:
        with open(_STATM, "rb") as stream:
            return [int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")]
    except OSError:
        return []


def _share(since: tuple[float, float]) -> float:
    wall = time.monotonic() - since[0]
    return (time.process_time() - since[1]) / wall if wall > 0 else 0.0
