"""What a profile leaves: numbers as Parquet and JSON, pictures as HTML and SVG, a terminal's table.

::

    profile.parquet          one row for each cell
    profile-stages.parquet   one row for each part of each cell
    profile.json             all of it, with the configuration
    profile.html             plots and tables, in one file that needs nothing else
    stages.svg               where the time goes in each cell
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import LoadError
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
from ..reports.stage_bars import stage_bars, standalone
from ..reports.text import milliseconds, utc
from . import plots
from .cell import Cell
from .columns import cells_table, stages_table
from .sweep import Profile

FORMAT = 1
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document = json.dumps(profile_document(profile), indent=2, allow_nan=False)
        (folder / "profile.json").write_text(document + "\n", encoding="utf-8")
        pq.write_table(cells_table(profile), folder / "profile.parquet")
        pq.write_table(stages_table(profile), folder / "profile-stages.parquet")
        if page:
            picture = standalone(stage_bars(plots.bars(profile.cells)))
            (folder / "stages.svg").write_text(picture, encoding="utf-8")
            _write_page(folder / "profile.html", profile)
    except OSError as error:
        raise LoadError(f"profile '{folder}' cannot be written: {error.strerror}") from None


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
        yield figure_html(plots.throughput(cells))
        yield heading("Latency by throughput", level)
        yield paragraph("Along each line, more and more requests are in flight.")
        yield figure_html(plots.latency_by_throughput(cells))
    bars = plots.bars(cells)
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
