"""The server's metrics as figures, over the same seconds as the latencies."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import plotly.graph_objects as go

from ..server_metrics import FILE, Panel, panels, read_metrics
from .plots import BLUE, GREEN, GREY, ORANGE, RED, empty_figure, line


def server_figures(folder: Path, began: float) -> list[tuple[str, go.Figure]]:
    """(Title, figure) of each panel; none where no metrics were sampled.

    Args:
        folder: The report's.
        began: The run's start, seconds since the epoch.
    """
    file = folder / FILE
    if not file.exists():
        return []
    return [(each.title, _figure(each)) for each in panels(read_metrics(file), began)]


def _figure(panel: Panel) -> go.Figure:
    figure = empty_figure("seconds", panel.title.rpartition(", ")[2])
    colours = cycle((BLUE, ORANGE, GREEN, RED, GREY))
    for (name, (x, y)), colour in zip(panel.lines.items(), colours, strict=False):
        figure.add_trace(line(name, x, y, colour))
    return figure
