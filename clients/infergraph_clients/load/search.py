"""`Search`: the highest rate that still meets an SLO, found by runs of growing length of step.

The rate doubles until a run fails, then the gap between the highest rate that passed and the lowest
that failed is halved until it is small enough. A run passes if it meets the SLO. A run that is
invalid has told nothing of the server: if it met the SLO all the same, it passes; if not, it is
done again once, and then the search ends there, and says that it is the tester's limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .arrivals.specification import Bursts
from .configuration import RunConfiguration
from .errors import LoadError
from .statistics.summary import Summary

Verdict = Literal["pass", "fail", "invalid"]
Trial = Callable[[RunConfiguration], Summary]
_MOST_DOUBLINGS = 30
_ATTEMPTS = 2
_FEWEST_REQUESTS = 10
"""Of the measured time of a run: with fewer, a percentile is the luck of one request."""


@dataclass(frozen=True)
class Step:
    """One run of the search."""

    rate: float
    verdict: Verdict
    summary: Summary


@dataclass
class SearchResult:
    """What was found.

    Attributes:
        rate: The highest rate that passed; None if the first already failed.
        steps: All runs, in order.
        limited_by: Whether the next rate failed at the server, or the tester could not send it.
    """

    rate: float | None = None
    steps: list[Step] = field(default_factory=list)
    limited_by: Literal["server", "tester", "nothing"] = "nothing"


def search(
    configuration: RunConfiguration,
    trial: Trial,
    *,
    start_rate: float,
    precision: float,
    highest_rate: float | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> SearchResult:
    """Searches.

    Args:
        configuration: Of each run; its arrivals have a rate, which is replaced. It has an SLO.
        trial: Does a run.
        start_rate: Of the first run; halved while even that fails, down to 10 requests in a run.
        precision: The search ends when the bounds are closer than this share of the lower one.
        highest_rate: No rate above it is tried.
        on_step: Told of each run.

    Raises:
        LoadError: the configuration has no SLO, or its arrivals no rate.
    """
    if configuration.slo is None:
        raise LoadError("slo is missing: a search needs the latency to stay within")
    if not hasattr(configuration.arrivals, "rate"):
        raise LoadError(
            f"arrivals are '{configuration.arrivals.kind}', which have no rate to search for; "
            "accepted: constant, poisson, gamma, bursts, sine, server"
        )
    result = SearchResult()

    def attempt(rate: float) -> Verdict:
        verdict: Verdict = "invalid"
        for _ in range(_ATTEMPTS):
            summary = trial(at_rate(configuration, rate))
            verdict = judge(summary)
            step = Step(rate, verdict, summary)
            result.steps.append(step)
            on_step(step)
            if verdict != "invalid":
                break
        return verdict

    lowest_rate = _FEWEST_REQUESTS / (configuration.duration_s - configuration.warmup_s)
    lower, upper = _bracket(start_rate, lowest_rate, highest_rate, attempt, result)
    while lower is not None and upper is not None and upper - lower > precision * lower:
        middle = (lower + upper) / 2
        verdict = attempt(middle)
        if verdict == "pass":
            lower = middle
        else:
            upper = middle
            result.limited_by = "server" if verdict == "fail" else "tester"
    result.rate = lower
    return result


def judge(summary: Summary) -> Verdict:
    """Whether a run meets its SLO; a failure that may be the tester's own is invalid."""
    if summary.slo is None:
        return "invalid"
    if summary.slo.met:
        return "pass"
    return "fail" if summary.validity.valid else "invalid"


def at_rate(configuration: RunConfiguration, rate: float) -> RunConfiguration:
    """The same run at another rate; of bursts both rates change by the same factor."""
    arrivals = configuration.arrivals
    update = {"rate": rate}
    if isinstance(arrivals, Bursts):
        update["burst_rate"] = arrivals.burst_rate * rate / arrivals.rate
    return configuration.model_copy(update={"arrivals": arrivals.model_copy(update=update)})


def _bracket(
    rate: float,
    lowest: float,
    highest: float | None,
    attempt: Callable[[float], Verdict],
    result: SearchResult,
) -> tuple[float | None, float | None]:
    """A rate that passed and a higher one that did not; None where there is no such rate."""
    lower: float | None = None
    upper: float | None = None
    for _ in range(_MOST_DOUBLINGS):
        if highest is not None and lower is not None and lower >= highest:
            return lower, None
        rate = rate if highest is None else min(rate, highest)
        verdict = attempt(rate)
        if verdict == "pass":
            lower = rate
            if upper is not None:
                return lower, upper
            rate *= 2
        else:
            upper = rate
            result.limited_by = "server" if verdict == "fail" else "tester"
            if lower is not None:
                return lower, upper
            rate /= 2
            if rate < lowest:
                break
    return lower, upper
