"""`compare`: how two runs differ, and whether that is more than chance.

A measure is **worse** (or better) if its interval excludes that nothing changed, but not that the
change is as large as the tolerance. It is the **same** if the interval excludes a change that
large. Otherwise the runs are **too short** to tell, and how long they must be is said. All measures
are judged together: of equal systems, at most a share of 1 - confidence is told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .errors import ExitStatus, LoadError
from .reports.folder import Report
from .statistics.intervals import (
    FEWEST,
    Interval,
    difference_of_shares,
    ratio_of_means,
    ratio_of_percentiles,
    student,
)

Change = Literal["same", "better", "worse", "too short"]
MEASURES = ("mean", "p50", "p90", "p99", "failed", "slo", "throughput")
CLOSED = ("closed", "single-stream", "multi-stream", "offline")
_BINS = 256
_POWER = 1.28
"""Standard errors more, so that 9 of 10 pairs of runs of the length that is said tell."""
_LONGEST = 365 * 86_400.0


@dataclass(frozen=True)
class Row:
    """One measure of both runs.

    Attributes:
        name: With its unit.
        interval: Of b / a, or for shares of b - a; with the values of both.
        relative: Whether it is a ratio.
        change: The verdict on b.
        needed_s: How long each run should be, where they are too short.
    """

    name: str
    interval: Interval
    relative: bool
    change: Change
    needed_s: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Attributes: rows: One for each measure; warnings: What makes the runs hard to compare;
    invalid: Whether one of them is invalid, so that nothing follows; paired: Whether both answered
    the same schedule, request by request.
    """

    rows: list[Row]
    warnings: list[str]
    invalid: bool
    paired: bool

    @property
    def status(self) -> ExitStatus:
        """INVALID where nothing can be told, MISSED where a measure got worse, else FINE."""
        changes = {row.change for row in self.rows}
        if self.invalid or ("too short" in changes and "worse" not in changes):
            return ExitStatus.INVALID
        return ExitStatus.MISSED if "worse" in changes else ExitStatus.FINE

    @property
    def verdict(self) -> str:
        """One line."""
        if self.invalid:
            return "nothing follows: a run is invalid"
        found = {
            change: ", ".join(
                row.name.partition(",")[0] for row in self.rows if row.change == change
            )
            for change in ("worse", "too short", "better")
        }
        if found["worse"]:
            return f"B is worse: {found['worse']}"
        if found["too short"]:
            needed = max(row.needed_s or 0.0 for row in self.rows)
            return (
                f"too short to tell: {found['too short']}; runs of about {needed:.0f} s each would"
            )
        return f"B is better: {found['better']}" if found["better"] else "no change that matters"


def compare(
    a: Report,
    b: Report,
    *,
    tolerance: float,
    share_tolerance: float = 0.01,
    confidence: float = 0.95,
    measures: Collection[str] = MEASURES,
) -> Comparison:
    """Compares report b with report a.

    Latencies are those of right answers; failures are judged by themselves, and alone where b has
    no right answer. Loops that are closed are also compared by their throughput, which open
    arrivals fix.

    Args:
        a, b: The reports.
        tolerance: The smallest change of a latency or throughput that matters, as a share.
        share_tolerance: The same of shares of requests (failed, within the SLO), as a difference.
        confidence: Of all verdicts together.
        measures: Which of `MEASURES` are judged.

    Raises:
        LoadError: a report has no right answer to compare (b's failures may be judged all the
            same), or no measure is left.
    """
    if not _right(a).any():
        raise _no_right_answer(a)
    closed = all(_kind(report) in CLOSED for report in (a, b))
    paired = a.document["schedule"] is not None and a.document["schedule"] == b.document["schedule"]
    answered = bool(_right(b).any())
    latencies = _latencies_ms(a, b, paired)
    seconds = min(report.document["summary"]["measured_s"] for report in (a, b))
    # Name, whether it is a ratio, whether more is better, and the interval at a confidence.
    jobs: list[tuple[str, bool, bool, Callable[[float], Interval]]] = []
    if answered and "mean" in measures:
        mean = partial(ratio_of_means, *latencies, paired=paired)
        jobs.append(("latency mean, ms", True, False, mean))
    for q in (50, 90, 99):
        if answered and f"p{q}" in measures:
            tail = partial(ratio_of_percentiles, *latencies, q, paired=paired)
            jobs.append((f"latency p{q}, ms", True, False, tail))
    rates = _rates(a), _rates(b)
    if closed and "throughput" in measures and rates[0].any() and rates[1].any():
        jobs.append(("throughput, 1/s", True, True, partial(ratio_of_means, *rates, paired=False)))
    for measure, name, flags_of, higher in (
        ("failed", "failed, share", _failed, False),
        ("slo", "within the SLO, share", _in_slo, True),
    ):
        of_a, of_b = flags_of(a), flags_of(b)
        if measure in measures and of_a is not None and of_b is not None:
            jobs.append((name, False, higher, partial(difference_of_shares, of_a, of_b)))
    if not jobs and not answered:
        raise _no_right_answer(b)
    if not jobs:
        raise LoadError(f"no measure is left to compare; accepted: {', '.join(MEASURES)}")
    # Bonferroni's: each verdict is as much surer as there are more of them.
    level = 1 - (1 - confidence) / len(jobs)
    rows = []
    for name, relative, higher_is_better, interval_of in jobs:
        limit = tolerance if relative else share_tolerance
        interval = interval_of(level)
        change = _change(interval, limit, relative, higher_is_better)
        needed = (
            _needed_s(interval, limit, relative, level, seconds) if change == "too short" else None
        )
        rows.append(Row(name, interval, relative, change, needed))
    return Comparison(rows, *_warnings(a, b), paired)


def _change(interval: Interval, tolerance: float, relative: bool, higher_is_better: bool) -> Change:
    none = 1.0 if relative else 0.0
    low, high = interval.low - none, interval.high - none
    if low > 0 and high > tolerance:
        return "better" if higher_is_better else "worse"
    if high < 0 and low < -tolerance:
        return "worse" if higher_is_better else "better"
    known = interval.independent >= FEWEST or low == high == 0
    return "same" if known and -tolerance <= low <= high <= tolerance else "too short"


def _needed_s(
    interval: Interval, tolerance: float, relative: bool, level: float, seconds: float
) -> float:
    wanted = math.log1p(tolerance) if relative else tolerance
    times = student(level, 60) + _POWER
    error = interval.standard_error
    ratio = (times * error / wanted) ** 2 if math.isfinite(error) else 1.0
    fewest = FEWEST / max(interval.independent, 0.1)
    return min(seconds * max(ratio, fewest, 1.0), _LONGEST)


def _kind(report: Report) -> str:
    return str(report.document["configuration"]["arrivals"]["kind"])


def _measured(report: Report) -> npt.NDArray[np.bool_]:
    warmup_s = 0.0 if _kind(report) == "offline" else report.document["configuration"]["warmup_s"]
    measured: npt.NDArray[np.bool_] = report.records["intended_ns"] >= warmup_s * 1e9
    return measured


def _right(report: Report) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = _measured(report) & (report.records["outcome"] == "ok")
    return found


def _no_right_answer(report: Report) -> LoadError:
    return LoadError(f"report '{report.name}' has no right answer to compare")


def _latencies_ms(a: Report, b: Report, paired: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    rows = [np.flatnonzero(_right(report)) for report in (a, b)]
    if paired:
        _, first, second = np.intersect1d(
            a.records["index"][rows[0]],
            b.records["index"][rows[1]],
            assume_unique=True,
            return_indices=True,
        )
        if len(first):
            rows = [rows[0][first], rows[1][second]]
    first, second = (
        (report.records["end_ns"] - report.records["intended_ns"])[chosen] / 1e6
        for report, chosen in zip((a, b), rows, strict=True)
    )
    return first, second


def _rates(report: Report) -> npt.NDArray[np.float64]:
    """Right answers per second in equal parts of the measured time."""
    configuration = report.document["configuration"]
    start = 0.0 if _kind(report) == "offline" else configuration["warmup_s"]
    end = start + report.document["summary"]["measured_s"]
    ends = report.records["end_ns"][report.records["outcome"] == "ok"] / 1e9
    bins = max(min(_BINS, len(ends) // 4), 1)
    counts, _ = np.histogram(ends, bins, (start, max(end, start + 1e-9)))
    rates: npt.NDArray[np.float64] = counts / ((end - start) / bins)
    return rates


def _failed(report: Report) -> npt.NDArray[np.bool_]:
    outcome = report.records["outcome"][_measured(report)]
    found: npt.NDArray[np.bool_] = (outcome != "ok") & (outcome != "cancelled")
    return found


def _in_slo(report: Report) -> npt.NDArray[np.bool_] | None:
    slo = report.document["configuration"]["slo"]
    if slo is None:
        return None
    records = report.records
    in_time = records["end_ns"] - records["intended_ns"] <= slo["latency_ms"] * 1e6
    found: npt.NDArray[np.bool_] = (in_time & (records["outcome"] == "ok"))[_measured(report)]
    return found


def _sent(report: Report) -> list[Any]:
    """Names and origin of the payloads, but no paths, which differ from machine to machine."""
    payload = report.document["configuration"]["payload"]
    origin = [payload[name] for name in ("inputs", "synthetic", "input", "order", "check")]
    return [report.document["payloads"], *origin]


def _warnings(a: Report, b: Report) -> tuple[list[str], bool]:
    warnings, invalid = [], False
    for report in (a, b):
        summary = report.document["summary"]
        reasons = summary["validity"]["reasons"]
        invalid = invalid or bool(reasons)
        warnings += [f"'{report.name}' is invalid: {reason}" for reason in reasons]
        if not _right(report).any():
            warnings.append(f"'{report.name}' has no right answer, and so no latency to compare")
        if report.document["interrupted"]:
            warnings.append(f"'{report.name}' was ended early; what was in flight is left out")
        if summary["steady_state"]["steady"] is False:
            warnings.append(f"'{report.name}' is not steady: {summary['steady_state']['reason']}")
    if a.document["schedule"] != b.document["schedule"]:
        warnings.append("the runs did not have the same schedule, so their arrivals differ, too")
    settings = [report.document["configuration"] for report in (a, b)]
    for name, text in (("slo", "SLO"), ("arrivals", "arrivals")):
        if settings[0][name] != settings[1][name]:
            warnings.append(f"the runs did not have the same {text}")
    if _sent(a) != _sent(b):
        warnings.append("the runs did not send the same payloads, or check answers in the same way")
    return warnings, invalid
