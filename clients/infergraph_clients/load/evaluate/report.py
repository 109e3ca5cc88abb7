"""The report of an evaluation: evaluation.html, and its numbers as evaluation.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from ..configuration import Limits
from ..profile.report import profile_document, profile_parts
from ..reports.folder import write_json, writing
from ..reports.page import (
    figure_html,
    heading,
    paragraph,
    picture_html,
    preformatted,
    table_html,
    verdict,
    write_page,
)
from ..reports.plots import BLUE, GREEN, ORANGE, RED, cumulative, empty_figure, line
from ..reports.stage_bars import Bar, stage_bars, standalone
from ..reports.text import milliseconds, utc
from ..search import LIMITS
from .evaluation import Evaluation

FORMAT = 2
PAGE, NUMBERS, PICTURE = "evaluation.html", "evaluation.json", "stages.svg"


def write_evaluation(folder: Path, found: Evaluation) -> None:
    """Writes the report, the numbers and the picture of the stages.

    Raises:
        LoadError: the folder cannot be written.
    """
    with writing("report", folder):
        write_json(folder / NUMBERS, evaluation_document(found))
        bars = stage_loads(found)
        if bars:
            (folder / PICTURE).write_text(standalone(stage_bars(bars)), encoding="utf-8")
        machine = ", ".join(f"{name} {value}" for name, value in sorted(found.machine.items()))
        write_page(
            folder / PAGE,
            title=f"Evaluation of {found.pipeline}",
            subtitle=f"{utc(found.began)}; server and tester on one machine ({machine})",
            parts=_parts(found),
        )


def evaluation_document(found: Evaluation) -> dict[str, Any]:
    """What evaluation.json holds."""
    capacity = found.capacity
    return {
        "format": FORMAT,
        "pipeline": found.pipeline,
        "plan": asdict(found.plan),
        "began": found.began,
        "machine": found.machine,
        "interrupted": found.interrupted,
        "problems": found.problems,
        "notes": found.notes,
        "profile": None if found.profile is None else profile_document(found.profile),
        "models": [profile_document(profile) for profile in found.models],
        "ceiling": found.ceiling,
        "slo": None if found.slo is None else found.slo.model_dump(),
        "open_runs": [
            {"share": run.share, "rate": run.rate, "summary": asdict(run.summary)}
            for run in found.open_runs
        ],
        "capacity": None if capacity is None else capacity.document(),
    }


def stage_loads(found: Evaluation) -> list[Bar]:
    """The pipeline's stages from the lightest load to the heaviest."""
    bars = []
    if found.profile is not None and found.profile.cells:
        least = found.profile.cells[0].batch_size
        bars = [
            Bar(f"{cell.concurrency} in flight", cell.stages.mean_ms)
            for cell in found.profile.cells
            if cell.batch_size == least and cell.stages.traced
        ]
    bars += [
        Bar(f"{run.rate:.3g}/s ({run.share:.0%})", run.summary.stages.mean_ms)
        for run in found.open_runs
        if run.summary.stages.traced
    ]
    return bars


def _parts(found: Evaluation) -> Iterable[str]:
    for problem in found.problems:
        yield verdict("bad", problem)
    if not found.problems:
        limit, share = found.plan.dispatch_delay_ms, Limits().dispatch_delay_share
        text = f"is at most {limit:g} ms, or {share:.0%} of the latency's."
        yield verdict(
            "good",
            "Profiles and open-loop runs are valid: the 99th percentile of the tester's dispatch "
            f"delay {text}",
        )
    for note in found.notes:
        yield verdict("note", note)
    yield table_html(["in short", "", ""], list(_figures(found)))
    bars = stage_loads(found)
    if bars:
        yield heading("Where the time goes")
        yield paragraph(
            "Mean of the traced requests, by load: closed loops, then Poisson arrivals at shares "
            "of the ceiling."
        )
        yield picture_html(stage_bars(bars))
        yield from _stage_table(found)
    if found.open_runs:
        yield heading("Open-loop runs")
        yield paragraph("Poisson arrivals; latency is end - intended, so waiting is part of it.")
        yield _open_table(found)
        yield figure_html(_open_figure(found))
    yield from _capacity(found)
    if found.profile is not None:
        yield heading("Profile of the pipeline")
        yield from profile_parts(found.profile, level=3)
    for profile in found.models:
        said = ", ".join(f"{name} {value}" for name, value in profile.parameters.items())
        yield heading(f"Profile of {profile.model}")
        if said:
            yield paragraph(said)
        yield from profile_parts(profile, level=3)
    yield heading("Plan")
    yield preformatted(json.dumps(asdict(found.plan), indent=2))


def _figures(found: Evaluation) -> Iterable[list[str]]:
    profile, capacity, slo = found.profile, found.capacity, found.slo
    if profile is not None and profile.cells:
        first = profile.cells[0]
        yield [
            "latency alone",
            f"{milliseconds(first.latency.p50)} ms",
            f"median, {first.batch_size} x {first.concurrency}",
        ]
        best = max(profile.cells, key=lambda cell: cell.throughput)
        yield [
            "highest throughput",
            f"{best.throughput:.1f} items/s",
            f"{best.batch_size} x {best.concurrency}",
        ]
    if found.ceiling is not None:
        yield ["ceiling of single requests", f"{found.ceiling:.1f}/s", "closed loop"]
    if slo is not None:
        yield ["SLO", f"p{slo.percentile:g} <= {milliseconds(slo.latency_ms)} ms", found.slo_is]
    if capacity is not None:
        found_none = capacity.rate is None
        rate = "none" if found_none else f"{capacity.rate:.1f}/s"
        said = capacity.verdict if found_none else LIMITS[capacity.limited_by]
        yield ["capacity within the SLO", rate, said]


def _stage_table(found: Evaluation) -> Iterable[str]:
    runs = [run for run in found.open_runs if run.summary.stages.traced]
    if not runs:
        return
    names = list(dict.fromkeys(name for run in runs for name in run.summary.stages.mean_ms))
    head = ["mean ms", *(f"{run.rate:.3g}/s" for run in runs)]
    rows = [
        [name, *(milliseconds(run.summary.stages.mean_ms.get(name)) for run in runs)]
        for name in names
    ]
    sums = [milliseconds(sum(run.summary.stages.mean_ms.values())) for run in runs]
    rows.append(["sum", *sums])
    rows.append(["traced requests", *(str(run.summary.stages.traced) for run in runs)])
    rows.append(["unexplained", *(f"{run.summary.stages.unexplained or 0:.0%}" for run in runs)])
    sizes = dict.fromkeys(name for run in runs for name in run.summary.stages.batch_size)
    for name in sizes:
        cells = (run.summary.stages.batch_size.get(name) for run in runs)
        rows.append(
            [f"{name}: batch computed", *("-" if each is None else f"{each:.1f}" for each in cells)]
        )
    yield table_html(head, rows, headline=len(names))


def _open_table(found: Evaluation) -> str:
    rows = []
    for run in found.open_runs:
        summary, latency = run.summary, run.summary.latency
        times = (latency.mean, latency.p50, latency.p90, latency.p95, latency.p99, latency.max)
        attained = "-" if summary.slo is None else f"{summary.slo.attainment:.1%}"
        rows.append(
            [
                f"{run.rate:.3g}/s ({run.share:.0%})",
                *(milliseconds(time) for time in times),
                attained,
                f"{summary.requests.failed} of {summary.requests.measured}",
                "yes" if summary.validity.valid else "no",
            ]
        )
    head = ["ms", "mean", "p50", "p90", "p95", "p99", "max", "in SLO", "failed", "valid"]
    return table_html(head, rows)


def _open_figure(found: Evaluation) -> go.Figure:
    figure = empty_figure("latency in ms", "share of right answers", log_x=True)
    for run, colour in zip(found.open_runs, (BLUE, ORANGE, GREEN), strict=False):
        x, y = cumulative(run.latency_ns)
        figure.add_trace(line(f"{run.rate:.3g}/s", x, y, colour))
    if found.slo is not None:
        figure.add_vline(x=found.slo.latency_ms, line={"color": RED, "dash": "dash"})
    return figure


def _capacity(found: Evaluation) -> Iterable[str]:
    if found.capacity is None:
        return
    yield heading("Capacity within the SLO")
    rows = []
    for step in found.capacity.steps:
        slo = step.summary.slo
        rows.append(
            [
                f"{step.rate:.4g}/s",
                step.verdict,
                milliseconds(None if slo is None else slo.value_ms),
                "-" if slo is None else f"{slo.attainment:.1%}",
            ]
        )
    percentile = found.slo.percentile if found.slo is not None else 99.0
    yield table_html(["rate", "verdict", f"p{percentile:g} ms", "in time"], rows)
    for text in (*found.capacity.notes, found.capacity.verdict):
        yield paragraph(text)
