"""`Tally`: how a run goes."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from ..errors import ServerError
from .engine import Result


class Tally:
    """Counts what an `Engine` tells.

    Attributes:
        in_flight: Requests on their way now.
        most_in_flight: The most that were at a time.
        frames: Results that were written.
        errors: Frames without an answer, by what went wrong.
        latencies: Seconds of each answer.
    """

    def __init__(self) -> None:
        self.in_flight = self.most_in_flight = self.frames = 0
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []
        self._started = time.perf_counter()

    def sent(self) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def answered(self, result: Result) -> None:
        self.in_flight -= 1
        if result.error is None:
            self.latencies.append(result.seconds)
        else:
            error = result.error
            name = error.status if isinstance(error, ServerError) else type(error).__name__
            self.errors[name] += 1

    def written(self) -> None:
        self.frames += 1

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.frames / max(time.perf_counter() - self._started, 1e-9)

    def summary(self, objects: int) -> str:
        """The whole run in one line."""
        seconds = time.perf_counter() - self._started
        parts = [
            f"{_many(self.frames, 'frame')} in {seconds:,.1f} s, {self.rate:,.1f} frames/s",
            _many(objects, "object"),
        ]
        if self.latencies:
            median, high = np.percentile(self.latencies, [50, 95]) * 1000
            parts.append(f"latency p50 {median:,.1f} ms, p95 {high:,.1f} ms")
        if self.errors:
            kinds = ", ".join(f"{name}: {count}" for name, count in self.errors.most_common())
            parts.append(f"{_many(sum(self.errors.values()), 'error')} ({kinds})")
        return "; ".join(parts)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
