"""The figures of report.html."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..engine.run import Run
from ..outcome import Outcome
from ..statistics.stages import Stages
from ..statistics.summary import Summary
from .timeline import Timeline

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#3465c4", "#e0862b", "#2e9e5b", "#d33f49", "#8a93a6"
_MOST_POINTS = 2_000
_KIND_COLOURS = {"queue": _ORANGE, "compute": _BLUE, "hop": _GREY}


def latency_over_time(seconds: Timeline) -> go.Figure:
    """p50, p99 and the maximum of each second of intended times."""
    figure = _figure("seconds", "latency in ms", log_y=True)
    for name, values, colour in (
        ("max", seconds.max_ms, _RED),
        ("p99", seconds.p99_ms, _ORANGE),
        ("p50", seconds.p50_ms, _BLUE),
    ):
        figure.add_trace(_line(name, seconds.second, values, colour))
    return figure


def distribution(run: Run, summary: Summary) -> go.Figure:
    """Cumulative distributions of latency and service time, of right answers."""
    warmup_s = run.configuration.warmup_s if summary.requests.warmup else 0.0
    table = run.records
    ok = table[(table["outcome"] == Outcome.OK) & (table["intended_ns"] >= warmup_s * 1e9)]
    figure = _figure("ms", "share of right answers", log_x=True)
    for name, values, colour in (
        ("latency", ok["end_ns"] - ok["intended_ns"], _BLUE),
        ("service time", ok["end_ns"] - ok["sent_ns"], _GREEN),
        ("dispatch delay", ok["sent_ns"] - ok["intended_ns"], _GREY),
    ):
        x, y = _cumulative(values)
        figure.add_trace(_line(name, x, y, colour))
    if summary.slo is not None:
        figure.add_vline(x=summary.slo.latency_ms, line={"color": _RED, "dash": "dash"})
    return figure


def requests_over_time(seconds: Timeline) -> go.Figure:
    """Intended, sent, and how requests ended."""
    figure = _figure("seconds", "requests per second")
    for name, values, colour in (
        ("intended", seconds.intended, _GREY),
        ("sent", seconds.sent, _BLUE),
        ("answered", seconds.ok, _GREEN),
        ("failed", seconds.failed, _RED),
    ):
        figure.add_trace(_line(name, seconds.second, values, colour))
    return figure


def in_flight(seconds: Timeline) -> go.Figure:
    """Requests in flight; on a second axis the 99th percentile of the dispatch delay."""
    figure = _figure("seconds", "requests in flight")
    figure.add_trace(_line("in flight", seconds.second, seconds.in_flight, _BLUE))
    delay = _line("dispatch delay p99", seconds.second, seconds.dispatch_delay_p99_ms, _ORANGE)
    delay.update(yaxis="y2")
    figure.add_trace(delay)
    figure.update_layout(
        yaxis2={"title": "ms", "overlaying": "y", "side": "right", "rangemode": "tozero"}
    )
    return figure


def stages(breakdown: Stages) -> go.Figure:
    """Mean milliseconds of each part, one bar for each step."""
    figure = _figure("mean ms of a request", "")
    by_kind: dict[str, dict[str, float]] = {}
    for part, mean in breakdown.mean_ms.items():
        step, separator, kind = part.rpartition(": ")
        by_kind.setdefault(kind if separator else "outside the models", {})[
            step if separator else part
        ] = mean
    for kind, values in by_kind.items():
        colour = _KIND_COLOURS.get(kind, _GREEN)
        figure.add_trace(
            go.Bar(
                name=kind,
                y=list(values),
                x=list(values.values()),
                orientation="h",
                marker_color=colour,
            )
        )
    figure.update_layout(barmode="stack", yaxis={"autorange": "reversed"})
    return figure


def _figure(x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=340,
        margin={"l": 60, "r": 60, "t": 10, "b": 40},
        legend={"orientation": "h", "y": 1.08},
        xaxis={"title": x, "type": "log" if log_x else "linear"},
        yaxis={"title": y, "type": "log" if log_y else "linear"},
    )
    return figure


def _line(name: str, x: Any, y: Any, colour: str) -> go.Scatter:
    # Plain lists: arrays would be written as base64, which reads worse and saves little here.
    values = [None if np.isnan(value) else float(value) for value in np.asarray(y, np.float64)]
    return go.Scatter(
        name=name, x=np.asarray(x).tolist(), y=values, mode="lines", line={"color": colour}
    )


def _cumulative(nanoseconds: Any) -> tuple[Any, Any]:
    ordered = np.sort(nanoseconds) / 1e6
    count = len(ordered)
    # Closer together at the tail, which is what is looked at.
    places = np.unique((count * (1 - np.geomspace(1, 1 / max(count, 1), _MOST_POINTS))).astype(int))
    places = places[places < count]
    return np.maximum(ordered[places], 1e-3), (places + 1) / max(count, 1)
