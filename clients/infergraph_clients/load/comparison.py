"""`compare`: how two runs differ, with confidence intervals, and whether the second is worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .errors import LoadError
from .reports.folder import Report
from .statistics.bootstrap import Interval, Statistic, ratio_interval
from .statistics.distribution import percentile

Change = Literal["same", "better", "worse"]
_OK = "ok"


@dataclass(frozen=True)
class Row:
    """One measure of both runs.

    Attributes:
        name: With its unit.
        a, b: Its values.
        interval: Of b / a.
        change: Whether b is better or worse by more than the tolerance, with confidence.
    """

    name: str
    a: float
    b: float
    interval: Interval
    change: Change


@dataclass(frozen=True)
class Comparison:
    """Attributes: rows: One for each measure; warnings: What makes the runs hard to compare."""

    rows: list[Row]
    warnings: list[str]

    @property
    def worse(self) -> bool:
        """Whether any measure got worse."""
        return any(row.change == "worse" for row in self.rows)


def compare(
    a: Report,
    b: Report,
    *,
    tolerance: float,
    confidence: float = 0.95,
    resamples: int = 1_000,
    seed: int = 0,
) -> Comparison:
    """Compares report b with report a.

    A measure is worse if its whole confidence interval lies beyond the tolerance.

    Raises:
        LoadError: a report has no right answer to compare.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    latencies = [_latencies(report) for report in (a, b)]
    measures: list[tuple[str, Statistic]] = [
        ("latency mean, ms", lambda values: float(values.mean()) / 1e6),
        ("latency p50, ms", _percentile(50)),
        ("latency p90, ms", _percentile(90)),
    ]
    if min(map(len, latencies)) >= 100:
        measures.append(("latency p99, ms", _percentile(99)))
    rows = []
    for name, statistic in measures:
        interval = ratio_interval(
            latencies[0],
            latencies[1],
            statistic,
            resamples=resamples,
            confidence=confidence,
            generator=generator,
        )
        values = (statistic(latencies[0]), statistic(latencies[1]))
        rows.append(
            Row(name, *values, interval, _change(interval, tolerance, higher_is_better=False))
        )
    for name, wanted in (("right answers, share", _right), ("within the SLO, share", _in_slo)):
        flags = [wanted(report) for report in (a, b)]
        if flags[0] is None or flags[1] is None:
            continue
        interval = ratio_interval(
            flags[0],
            flags[1],
            lambda values: float(values.mean()),
            resamples=resamples,
            confidence=confidence,
            generator=generator,
        )
        values = (float(flags[0].mean()), float(flags[1].mean()))
        rows.append(
            Row(name, *values, interval, _change(interval, tolerance, higher_is_better=True))
        )
    return Comparison(rows, _warnings(a, b))


def _percentile(q: float) -> Statistic:
    return lambda values: percentile(np.sort(values), q)


def _change(interval: Interval, tolerance: float, *, higher_is_better: bool) -> Change:
    if interval.low > 1 + tolerance:
        return "better" if higher_is_better else "worse"
    if interval.high < 1 - tolerance:
        return "worse" if higher_is_better else "better"
    return "same"


def _measured(report: Report) -> npt.NDArray[np.bool_]:
    configuration = report.document["configuration"]
    offline = configuration["arrivals"]["kind"] == "offline"
    warmup_s = 0.0 if offline else configuration["warmup_s"]
    measured: npt.NDArray[np.bool_] = report.records["intended_ns"] >= warmup_s * 1e9
    return measured


def _latencies(report: Report) -> npt.NDArray[Any]:
    records = report.records
    wanted = _measured(report) & (records["outcome"] == _OK)
    if not wanted.any():
        raise LoadError(f"report '{report.name}' has no right answer to compare")
    found: npt.NDArray[Any] = (records["end_ns"] - records["intended_ns"])[wanted]
    return found


def _right(report: Report) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = report.records["outcome"][_measured(report)] == _OK
    return found


def _in_slo(report: Report) -> npt.NDArray[Any] | None:
    slo = report.document["configuration"]["slo"]
    if slo is None:
        return None
    records = report.records
    in_time = records["end_ns"] - records["intended_ns"] <= slo["latency_ms"] * 1e6
    found: npt.NDArray[Any] = (in_time & (records["outcome"] == _OK))[_measured(report)]
    return found


def _warnings(a: Report, b: Report) -> list[str]:
    warnings = []
    for report in (a, b):
        summary = report.document["summary"]
        warnings += [
            f"'{report.name}' is invalid: {reason}" for reason in summary["validity"]["reasons"]
        ]
        if summary["steady_state"]["steady"] is False:
            warnings.append(f"'{report.name}' is not steady: {summary['steady_state']['reason']}")
    schedules = [report.document["schedule"] for report in (a, b)]
    if schedules[0] != schedules[1]:
        warnings.append("the runs did not have the same schedule")
    if a.document["configuration"]["slo"] != b.document["configuration"]["slo"]:
        warnings.append("the runs did not have the same SLO")
    return warnings
