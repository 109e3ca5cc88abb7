"""The figures of a profile."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ..reports.plots import BLUE, GREEN, GREY, ORANGE, RED, empty_figure
from ..reports.stage_bars import Bar
from .cell import Cell

_COLOURS = (BLUE, ORANGE, GREEN, RED, "#a05bc4", "#1f9aa8", GREY)


def throughput(cells: Sequence[Cell]) -> go.Figure:
    """Items per second by concurrency, a line for each batch size, with the range of repeats."""
    figure = empty_figure("requests in flight", "items per second", log_x=True)
    for number, (batch_size, row) in enumerate(_by_batch_size(cells).items()):
        values = [cell.throughput for cell in row]
        above = [cell.throughput_high - cell.throughput for cell in row]
        below = [cell.throughput - cell.throughput_low for cell in row]
        figure.add_trace(
            go.Scatter(
                name=_name(batch_size),
                x=[cell.concurrency for cell in row],
                y=values,
                error_y={"type": "data", "array": above, "arrayminus": below, "thickness": 1},
                **_style(number),
            )
        )
    ticks = sorted({cell.concurrency for cell in cells})
    figure.update_layout(
        xaxis={"tickvals": ticks, "ticktext": [str(tick) for tick in ticks]},
        yaxis={"rangemode": "tozero"},
    )
    return figure


def latency_by_throughput(cells: Sequence[Cell]) -> go.Figure:
    """p50 (solid) and p95 (dotted) over items per second; concurrency grows along each line."""
    figure = empty_figure("items per second", "latency in ms", log_y=True)
    for number, (batch_size, row) in enumerate(_by_batch_size(cells).items()):
        for name, dash in (("p50", "solid"), ("p95", "dot")):
            style = _style(number)
            figure.add_trace(
                go.Scatter(
                    name=f"{_name(batch_size)}, {name}",
                    x=[cell.throughput for cell in row],
                    y=[getattr(cell.latency, name) for cell in row],
                    text=[f"{cell.concurrency} in flight" for cell in row],
                    **{**style, "line": {**style["line"], "dash": dash}},
                )
            )
    figure.update_layout(xaxis={"rangemode": "tozero"})
    return figure


def bars(cells: Sequence[Cell]) -> list[Bar]:
    """The stages of each cell that has traces."""
    return [
        Bar(f"{cell.batch_size} x {cell.concurrency}", cell.stages.mean_ms)
        for cell in cells
        if cell.stages.traced
    ]


def _by_batch_size(cells: Sequence[Cell]) -> dict[int, list[Cell]]:
    found: dict[int, list[Cell]] = {}
    for cell in cells:
        if cell.latency.count:
            found.setdefault(cell.batch_size, []).append(cell)
    return found


def _name(batch_size: int) -> str:
    return f"{batch_size} item{'s' if batch_size > 1 else ''}"


def _style(number: int) -> dict[str, dict[str, str]]:
    colour = {"color": _COLOURS[number % len(_COLOURS)]}
    return {"line": colour, "marker": colour}
