"""The page of a run, report.html."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from ..engine.run import Run
from ..statistics.stages import Stages
from ..statistics.summary import Summary
from . import plots
from .page import (
    figure_html,
    heading,
    paragraph,
    picture_html,
    preformatted,
    table_html,
    verdict,
    write_page,
)
from .stage_bars import Bar, stage_bars
from .text import (
    PERCENTILES,
    cells,
    head_line,
    interval_line,
    latency_rows,
    requests_line,
    utc,
    verdicts,
)
from .timeline import Timeline


def write_html(file: Path, run: Run, summary: Summary, seconds: Timeline) -> None:
    """Writes the page."""
    configuration, stages = run.configuration, summary.stages
    figures = [
        ("Latency over time", plots.latency_over_time(seconds)),
        # Below the latencies, over the same seconds.
        *plots.server_figures(file.parent),
        ("Distribution", plots.distribution(run, summary)),
        ("Requests over time", plots.requests_over_time(seconds)),
        ("In flight, and the tester's own delay", plots.in_flight(seconds)),
    ]
    times = latency_rows(summary, configuration.target.timeout_s)
    write_page(
        file,
        title=f"{configuration.target.model} under {configuration.arrivals.kind}",
        subtitle=f"{configuration.target.url}, {utc(run.began)}: {head_line(summary)}",
        parts=[
            *(verdict(line.kind, line.text) for line in verdicts(summary)),
            table_html(
                ["ms", *PERCENTILES], [[label, *cells(each)] for label, each in times], headline=0
            ),
            *(paragraph(line) for line in (interval_line(summary), requests_line(summary)) if line),
            _errors(summary),
            *_stages(stages),
            *(f"{heading(title)}\n{figure_html(figure)}" for title, figure in figures),
            heading("Configuration"),
            preformatted(configuration.model_dump_json(indent=2)),
        ],
    )


def _stages(stages: Stages) -> Iterable[str]:
    if stages.traced:
        yield heading("Where the time went")
        yield paragraph(f"Mean of {stages.traced} traced requests.")
        yield picture_html(stage_bars([Bar("", stages.mean_ms)]))


def _errors(summary: Summary) -> str:
    if not summary.errors:
        return ""
    items = "\n".join(
        f"<li>{outcome}: {count} x {html.escape(text)}</li>"
        for outcome, texts in summary.errors.items()
        for text, count in texts.items()
    )
    return f"{heading('Failures')}\n<ul>{items}</ul>"
