"""The page of a run, report.html."""

from __future__ import annotations

import html
import time
from pathlib import Path

from ..engine.run import Run
from ..outcome import Outcome
from ..statistics.distribution import Distribution
from ..statistics.summary import Summary
from . import plots
from .numbers import milliseconds
from .page import Kind, figure_html, heading, preformatted, table_html, verdict, write_page
from .timeline import Timeline


def write_html(file: Path, run: Run, summary: Summary, seconds: Timeline) -> None:
    """Writes the page."""
    configuration = run.configuration
    rates = summary.rates
    goodput = "" if rates.goodput is None else f", goodput {rates.goodput:.1f}/s"
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.began))
    figures = [
        ("Latency over time", plots.latency_over_time(seconds)),
        ("Distribution", plots.distribution(run, summary)),
        ("Requests over time", plots.requests_over_time(seconds)),
        ("In flight, and the tester's own delay", plots.in_flight(seconds)),
    ]
    if summary.stages.traced:
        figures.insert(1, ("Where the time went", plots.stages(summary.stages)))
    write_page(
        file,
        title=f"{configuration.target.model} under {configuration.arrivals.kind}",
        subtitle=f"{configuration.target.url}, {began}: intended {rates.intended:.1f}/s, answered "
        f"{rates.answered_ok:.1f}/s{goodput}, over {summary.measured_s:.1f} s",
        parts=[
            *_verdicts(summary),
            _latency_table(summary),
            f"<p>{html.escape(_requests(summary))}</p>",
            _errors(summary),
            *(f"{heading(title)}\n{figure_html(figure)}" for title, figure in figures),
            heading("Configuration"),
            preformatted(configuration.model_dump_json(indent=2)),
        ],
    )


def _verdicts(summary: Summary) -> list[str]:
    lines: list[tuple[Kind, str]] = [
        ("bad", f"Invalid: {reason}") for reason in summary.validity.reasons
    ]
    if summary.validity.valid:
        lines.append(("good", "Valid: the tester kept up."))
    if summary.slo is not None:
        slo = summary.slo
        text = (
            f"SLO p{slo.percentile:g} <= {slo.latency_ms:g} ms {'met' if slo.met else 'missed'}: "
            f"{slo.attainment:.2%} in time, p{slo.percentile:g} is {milliseconds(slo.value_ms)} ms."
        )
        lines.append(("good" if slo.met else "bad", text))
    if summary.scenario is not None:
        s = summary.scenario
        lines.append(("note", f"MLPerf {s.scenario}: {s.metric} {milliseconds(s.value)} {s.unit}."))
    steady = summary.steady_state
    if steady.steady is not None:
        text = f"{'Steady' if steady.steady else 'Not steady'}: {steady.reason}."
        lines.append(("good" if steady.steady else "bad", text))
    lines += [("note", note) for note in summary.validity.notes]
    return [verdict(kind, text) for kind, text in lines]


def _latency_table(summary: Summary) -> str:
    rows = [
        ("latency (end - intended)", summary.latency),
        ("service time (end - sent)", summary.service_time),
        ("first byte (- sent)", summary.first_byte),
        ("dispatch delay (sent - intended)", summary.dispatch_delay),
    ]
    return table_html(
        ["ms", *_COLUMNS],
        [[label, *_cells(times)] for label, times in rows if times.count],
        headline=0,
    )


_COLUMNS = {
    "mean": "mean",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p999",
    "max": "max",
}


def _cells(distribution: Distribution) -> list[str]:
    return [milliseconds(getattr(distribution, name)) for name in _COLUMNS.values()]


def _requests(summary: Summary) -> str:
    counts = ", ".join(
        f"{count} {Outcome[name.upper()].label}"
        for name, count in summary.outcomes.items()
        if count
    )
    requests = summary.requests
    return (
        f"{requests.scheduled} scheduled, {requests.sent} sent ({requests.warmup} to warm up), "
        f"{requests.measured} measured: {counts or 'none'}."
    )


def _errors(summary: Summary) -> str:
    if not summary.errors:
        return ""
    items = "\n".join(
        f"<li>{outcome}: {count} x {html.escape(text)}</li>"
        for outcome, texts in summary.errors.items()
        for text, count in texts.items()
    )
    return f"{heading('Failures')}\n<ul>{items}</ul>"
