"""`Summary`: all that a run's report says in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ExitStatus
from .distribution import Distribution
from .stages import Stages
from .steady_state import SteadyState
from .validity import Validity


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
    steady_state: SteadyState
    validity: Validity
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
