"""`summarise`: the numbers of a run, from its records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...transports.outcome import Outcome
from ..arrivals.specification import STATIONARY, MultiStream, Offline, Server, SingleStream
from ..configuration import RunConfiguration, Slo
from ..engine.run import Run
from ..thresholds import Threshold, parsed
from . import steady_state, validity
from .distribution import Distribution, percentile, rank
from .intervals import error_of_mean, error_of_share, student
from .stages import Parts, parts_of, summarise_stages
from .summary import (
    ClientLoad,
    MeanInterval,
    Rates,
    Requests,
    ScenarioResult,
    SloResult,
    Summary,
    ThresholdResult,
)

_CONFIDENCE = 0.95
_COMMON = 0.9
"""How often latencies are exceeded from which it is learned how far neighbours are alike."""


def failed(records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which requests failed, bool [N]: all but right answers and those that Ctrl-C gave up."""
    outcome = records["outcome"]
    found: npt.NDArray[np.bool_] = (outcome != Outcome.OK) & (outcome != Outcome.CANCELLED)
    return found


def user_latency(records: npt.NDArray[Any], timeout_s: float) -> npt.NDArray[np.int64]:
    """What users waited, end - intended in nanoseconds, int64 [N].

    A failed request counts as at least the timeout, however early it failed: else a server that
    refuses, or a shorter timeout, would look fast. One that Ctrl-C gave up has waited so long.
    """
    latency = (records["end_ns"] - records["intended_ns"]).astype(np.int64)
    charged: npt.NDArray[np.int64] = np.where(
        failed(records), np.maximum(latency, int(timeout_s * 1e9)), latency
    )
    return charged


def measured_records(run: Run) -> npt.NDArray[Any]:
    """The records of the requests that count: those that were not meant for the warm-up."""
    found: npt.NDArray[Any] = run.records[run.records["intended_ns"] >= _warmup_s(run) * 1e9]
    return found


def _warmup_s(run: Run) -> float:
    # In the offline scenario all requests are meant for the start.
    offline = isinstance(run.configuration.arrivals, Offline)
    return 0.0 if offline else run.configuration.warmup_s


def summarise(run: Run) -> Summary:
    """The summary of a run."""
    configuration, table = run.configuration, run.records
    warmup_s = _warmup_s(run)
    measured = measured_records(run)
    ok = measured[measured["outcome"] == Outcome.OK]
    answered = table["outcome"] == Outcome.OK
    right = table[answered]
    end_s = _end_of_load(run)
    seconds = max(end_s - warmup_s, 0.0)
    latency = user_latency(measured, configuration.target.timeout_s)
    failures = failed(measured)
    waited = right["end_ns"] - right["intended_ns"]
    told = ok[ok["first_byte_ns"] >= 0]
    streams = ok[ok["answers"] > 0]
    times = {
        "latency": latency,
        "service": ok["end_ns"] - ok["sent_ns"],
        "dispatch": measured["sent_ns"] - measured["intended_ns"],
        "first_byte": told["first_byte_ns"] - told["sent_ns"],
        "first_answer": streams["first_answer_ns"] - streams["sent_ns"],
        "answer_gap": streams["longest_gap_ns"][streams["answers"] > 1],
    }
    delays = Distribution.of(times["dispatch"])
    of_right = Distribution.of(ok["end_ns"] - ok["intended_ns"])
    slo = configuration.slo
    came = _within(right["end_ns"], warmup_s, end_s)
    rates = Rates(
        intended=_rate(len(measured), seconds),
        sent=_rate(_within(table["sent_ns"], warmup_s, end_s).sum(), seconds),
        answered_ok=_rate(came.sum(), seconds),
        goodput=None
        if slo is None
        else _rate((came & (waited <= slo.latency_ms * 1e6)).sum(), seconds),
    )
    all_outcomes = _outcomes(table)
    parts = parts_of(ok, run.traces)
    judged = validity.judge(run, delays, of_right, all_outcomes)
    return Summary(
        measured_s=seconds,
        requests=Requests(
            scheduled=len(table) + run.unsent,
            sent=len(table),
            unsent=run.unsent,
            warmup=len(table) - len(measured),
            measured=len(measured),
            failed=int(failures.sum()),
        ),
        outcomes=_outcomes(measured),
        all_outcomes=all_outcomes,
        rates=rates,
        latency=Distribution.of(latency),
        latency_mean=_mean_interval(latency),
        latency_of_right=of_right,
        service_time=Distribution.of(times["service"]),
        dispatch_delay=delays,
        first_byte=Distribution.of(times["first_byte"]),
        first_answer=Distribution.of(times["first_answer"]),
        answer_gap=Distribution.of(times["answer_gap"]),
        slo=None if slo is None else _slo(slo, measured, latency),
        thresholds=[
            ThresholdResult(each.text, value, value is not None and each.holds(value))
            for each in parsed(configuration.thresholds)
            for value in [_measure(each, times, parts, failures, rates)]
        ]
        if len(measured)
        else [],
        scenario=_scenario(configuration, measured, run.seconds),
        steady_state=steady_state.judge(
            table["intended_ns"],
            table["end_ns"] - table["intended_ns"],
            answered,
            warmup_s,
            isinstance(configuration.arrivals, STATIONARY),
        ),
        validity=replace(judged, notes=[*judged.notes, *_short(configuration, times, parts)]),
        stages=summarise_stages(parts),
        client=[
            ClientLoad(
                process.process,
                process.cpu,
                process.busiest_cpu,
                Distribution.of(process.lag_ns),
                process.peak_memory_bytes / 1e6,
                _growth_mb(process.memory_bytes),
            )
            for process in run.processes
        ],
        errors={Outcome(outcome).label: texts for outcome, texts in run.errors.items()},
    )


def _end_of_load(run: Run) -> float:
    """Seconds after the start at which the measured time ends."""
    arrivals = run.configuration.arrivals
    if not len(run.records):
        return 0.0
    # A count that was not reached has ended nothing.
    if isinstance(arrivals, Offline) or (getattr(arrivals, "count", None) and not run.unsent):
        return run.seconds
    if run.interrupted:
        return float(run.records["sent_ns"].max()) / 1e9
    # A trace may end before the duration.
    return run.configuration.duration_s if run.schedule is None else run.schedule.duration_s


def _growth_mb(memory: list[int]) -> float | None:
    tenth = len(memory) // 10
    if not tenth:
        return None
    return float(np.median(memory[-tenth:]) - np.median(memory[:tenth])) / 1e6


def _outcomes(table: npt.NDArray[Any]) -> dict[str, int]:
    counts = np.bincount(table["outcome"], minlength=len(Outcome)).tolist()
    return {outcome.label: counts[outcome] for outcome in Outcome}


def _within(times_ns: npt.NDArray[Any], start_s: float, end_s: float) -> npt.NDArray[np.bool_]:
    # Whole nanoseconds: else the last answer, whose time the end may be, would be beyond it.
    start, end = (round(seconds * 1e9) for seconds in (start_s, end_s))
    found: npt.NDArray[np.bool_] = (times_ns >= start) & (times_ns <= end)
    return found


def _rate(count: float, seconds: float) -> float:
    return float(count / seconds) if seconds > 0 else 0.0


def _mean_interval(latency: npt.NDArray[Any]) -> MeanInterval | None:
    error = error_of_mean(latency)
    if not error.independent:
        return None
    mean = float(latency.mean())
    half = student(_CONFIDENCE, error.independent - 1) * error.standard
    return MeanInterval(max(mean - half, 0.0) / 1e6, (mean + half) / 1e6, error.independent)


def _slo(slo: Slo, measured: npt.NDArray[Any], latency: npt.NDArray[Any]) -> SloResult | None:
    count = len(measured)
    if not count:
        return None
    in_time = (measured["outcome"] == Outcome.OK) & (latency <= slo.latency_ms * 1e6)
    error = error_of_share(in_time, latency > np.quantile(latency, _COMMON))
    half = student(_CONFIDENCE, error.independent - 1) * error.standard
    attainment = float(in_time.mean())
    return SloResult(
        slo.latency_ms,
        slo.percentile,
        attainment,
        max(attainment - half, 0.0),
        min(attainment + half, 1.0),
        int(in_time.sum()) >= rank(count, slo.percentile),
        percentile(np.sort(latency), slo.percentile),
    )


def _measure(
    threshold: Threshold,
    times: dict[str, npt.NDArray[Any]],
    parts: list[Parts],
    failures: npt.NDArray[np.bool_],
    rates: Rates,
) -> float | None:
    if threshold.metric == "failed":
        return float(failures.mean())
    if threshold.metric == "rate":
        return rates.answered_ok
    if threshold.metric == "goodput":
        return rates.goodput
    values = _judged(threshold, times, parts)
    if not len(values):
        return None
    if threshold.percentile is not None:
        return percentile(np.sort(values), threshold.percentile)
    return float(values.mean() if threshold.metric == "mean" else values.max()) / 1e6


def _judged(
    threshold: Threshold, times: dict[str, npt.NDArray[Any]], parts: list[Parts]
) -> npt.NDArray[Any]:
    """The times, in nanoseconds, that a threshold on a time is about."""
    part = threshold.part or "latency"
    if part in times or not any(part in each.seconds for each in parts):
        return times.get(part, np.empty(0))
    # A stage counts with 0 in a request that it had no part in.
    return np.array([each.seconds.get(part, 0.0) for each in parts]) * 1e9


def _short(
    configuration: RunConfiguration, times: dict[str, npt.NDArray[Any]], parts: list[Parts]
) -> list[str]:
    """A note on each verdict on a percentile that less than one measured value lies beyond."""
    judged = [
        (f"threshold {each.text}", each.percentile, len(_judged(each, times, parts)))
        for each in parsed(configuration.thresholds)
        if each.percentile is not None
    ]
    if configuration.slo is not None:
        judged.append(("the SLO", configuration.slo.percentile, len(times["latency"])))
    return [
        f"{name} is judged by the largest of {count} values: for one to lie beyond p{q:g}, "
        f"{math.ceil(round(100 / (100 - q), 9))} are needed"
        for name, q, count in judged
        if q < 100 and 0 < count == rank(count, q)
    ]


def _scenario(
    configuration: RunConfiguration, measured: npt.NDArray[Any], seconds: float
) -> ScenarioResult | None:
    """The metric; None if the arrivals are none of MLPerf's scenarios."""
    arrivals = configuration.arrivals
    latency = (measured["end_ns"] - measured["intended_ns"]).astype(np.float64)
    latency[measured["outcome"] != Outcome.OK] = np.inf
    if isinstance(arrivals, Offline):
        right = int((measured["outcome"] == Outcome.OK).sum())
        value = right / seconds if seconds > 0 else None
        return ScenarioResult("offline", "samples per second", value, "1/s")
    if isinstance(arrivals, SingleStream):
        return ScenarioResult("single-stream", "90th percentile latency", _tail(latency, 90), "ms")
    if isinstance(arrivals, Server):
        return ScenarioResult("server", "99th percentile latency", _tail(latency, 99), "ms")
    if isinstance(arrivals, MultiStream):
        queries = measured["index"] // arrivals.samples_per_query
        _, place = np.unique(queries, return_inverse=True)
        slowest = np.zeros(int(place.max()) + 1 if len(place) else 0)
        np.maximum.at(slowest, place, latency)
        value = _tail(slowest, 99)
        return ScenarioResult("multi-stream", "99th percentile latency of queries", value, "ms")
    return None


def _tail(latency: npt.NDArray[np.float64], q: float) -> float | None:
    if not len(latency):
        return None
    value = percentile(np.sort(latency), q)
    return value if np.isfinite(value) else None
