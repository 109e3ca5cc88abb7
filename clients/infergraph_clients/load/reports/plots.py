"""The figures of report.html."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ...transports.outcome import Outcome
from ..engine.run import Run
from ..server_metrics import FILE, panels, read_metrics
from ..statistics.summary import Summary
from .timeline import Timeline

BLUE, ORANGE, GREEN, RED, GREY = "#3f74d1", "#e0862b", "#2e9e5b", "#d33f49", "#8a93a6"
"""They stand out from white and from black."""
COLOURS = (BLUE, ORANGE, GREEN, RED, "#a05bc4", "#1f9aa8", GREY)
Figures = list[tuple[str, go.Figure]]
"""Each with its title."""
_MOST_POINTS = 2_000


def latency_over_time(seconds: Timeline) -> go.Figure:
    """p50, p99 and the maximum of each second of intended times."""
    figure = empty_figure("UTC", "latency in ms", log_y=True)
    for name, values, colour in (
        ("max", seconds.max_ms, RED),
        ("p99", seconds.p99_ms, ORANGE),
        ("p50", seconds.p50_ms, BLUE),
    ):
        figure.add_trace(line(name, seconds.time, values, colour))
    return figure


def distribution(run: Run, summary: Summary) -> go.Figure:
    """Cumulative distributions of latency and service time, of right answers."""
    warmup_s = run.configuration.warmup_s if summary.requests.warmup else 0.0
    table = run.records
    ok = table[(table["outcome"] == Outcome.OK) & (table["intended_ns"] >= warmup_s * 1e9)]
    figure = empty_figure("ms", "share of right answers", log_x=True)
    for name, values, colour in (
        ("latency", ok["end_ns"] - ok["intended_ns"], BLUE),
        ("service time", ok["end_ns"] - ok["sent_ns"], GREEN),
        ("dispatch delay", ok["sent_ns"] - ok["intended_ns"], GREY),
    ):
        x, y = cumulative(values)
        # Without a queue at the tester, latency and service time are one line.
        dash = "dash" if name == "service time" else "solid"
        figure.add_trace(line(name, x, y, colour, dash=dash))
    if summary.slo is not None:
        figure.add_vline(x=summary.slo.latency_ms, line={"color": RED, "dash": "dash"})
    return figure


def requests_over_time(seconds: Timeline) -> go.Figure:
    """Intended, sent, and how requests ended."""
    figure = empty_figure("UTC", "requests per second")
    for name, values, colour in (
        ("intended", seconds.intended, GREY),
        ("sent", seconds.sent, BLUE),
        ("answered", seconds.ok, GREEN),
        ("failed", seconds.failed, RED),
    ):
        # What is sent as intended lies on it.
        width = 6 if name == "intended" else 2
        figure.add_trace(line(name, seconds.time, values, colour, width=width))
    return figure


def in_flight(seconds: Timeline) -> go.Figure:
    """Requests in flight; on a second axis the 99th percentile of the dispatch delay."""
    figure = empty_figure("UTC", "requests in flight")
    figure.add_trace(line("in flight", seconds.time, seconds.in_flight, BLUE))
    delay = line("dispatch delay p99", seconds.time, seconds.dispatch_delay_p99_ms, ORANGE)
    delay.update(yaxis="y2")
    figure.add_trace(delay)
    figure.update_layout(
        yaxis={"rangemode": "tozero"},
        yaxis2={
            "title": "dispatch delay in ms",
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
            # Else plotly puts them beside the ticks of the other axis, at values such as 1.484.
            "tickmode": "auto",
        },
    )
    return figure


def server_figures(folder: Path) -> Figures:
    """The server's metrics, where the report's folder has any."""
    file, found = folder / FILE, []
    for title, lines in panels(read_metrics(file)).items() if file.exists() else ():
        figure = empty_figure("UTC", title.rpartition(", ")[2])
        for (name, (x, y)), colour in zip(lines.items(), itertools.cycle(COLOURS), strict=False):
            figure.add_trace(line(name, x, y, colour))
        found.append((title, figure))
    return found


def empty_figure(x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> go.Figure:
    """A figure with the titles of its axes."""
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=340,
        margin={"l": 60, "r": 60, "t": 30, "b": 40},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        showlegend=True,
        xaxis={"title": x, "type": "log" if log_x else "linear"},
        yaxis={"title": y, "type": "log" if log_y else "linear"},
    )
    return figure


def line(
    name: str, x: Any, y: Any, colour: str, *, width: float = 2, dash: str = "solid"
) -> go.Scatter:
    """A line; NaN is a gap."""
    # Plain lists: arrays would be written as base64, which reads worse and saves little here.
    values = [None if np.isnan(value) else float(value) for value in np.asarray(y, np.float64)]
    return go.Scatter(
        name=name,
        x=_plain(x),
        y=values,
        # A run of a second has a single point, which no line shows.
        mode="lines" if len(values) > 1 else "markers",
        line={"color": colour, "width": width, "dash": dash},
        marker={"color": colour},
    )


def _plain(x: Any) -> list[Any]:
    values = np.asarray(x)
    # As text, which plotly reads as it is: a number of milliseconds would be local time.
    found: list[Any] = (values.astype(str) if values.dtype.kind == "M" else values).tolist()
    return found


def cumulative(nanoseconds: Any) -> tuple[Any, Any]:
    """The cumulative distribution: milliseconds, and the share at most so long."""
    ordered = np.sort(nanoseconds) / 1e6
    count = len(ordered)
    # Closer together at the tail, which is what is looked at.
    places = np.unique((count * (1 - np.geomspace(1, 1 / max(count, 1), _MOST_POINTS))).astype(int))
    places = places[places < count]
    return np.maximum(ordered[places], 1e-3), (places + 1) / max(count, 1)
