"""`LiveView`: a run while it goes on, in the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ...transports.outcome import Outcome
from ..configuration import RunConfiguration
from ..engine.plan import Progress
from ..statistics.distribution import new_histogram, percentile, record
from .text import milliseconds

_REFRESHES_PER_SECOND = 4
_WINDOW_SECONDS = 5.0
_LINE_SECONDS = 15.0


class LiveView:
    """A context manager whose `update` takes the reports of all workers.

    Where the console is no terminal, as in the log of a CI job, it prints a line now and then.

    Args:
        configurations: Of the loads that are sent at the same time.
        console: Where it is shown.
        place: Of this run among several, for example `run 3 of 12, 4 min left`.
    """

    def __init__(
        self, configurations: Sequence[RunConfiguration], console: Console, place: str = ""
    ) -> None:
        self._configurations = configurations
        self._place = place
        self._console = console
        self._shown = console.is_terminal and not console.quiet
        self._line_at = _LINE_SECONDS
        self._began: float | None = None
        self._total = new_histogram()
        self._recent: list[tuple[float, Progress]] = []
        self._in_flight: dict[tuple[int, int], int] = {}
        self._sent = 0
        self._outcomes = np.zeros(len(Outcome), np.int64)
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> LiveView:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Takes what one process reports."""
        if self._console.quiet:
            return
        now = time.monotonic()
        if self._began is None:
            self._began = now
        record(self._total, progress.latency_ns)
        self._recent = [each for each in self._recent if each[0] > now - _WINDOW_SECONDS]
        self._recent.append((now, progress))
        self._in_flight[progress.process, progress.load] = progress.in_flight
        self._sent += progress.sent
        self._outcomes += progress.outcomes
        if not self._shown and now - self._began >= self._line_at:
            self._line_at += _LINE_SECONDS
            self._print_line(now - self._began)

    def render(self) -> Any:
        """What is shown now."""
        now = time.monotonic()
        elapsed = 0.0 if self._began is None else now - self._began
        recent = [progress for _, progress in self._recent]
        seconds = max(min(elapsed, _WINDOW_SECONDS), 0.25)
        latency = _joined([progress.latency_ns for progress in recent])
        delay = _joined([progress.dispatch_delay_ns for progress in recent])
        sent_rate = sum(progress.sent for progress in recent) / seconds
        table = Table.grid(padding=(0, 3))
        table.add_row("sent", str(self._sent), f"{sent_rate:.1f}/s")
        table.add_row(
            "answered", str(self._outcomes[Outcome.OK]), f"{len(latency) / seconds:.1f}/s"
        )
        table.add_row("in flight", str(sum(self._in_flight.values())))
        table.add_row("latency, last 5 s", f"p50 {_p(latency, 50)} ms", f"p99 {_p(latency, 99)} ms")
        if self._total.get_total_count():
            p50, p99 = (
                milliseconds(self._total.get_value_at_percentile(q) / 1e3) for q in (50, 99)
            )
            table.add_row("latency, all", f"p50 {p50} ms", f"p99 {p99} ms")
        table.add_row("dispatch delay", "", f"p99 {_p(delay, 99)} ms")
        failed = [
            f"{self._outcomes[outcome]} {outcome.label}"
            for outcome in Outcome
            if outcome is not Outcome.OK and self._outcomes[outcome]
        ]
        if failed:
            table.add_row("failed", Text(", ".join(failed), style="red"))
        head, duration = self._head(elapsed)
        bar = ProgressBar(duration, min(elapsed, duration), width=60)
        # A bar by itself ends without a new line.
        return Group(Text(head, style="bold"), Padding(bar, 0), table)

    def _head(self, elapsed: float) -> tuple[str, float]:
        """What is going on, how far it is, and the seconds that it takes."""
        configuration = self._configurations[0]
        duration = configuration.duration_s
        phase = "warming up" if elapsed < configuration.warmup_s else "measuring"
        if elapsed > duration:
            phase = "waiting for the last answers"
        names = ", ".join(
            f"{each.target.model} ({each.arrivals.kind})" for each in self._configurations
        )
        left = max(duration - elapsed, 0)
        place = f"{self._place}: " if self._place else ""
        return f"{place}{names}, {phase}, {left:.0f} of {duration:g} s left", duration

    def _print_line(self, elapsed: float) -> None:
        failed = int(self._outcomes.sum() - self._outcomes[Outcome.OK])
        self._console.print(
            f"{self._head(elapsed)[0]}: {self._sent} sent, {failed} failed",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _joined(arrays: list[Any]) -> Any:
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def _p(nanoseconds: Any, q: float) -> str:
    return milliseconds(percentile(np.sort(nanoseconds), q) if len(nanoseconds) else None)
