"""The report of loads that were sent at the same time: overall.json and overall.html.

Each load has a report of its own, in a folder of its name; this one puts them side by side, and
adds them up.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..engine.run import Run
from ..statistics.distribution import Distribution
from ..statistics.summarising import failed, measured_records, user_latency
from ..statistics.summary import Summary
from .folder import write_json, writing
from .page import figure_html, heading, table_html, write_page
from .plots import COLOURS, Figures, empty_figure, line, server_figures
from .text import milliseconds, utc
from .timeline import timeline

FORMAT = 1
NUMBERS, PAGE = "overall.json", "overall.html"
_HEAD = ("", "requests", "failed", "answered/s", "p50 ms", "p99 ms", "SLO")


@dataclass(frozen=True)
class Row:
    """One load, or all of them.

    Attributes:
        name: The load's; `all` for all of them.
        requests: Measured.
        failed: Of them.
        answered_ok: Right answers per second.
        latency: From the intended time on; a failure counts as at least its timeout.
        slo_met: Whether the SLO was met; of all, whether each was. None without an SLO.
    """

    name: str
    requests: int
    failed: int
    answered_ok: float
    latency: Distribution
    slo_met: bool | None

    def cells(self) -> list[str]:
        """As tables write it."""
        slo = {True: "met", False: "missed", None: "-"}[self.slo_met]
        times = [milliseconds(value) for value in (self.latency.p50, self.latency.p99)]
        return [
            self.name,
            str(self.requests),
            str(self.failed),
            f"{self.answered_ok:.1f}",
            *times,
            slo,
        ]


def rows_of(runs: Mapping[str, Run], summaries: Mapping[str, Summary]) -> list[Row]:
    """A row for each load, and one for all."""
    rows, latencies = [], []
    for name, run in runs.items():
        summary, measured = summaries[name], measured_records(run)
        latencies.append(user_latency(measured, run.configuration.target.timeout_s))
        rows.append(
            Row(
                name,
                len(measured),
                int(failed(measured).sum()),
                summary.rates.answered_ok,
                summary.latency,
                None if summary.slo is None else summary.slo.met,
            )
        )
    judged = [row.slo_met for row in rows if row.slo_met is not None]
    total = Row(
        "all",
        sum(row.requests for row in rows),
        sum(row.failed for row in rows),
        sum(row.answered_ok for row in rows),
        Distribution.of(np.concatenate(latencies)),
        all(judged) if judged else None,
    )
    return [*rows, total]


def write_overall(
    folder: Path, runs: Mapping[str, Run], summaries: Mapping[str, Summary]
) -> list[Row]:
    """Writes both files, and gives the rows; LoadError if they cannot be written."""
    rows = rows_of(runs, summaries)
    first = next(iter(runs.values()))
    document = {
        "format": FORMAT,
        "began": first.began,
        "began_utc": utc(first.began),
        "interrupted": first.interrupted,
        "machine": first.machine,
        "loads": [asdict(row) for row in rows[:-1]],
        "all": asdict(rows[-1]),
    }
    with writing("report", folder):
        write_json(folder / NUMBERS, document)
        figures = [*_latency_figures(runs), *server_figures(folder)]
        write_page(
            folder / PAGE,
            title=f"{len(runs)} loads at the same time",
            subtitle=f"{utc(first.began)}, {first.configuration.duration_s:g} s",
            parts=[
                table_html(_HEAD, [row.cells() for row in rows], headline=len(rows) - 1),
                "<p>"
                + ", ".join(
                    f'<a href="{html.escape(name)}/report.html">{html.escape(name)}</a>'
                    for name in runs
                )
                + "</p>",
                *(f"{heading(title)}\n{figure_html(figure)}" for title, figure in figures),
            ],
        )
    return rows


def print_overall(console: Console, rows: list[Row]) -> None:
    """Prints the table."""
    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(_HEAD):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row.cells(), style="bold" if row is rows[-1] else "")
    console.print(table)


def _latency_figures(runs: Mapping[str, Run]) -> Figures:
    figure = empty_figure("UTC", "p99 of the latency in ms", log_y=True)
    for (name, run), colour in zip(runs.items(), itertools.cycle(COLOURS), strict=False):
        seconds = timeline(run.records, run.began)
        figure.add_trace(line(name, seconds.time, seconds.p99_ms, colour))
    return [("Latency over time", figure)]
