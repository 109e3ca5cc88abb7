"""`Tally`: how a run goes, and the line on stderr that shows it."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .frames import Result


class Tally:
    """Counts what an `Engine` tells; within it as a context manager, it shows how far the run is.

    Args:
        total: Frames in all; None if it is not known.
        shown: None shows it if stderr is a terminal.

    Attributes:
        in_flight: Requests on their way now.
        most_in_flight: The most that were at a time.
        frames: Results that were written.
        errors: Frames without an answer, by what went wrong.
        latencies: Seconds of each answer.
    """

    def __init__(self, total: int | None = None, shown: bool | None = False) -> None:
        self.in_flight = self.most_in_flight = self.frames = 0
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []
        self._started = time.perf_counter()
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.completed:,.0f} of {task.fields[all]} frames"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (console.is_terminal if shown is None else shown),
            redirect_stdout=False,
        )
        all_ = "?" if total is None else f"{total:,}"
        self._task = self._progress.add_task("", total=total, all=all_, told="")

    def __enter__(self) -> Tally:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self) -> None:
        """A request was sent."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def answered(self, result: Result) -> None:
        """A request has ended; called in the order in which answers come."""
        self.in_flight -= 1
        if result.error is None:
            self.latencies.append(result.seconds)
        else:
            self.errors[result.error.status or type(result.error).__name__] += 1

    def written(self) -> None:
        """A result was written."""
        self.frames += 1
        told = (
            f"{self._rate():,.1f} frames/s, {self.in_flight} in flight, "
            f"{self.errors.total()} errors"
        )
        self._progress.update(self._task, completed=self.frames, told=told)

    def _rate(self) -> float:
        return self.frames / max(time.perf_counter() - self._started, 1e-9)

    def summary(self, objects: int) -> str:
        """The whole run in one line."""
        seconds = time.perf_counter() - self._started
        parts = [
            f"{_many(self.frames, 'frame')} in {seconds:,.1f} s, {self._rate():,.1f} frames/s",
            _many(objects, "object"),
        ]
        if self.latencies:
            median, high = np.percentile(self.latencies, [50, 95]) * 1000
            parts.append(f"latency p50 {median:,.1f} ms, p95 {high:,.1f} ms")
        if self.errors:
            kinds = ", ".join(f"{name}: {count}" for name, count in self.errors.most_common())
            parts.append(f"{_many(self.errors.total(), 'error')} ({kinds})")
        return "; ".join(parts)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
