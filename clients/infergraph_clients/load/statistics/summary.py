"""`Summary`: all that a run's report says in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...transports.outcome import Outcome
from ..arrivals.specification import STATIONARY, MultiStream, Offline, Server, SingleStream
from ..configuration import RunConfiguration, Slo
from ..engine.run import Run
from ..errors import ExitStatus
from ..thresholds import Threshold, parsed
from . import steady_state, validity
from .distribution import Distribution, percentile, rank
from .intervals import error_of_mean, error_of_share, student
from .stages import Parts, Stages, parts_of, summarise_stages

_CONFIDENCE = 0.95
_COMMON = 0.9
"""How often latencies are exceeded from which it is learned how far neighbours are alike."""


@dataclass(frozen=True)
class Requests:
    """Counts. `scheduled` = `sent` + `unsent`; `sent` is the sum of all outcomes.

    Attributes:
        warmup: Of those sent, how many were meant for the warm-up.
        measured: The rest, over which everything else is computed.
        failed: Of those measured, how many were not answered well, Ctrl-C aside.
    """

    scheduled: int
    sent: int
    unsent: int
    warmup: int
    measured: int
    failed: int


@dataclass(frozen=True)
class Rates:
    """Per second of the measured time.

    Attributes:
        intended: Requests that were meant for it.
        sent: Requests sent in it.
        answered_ok: Right answers that came in it.
        goodput: Right answers that came in it, within the SLO's latency.
    """

    intended: float
    sent: float
    answered_ok: float
    goodput: float | None


@dataclass(frozen=True)
class SloResult:
    """Whether the objective was met.

    Attributes:
        latency_ms, percentile: The objective.
        attainment: The share of all measured requests that were answered well in time.
        attainment_low, attainment_high: Its 95% interval, which knows that requests share queues.
        met: Whether that is at least the SLO's percentile.
        value_ms: The latency at the percentile, failed requests as in `Summary.latency`.
    """

    latency_ms: float
    percentile: float
    attainment: float
    attainment_low: float
    attainment_high: float
    met: bool
    value_ms: float


@dataclass(frozen=True)
class MeanInterval:
    """The 95% interval of a mean, milliseconds.

    Attributes:
        low, high: Its bounds.
        independent: How many independent batches the run is worth, at most 64; with fewer than 16,
            it is short beside the time for which its queues remember.
    """

    low: float
    high: float
    independent: float


@dataclass(frozen=True)
class ThresholdResult:
    """Attributes: threshold: Its text; value: What was measured, in ms, as a share, or per second;
    None if there was nothing to measure; met: Whether it holds.
    """

    threshold: str
    value: float | None
    met: bool


@dataclass(frozen=True)
class ScenarioResult:
    """What one of MLPerf's inference scenarios is judged by.

    Attributes:
        scenario: Its name.
        metric: What is measured, in words.
        value: Of the metric; None if a query that decides it failed, or there was none.
        unit: ms or 1/s.
    """

    scenario: str
    metric: str
    value: float | None
    unit: str


@dataclass(frozen=True)
class ClientLoad:
    """What one process of the tester said of itself.

    Attributes:
        cpu, busiest_cpu: Shares of one core, over the run and in its busiest second.
        loop_lag: How late timers of its event loop were; loops round up to 1 ms.
        peak_memory_mb: Its largest resident size.
        memory_growth_mb: From the first tenth of its seconds to the last, by their medians; None
            for a run of less than 10 s.
    """

    process: int
    cpu: float
    busiest_cpu: float
    loop_lag: Distribution
    peak_memory_mb: float
    memory_growth_mb: float | None


@dataclass(frozen=True)
class Summary:
    """A run in numbers, over its measured requests unless said otherwise.

    Attributes:
        measured_s: Seconds of the measured time.
        outcomes: Label -> count; `all_outcomes` with the warm-up.
        latency: end - intended of all requests, failed ones as at least the timeout: the headline.
        latency_mean: How sure its mean is; None for fewer than 8 requests.
        latency_of_right: end - intended of the right answers alone.
        service_time: end - sent of the right answers.
        dispatch_delay: sent - intended of all requests.
        first_byte: first byte - sent of the right answers, where the transport can tell.
        first_answer: Of streams that were right, first answer - sent.
        answer_gap: Of the same, the longest time between two answers of each.
        errors: Outcome -> texts, and how often each came, with the warm-up.
    """

    measured_s: float
    requests: Requests
    outcomes: dict[str, int]
    all_outcomes: dict[str, int]
    rates: Rates
    latency: Distribution
    latency_mean: MeanInterval | None
    latency_of_right: Distribution
    service_time: Distribution
    dispatch_delay: Distribution
    first_byte: Distribution
    first_answer: Distribution
    answer_gap: Distribution
    slo: SloResult | None
    thresholds: list[ThresholdResult]
    scenario: ScenarioResult | None
    steady_state: steady_state.SteadyState
    validity: validity.Validity
    stages: Stages
    client: list[ClientLoad]
    errors: dict[str, dict[str, int]]

    @property
    def met(self) -> bool:
        """Whether the SLO and all thresholds are met."""
        return (self.slo is None or self.slo.met) and all(each.met for each in self.thresholds)

    @property
    def status(self) -> ExitStatus:
        """The verdict: INVALID, MISSED or FINE."""
        if not self.validity.valid:
            return ExitStatus.INVALID
        return ExitStatus.FINE if self.met else ExitStatus.MISSED


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
        validity=validity.judge(run, delays, of_right, all_outcomes),
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
    ended_by_count = getattr(run.configuration.arrivals, "count", None) is not None
    if not len(run.records):
        return 0.0
    if ended_by_count:
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
    found: npt.NDArray[np.bool_] = (times_ns >= start_s * 1e9) & (times_ns <= end_s * 1e9)
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
    part = threshold.part or "latency"
    # A stage counts with 0 in a request that it had no part in.
    values = times.get(part)
    if values is None and any(part in each.seconds for each in parts):
        values = np.array([each.seconds.get(part, 0.0) for each in parts]) * 1e9
    if values is None or not len(values):
        return None
    if threshold.percentile is not None:
        return percentile(np.sort(values), threshold.percentile)
    return float(values.mean() if threshold.metric == "mean" else values.max()) / 1e6


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
