"""The page of a result, transfer.html."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from ..reports.page import figure_html, heading, paragraph, preformatted, table_html, write_page
from ..reports.plots import empty_figure
from .advice import cost, reign_text
from .result import Group, Result
from .terminal import LEGEND
from .texts import advice_line, differences, refusals, table

_BANDWIDTHS = np.geomspace(1e5, 1e10, 61)
_COLOURS = ("#3f74d1", "#e0862b", "#2e9e5b", "#d33f49", "#8a6fc9", "#8a93a6", "#c2689d", "#3aa6a6")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px 2px 1px 2px")


def write_html(file: Path, result: Result) -> None:
    """Writes the page."""
    parts = [heading("Pays when")]
    for stage, changes in result.advice_by_stage.items():
        parts.append(heading(stage, 3))
        parts += [paragraph(advice_line(*change)) for change in changes]
    parts += [heading("Measured"), paragraph(LEGEND), *map(paragraph, result.notes)]
    for group in result.groups:
        parts.append(heading(group.title, 3))
        head, rows = table(group)
        if rows:
            parts.append(table_html(head, rows))
        parts += map(paragraph, (*refusals(group), *differences(group)))
        if rows:
            fastest = "; ".join(
                reign_text(each) for each in reversed(group.fastest(lossless=False))
            )
            parts += [paragraph(f"fastest: {fastest}"), figure_html(_figure(group))]
    parts += [heading("Configuration"), preformatted(json.dumps(result.configuration, indent=2))]
    configuration = result.configuration
    write_page(
        file,
        title="Transfer formats",
        subtitle=f"{', '.join(configuration['urls'])}, {configuration['began']}",
        parts=parts,
    )


def _figure(group: Group) -> go.Figure:
    """Milliseconds of a request over the bandwidth: lines computed, points measured."""
    figure = empty_figure("Mbit/s", "ms of a request", log_x=True, log_y=True)
    encodings = list(dict.fromkeys(row.encoding for row in group.rows))
    wires = list(dict.fromkeys(row.wire for row in group.rows))
    for row in group.rows:
        if row.problem:
            continue
        of = cost(row, encoded_already=group.encoded_already)
        colour = _COLOURS[encodings.index(row.encoding) % len(_COLOURS)]
        figure.add_trace(
            go.Scatter(
                name=row.name,
                legendgroup=row.name,
                x=(_BANDWIDTHS / 1e6).tolist(),
                y=[1e3 * of.at(each) for each in _BANDWIDTHS],
                mode="lines",
                line={"color": colour, "dash": _DASHES[wires.index(row.wire) % len(_DASHES)]},
            )
        )
        points = [cell for cell in row.cells if cell.bits_per_second and cell.requests]
        figure.add_trace(
            go.Scatter(
                name=f"{row.name}, measured",
                legendgroup=row.name,
                showlegend=False,
                x=[(cell.bits_per_second or 0) / 1e6 for cell in points],
                y=[cell.p50_ms for cell in points],
                mode="markers",
                marker={"color": colour},
            )
        )
    figure.update_layout(height=520)
    return figure
