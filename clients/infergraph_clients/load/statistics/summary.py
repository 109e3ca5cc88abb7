"""`Summary`: all that a run's report says in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrivals.specification import STATIONARY, Offline
from ..configuration import Slo
from ..engine.run import Run
from ..outcome import Outcome
from . import histogram, steady_state, validity
from .distribution import Distribution, percentile
from .scenario import ScenarioResult, judge_scenario
from .stages import Stages, parts_of, summarise_stages


@dataclass(frozen=True)
class Requests:
    """Counts. `scheduled` = `sent` + `unsent`; `sent` is the sum of all outcomes.

    Attributes:
        warmup: Of those sent, how many were meant for the warm-up.
        measured: The rest, over which everything else is computed.
    """

    scheduled: int
    sent: int
    unsent: int
    warmup: int
    measured: int


@dataclass(frozen=True)
class Rates:
    """Per second of the measured time.

    Attributes:
        intended: Requests that were meant for it.
        sent: Requests sent in it.
        answered_ok: Right answers that came in it.
        goodput: Of the intended requests, those answered well within the SLO's latency.
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
        met: Whether that is at least the SLO's percentile.
        value_ms: The latency at the percentile; None if so many failed that it is endless.
    """

    latency_ms: float
    percentile: float
    attainment: float
    met: bool
    value_ms: float | None


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
        latency: end - intended of the right answers: the headline.
        latency_of_all: The same of all requests, however they ended.
        service_time: end - sent of the right answers.
        dispatch_delay: sent - intended of all requests.
        first_byte: first byte - sent of the right answers, where the transport can tell.
        errors: Outcome -> texts, and how often each came, with the warm-up.
        latency_histogram: An encoded HdrHistogram of `latency`, in microseconds.
    """

    measured_s: float
    requests: Requests
    outcomes: dict[str, int]
    all_outcomes: dict[str, int]
    rates: Rates
    latency: Distribution
    latency_of_all: Distribution
    service_time: Distribution
    dispatch_delay: Distribution
    first_byte: Distribution
    slo: SloResult | None
    scenario: ScenarioResult | None
    steady_state: steady_state.SteadyState
    validity: validity.Validity
    stages: Stages
    client: list[ClientLoad]
    errors: dict[str, dict[str, int]]
    latency_histogram: str


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
    right = table[table["outcome"] == Outcome.OK]
    end_s = _end_of_load(run)
    seconds = max(end_s - warmup_s, 0.0)
    delays = Distribution.of(measured["sent_ns"] - measured["intended_ns"])
    slo = _slo(configuration.slo, measured)
    told = ok[ok["first_byte_ns"] >= 0]
    all_outcomes = _outcomes(table)
    return Summary(
        measured_s=seconds,
        requests=Requests(
            scheduled=len(table) + run.unsent,
            sent=len(table),
            unsent=run.unsent,
            warmup=len(table) - len(measured),
            measured=len(measured),
        ),
        outcomes=_outcomes(measured),
        all_outcomes=all_outcomes,
        rates=Rates(
            intended=_rate(len(measured), seconds),
            sent=_rate(_within(table["sent_ns"], warmup_s, end_s), seconds),
            answered_ok=_rate(_within(right["end_ns"], warmup_s, end_s), seconds),
            goodput=None if slo is None else _rate(slo.attainment * len(measured), seconds),
        ),
        latency=Distribution.of(ok["end_ns"] - ok["intended_ns"]),
        latency_of_all=Distribution.of(measured["end_ns"] - measured["intended_ns"]),
        service_time=Distribution.of(ok["end_ns"] - ok["sent_ns"]),
        dispatch_delay=delays,
        first_byte=Distribution.of(told["first_byte_ns"] - told["sent_ns"]),
        slo=slo,
        scenario=judge_scenario(configuration, measured, run.seconds),
        steady_state=steady_state.judge(
            right["intended_ns"],
            right["end_ns"] - right["intended_ns"],
            warmup_s,
            end_s,
            isinstance(configuration.arrivals, STATIONARY),
        ),
        validity=validity.judge(
            configuration,
            delays,
            all_outcomes,
            run.processes,
            run.unsent,
            run.interrupted,
            run.died,
        ),
        stages=summarise_stages(parts_of(ok, run.traces)),
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
        latency_histogram=_histogram(ok),
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
    return run.configuration.duration_s


def _growth_mb(memory: list[int]) -> float | None:
    tenth = len(memory) // 10
    if not tenth:
        return None
    return float(np.median(memory[-tenth:]) - np.median(memory[:tenth])) / 1e6


def _outcomes(table: npt.NDArray[Any]) -> dict[str, int]:
    counts = np.bincount(table["outcome"], minlength=len(Outcome)).tolist()
    return {outcome.label: counts[outcome] for outcome in Outcome}


def _within(times_ns: npt.NDArray[Any], start_s: float, end_s: float) -> int:
    return int(((times_ns >= start_s * 1e9) & (times_ns <= end_s * 1e9)).sum())


def _rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _slo(slo: Slo | None, measured: npt.NDArray[Any]) -> SloResult | None:
    if slo is None or not len(measured):
        return None
    latency = (measured["end_ns"] - measured["intended_ns"]).astype(np.float64)
    latency[measured["outcome"] != Outcome.OK] = np.inf
    attainment = float((latency <= slo.latency_ms * 1e6).mean())
    value = percentile(np.sort(latency), slo.percentile)
    return SloResult(
        slo.latency_ms,
        slo.percentile,
        attainment,
        attainment >= slo.percentile / 100,
        value if np.isfinite(value) else None,
    )


def _histogram(ok: npt.NDArray[Any]) -> str:
    parts = []
    for process in np.unique(ok["process"]):
        rows = ok[ok["process"] == process]
        part = histogram.new_histogram()
        histogram.record(part, rows["end_ns"] - rows["intended_ns"])
        parts.append(part)
    return histogram.encoded(histogram.merged(parts))
