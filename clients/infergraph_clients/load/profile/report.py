"""What a profile leaves: numbers as Parquet and JSON, pictures as HTML and SVG, a terminal's table.

::

    profile.parquet          one row for each cell
    profile-stages.parquet   one row for each part of each cell
    profile.json             all of it, with the configuration
    profile.html             plots and tables, in one file that needs nothing else
    stages.svg               where the time goes in each cell
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..reports.folder import write_json, writing
from ..reports.page import (
    figure_html,
    heading,
    paragraph,
    picture_html,
    preformatted,
    table_html,
    verdict,
)
from ..reports.page import write_page as write_html_page
from ..reports.plots import COLOURS, empty_figure
from ..reports.stage_bars import Bar, stage_bars, standalone
from ..reports.text import milliseconds, utc
from ..statistics.stages import DISPATCH, NETWORK, ROUTER
from .cell import Cell
from .sweep import Profile

FORMAT = 2
_TEXT, _COUNT, _NUMBER = pa.string(), pa.int64(), pa.float64()
_SAID = ("variant", "device", "dtype")
_FIELDS = {
    "batch_size": _COUNT,
    "concurrency": _COUNT,
    "valid": pa.bool_(),
    "problem": _TEXT,
    "repeats": _COUNT,
    "seconds": _NUMBER,
    "requests": _COUNT,
    "failed": _COUNT,
    "throughput": _NUMBER,
    "throughput_low": _NUMBER,
    "throughput_high": _NUMBER,
}
_TIMES = ("mean", "p50", "p90", "p95", "p99", "max")
_PARTS = {
    "queue_ms": "queue",
    "compute_ms": "compute",
    "hop_ms": "hop",
    "router_ms": ROUTER,
    "network_ms": NETWORK,
    "unexplained_ms": "unexplained",
    "dispatch_ms": DISPATCH,
}
_SCHEMA = pa.schema(
    {
        **dict.fromkeys(("model", *_SAID, "protocol"), _TEXT),
        **_FIELDS,
        **{f"latency_{name}_ms": _NUMBER for name in _TIMES},
        "server_batch_size": _NUMBER,
        "traced": _COUNT,
        **dict.fromkeys((*_PARTS, "dispatch_delay_p99_ms", "tester_cpu"), _NUMBER),
    }
)
COLUMNS = tuple(_SCHEMA.names)
"""Of profile.parquet."""
_STAGES = pa.schema(
    {
        "model": _TEXT,
        **dict.fromkeys(("batch_size", "concurrency"), _COUNT),
        **dict.fromkeys(("step", "kind"), _TEXT),
        **dict.fromkeys(("mean_ms", "p50_ms", "p99_ms", "server_batch_size"), _NUMBER),
    }
)
_HEAD = (
    "cell",
    "items/s",
    "p50 ms",
    "p95",
    "p99",
    "batch",
    "queue",
    "compute",
    "rest",
    "failed",
    "valid",
)


def write_profile(folder: Path, profile: Profile, *, page: bool = True) -> None:
    """Writes all files; without `page`, those with numbers alone.

    Raises:
        LoadError: the folder cannot be written.
    """
    with writing("profile", folder):
        write_json(folder / "profile.json", profile_document(profile))
        pq.write_table(cells_table(profile), folder / "profile.parquet")
        pq.write_table(stages_table(profile), folder / "profile-stages.parquet")
        if page:
            picture = standalone(stage_bars(bars_of(profile.cells)))
            (folder / "stages.svg").write_text(picture, encoding="utf-8")
            _write_page(folder / "profile.html", profile)


def cells_table(profile: Profile) -> pa.Table:
    """One row for each cell, of `COLUMNS`; null where a number is not known."""
    of_profile = {
        "model": profile.model,
        **{name: _said(profile, name) for name in _SAID},
        "protocol": profile.configuration.target.url.partition("://")[0],
    }
    rows = [
        {
            **of_profile,
            **{name: getattr(cell, name) for name in _FIELDS},
            "problem": cell.problem or None,
            **{f"latency_{name}_ms": getattr(cell.latency, name) for name in _TIMES},
            "server_batch_size": cell.server_batch_size,
            "traced": cell.stages.traced,
            **{name: cell.part(kind) for name, kind in _PARTS.items()},
            "dispatch_delay_p99_ms": cell.dispatch_delay_p99,
            "tester_cpu": cell.tester_cpu,
        }
        for cell in profile.cells
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)


def stages_table(profile: Profile) -> pa.Table:
    """One row for each part of each cell; a part outside has no step."""
    rows = []
    for cell in profile.cells:
        stages = cell.stages
        for part, mean in stages.mean_ms.items():
            step, _, kind = part.rpartition(": ")
            row = (profile.model, cell.batch_size, cell.concurrency, step, kind, mean)
            times = (stages.p50_ms[part], stages.p99_ms[part], stages.batch_size.get(step))
            rows.append(dict(zip(_STAGES.names, (*row, *times), strict=True)))
    return pa.Table.from_pylist(rows, _STAGES)


def _said(profile: Profile, name: str) -> str | None:
    value = profile.parameters.get(name)
    return None if value is None else str(value)


def profile_document(profile: Profile) -> dict[str, Any]:
    """What profile.json holds."""
    return {
        "format": FORMAT,
        "model": profile.model,
        "parameters": profile.parameters,
        "configuration": profile.configuration.model_dump(mode="json"),
        "began": profile.began,
        "interrupted": profile.interrupted,
        "machine": profile.machine,
        "cells": [asdict(cell) for cell in profile.cells],
    }


def profile_parts(profile: Profile, *, level: int = 2) -> Iterable[str]:
    """The HTML of a profile, below a heading of its own."""
    cells = profile.cells
    yield from (verdict("bad", text) for text in problems(cells))
    yield paragraph(
        "A cell is items in a request x requests in flight; batch: items that the server computed "
        "at once; rest: what no clock measured."
    )
    yield table_html(_HEAD, [_row(cell) for cell in cells])
    if any(cell.latency.count for cell in cells):
        yield heading("Throughput by concurrency", level)
        yield figure_html(throughput(cells))
        yield heading("Latency by throughput", level)
        yield paragraph("Along each line, more and more requests are in flight.")
        yield figure_html(latency_by_throughput(cells))
    bars = bars_of(cells)
    if bars:
        yield heading("Where the time goes", level)
        yield paragraph("Mean of the traced requests, by batch size x requests in flight.")
        yield picture_html(stage_bars(bars))


def print_profile(console: Console, profile: Profile) -> None:
    """Prints the table of the cells, and what is wrong with them."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="cell: items in a request x requests in flight; batch: computed at once; "
        "rest: what no clock measured",
    )
    for name in _HEAD:
        table.add_column(name, justify="right", no_wrap=True)
    for cell in profile.cells:
        table.add_row(*_row(cell))
    console.print(table)
    for text in problems(profile.cells):
        console.print(Text(text, style="red"), soft_wrap=True)


def problems(cells: Iterable[Cell]) -> list[str]:
    """What is wrong with the cells, each with those it is said of."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        if cell.problem:
            # Numbers differ from cell to cell; the first stands for all.
            kind = "".join(c for c in cell.problem if not c.isdigit())
            found.setdefault(kind, [cell.problem]).append(f"{cell.batch_size} x {cell.concurrency}")
    return [f"{', '.join(names)}: {text}" for text, *names in found.values()]


def _row(cell: Cell) -> list[str]:
    latency = cell.latency
    size = cell.server_batch_size
    return [
        f"{cell.batch_size} x {cell.concurrency}",
        f"{cell.throughput:.1f}",
        *(milliseconds(value) for value in (latency.p50, latency.p95, latency.p99)),
        "-" if size is None else f"{size:.1f}",
        *(milliseconds(cell.part(kind)) for kind in ("queue", "compute", "unexplained")),
        str(cell.failed),
        "yes" if cell.valid else "no",
    ]


def _write_page(file: Path, profile: Profile) -> None:
    said = ", ".join(f"{name} {value}" for name, value in profile.parameters.items())
    write_html_page(
        file,
        title=f"Profile of {profile.model}",
        subtitle=f"{profile.configuration.target.url}, {utc(profile.began)}"
        f"{': ' if said else ''}{said}",
        parts=[
            *profile_parts(profile),
            heading("Configuration"),
            preformatted(profile.configuration.model_dump_json(indent=2)),
        ],
    )


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


def bars_of(cells: Sequence[Cell]) -> list[Bar]:
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
    colour = {"color": COLOURS[number % len(COLOURS)]}
    return {"line": colour, "marker": colour}
