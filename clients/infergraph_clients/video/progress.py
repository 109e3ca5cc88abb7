"""The line on stderr that shows how far a run is."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .engine import Result
from .tally import Tally


class Display:
    """A context manager and a watcher, which tells a tally what it is told, and shows it.

    Args:
        tally: What is shown.
        total: Frames in all; None if it is not known.
        shown: None shows it if stderr is a terminal.
    """

    def __init__(self, tally: Tally, total: int | None, shown: bool | None) -> None:
        console = Console(stderr=True)
        self._tally = tally
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

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self) -> None:
        self._tally.sent()

    def answered(self, result: Result) -> None:
        self._tally.answered(result)

    def written(self) -> None:
        tally = self._tally
        tally.written()
        errors = sum(tally.errors.values())
        told = f"{tally.rate:,.1f} frames/s, {tally.in_flight} in flight, {errors} errors"
        self._progress.update(self._task, completed=tally.frames, told=told)


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)
