"""`search`: the highest rate that still meets an SLO, found by trials.

The rate doubles until a trial fails, then the gap between the highest rate that passed and the
lowest that failed is halved until it is small enough.

A trial passes if it meets the SLO and all thresholds, and is long enough to say so. A server that
is overloaded by the precision falls behind by `precision * seconds`, so a latency above half of
that, or one that rises, may be a queue that grows; and near the SLO, requests that share a queue
may have met it by luck. It fails if it misses them by more than chance. What is unclear is tried
again for longer, up to the longest trial, which decides by what it measured; in it, an overload by
half the precision grows beyond the SLO. What even that leaves to chance is said as a range of
rates. An invalid trial says nothing of the server: it is done again once, and then the search ends
there as the tester's limit.

After a trial that did not pass, the server may still work on requests that were given up. So single
requests are sent until their latency is again what it was before the first trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .arrivals.specification import Bursts, SingleStream
from .configuration import RunConfiguration
from .errors import ExitStatus, LoadError
from .statistics.intervals import FEWEST
from .statistics.summary import Summary

Verdict = Literal["pass", "fail", "unclear", "invalid"]
Trial = Callable[[RunConfiguration], Summary]
_MOST_DOUBLINGS = 30
_ATTEMPTS = 2
_FEWEST_REQUESTS = 10
"""Of the measured time of a trial: with fewer, a percentile is the luck of one request."""
_LONGER, _MOST_LONGER = 4.0, 20.0
"""The longest trial is at least so many times the duration, and to see the percentile at most."""
_BEYOND = 50
"""Requests that may miss the SLO in a trial that is to see its percentile."""
_NEAR, _FAR = 0.5, 0.2
"""Of the SLO's latency: above the first, luck may have met it; below the second, hardly."""
_FEWEST_BEYOND = 10
"""Requests that may miss the SLO in a trial that is believed, unless it is far from it."""
_PROBES = 3
_MOST_PROBES = 100
_SETTLED = 1.5
"""Times the latency before the first trial, and a few milliseconds for single outliers."""
_SETTLED_MS = 5.0


@dataclass(frozen=True)
class Step:
    """One trial of the search.

    Attributes:
        rate: Of its arrivals.
        verdict: Unclear ones are followed by a longer trial.
        sure: Whether the verdict is beyond chance.
        reason: Of a verdict that is no pass.
        seconds: Its duration, the warm-up among it.
        summary: What it measured.
    """

    rate: float
    verdict: Verdict
    sure: bool
    reason: str
    seconds: float
    summary: Summary


@dataclass
class SearchResult:
    """What was found.

    Attributes:
        rate: The highest rate that passed; None if none did.
        steps: All trials, in order.
        limited_by: Whether the next rate failed at the server, or the tester could not send it.
        notes: What a reader should know.
        interrupted: Whether it was ended by Ctrl-C; the rate is then the highest that had passed.
    """

    rate: float | None = None
    steps: list[Step] = field(default_factory=list)
    limited_by: Literal["server", "tester", "nothing"] = "nothing"
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def certain(self) -> tuple[float | None, float | None]:
        """The highest rate that passed and the lowest that failed beyond chance."""
        passed = [step.rate for step in self.steps if step.sure and step.verdict == "pass"]
        missed = [step.rate for step in self.steps if step.sure and step.verdict == "fail"]
        low = max((rate for rate in passed if self.rate and rate <= self.rate), default=None)
        high = min((rate for rate in missed if rate > (self.rate or 0.0)), default=None)
        return low, high

    @property
    def status(self) -> ExitStatus:
        """MISSED if no rate passed, INVALID if that was the tester's fault."""
        if self.interrupted:
            return ExitStatus.INTERRUPTED
        if self.rate is not None:
            return ExitStatus.FINE
        return ExitStatus.INVALID if self.limited_by == "tester" else ExitStatus.MISSED

    @property
    def verdict(self) -> str:
        """One line."""
        if self.interrupted:
            rate = "no rate" if self.rate is None else f"{self.rate:.1f}/s"
            return f"ended early: {rate} had passed"
        if self.rate is None:
            return (
                "no rate could be judged: the tester could not keep up"
                if self.limited_by == "tester"
                else "no rate met the SLO"
            )
        limit = {
            "server": "the server misses the SLO above it",
            "tester": "above it the tester could not keep up: the server may do more",
            "nothing": "no higher rate was tried",
        }[self.limited_by]
        low, high = self.certain
        known = [] if low is None or low >= self.rate else [f"above {low:.1f}/s"]
        tried = min((s.rate for s in self.steps if s.rate > self.rate), default=None)
        if self.limited_by == "server" and high != tried:
            known += [] if high is None else [f"below {high:.1f}/s"]
        doubt = f"; beyond chance only that it is {' and '.join(known)}" if known else ""
        return f"highest rate within the SLO: {self.rate:.1f}/s ({limit}{doubt})"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rate": self.rate,
            "certain": self.certain,
            "limited_by": self.limited_by,
            "verdict": self.verdict,
            "interrupted": self.interrupted,
            "notes": self.notes,
            "steps": [
                {
                    "rate": step.rate,
                    "verdict": step.verdict,
                    "sure": step.sure,
                    "reason": step.reason,
                    "seconds": step.seconds,
                    "attainment": None if step.summary.slo is None else step.summary.slo.attainment,
                    "value_ms": None if step.summary.slo is None else step.summary.slo.value_ms,
                    "requests": step.summary.requests.measured,
                    "failed": step.summary.requests.failed,
                }
                for step in self.steps
            ],
        }


def search(
    configuration: RunConfiguration,
    trial: Trial,
    *,
    start_rate: float,
    precision: float,
    highest_rate: float | None = None,
    longest_s: float | None = None,
    probe: Trial | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> SearchResult:
    """Searches.

    Args:
        configuration: Of each trial; its arrivals have a rate, which is replaced. It has an SLO.
        trial: Does one; KeyboardInterrupt from it ends the search with what was found.
        start_rate: Of the first trial; halved while even that fails, down to 10 requests in it.
        precision: The search ends when the bounds are closer than this share of the lower one.
        highest_rate: No rate above it is tried.
        longest_s: The longest trial, the warm-up among it; by default 4 times the duration, as long
            as an overload by half of the precision needs to grow beyond the SLO, or as 50 requests
            need to miss it (at most 20 times the duration), whichever is most.
        probe: Does a run of single requests, to learn whether the server has settled; without it,
            no trial waits for that.
        on_step: Told of each trial.

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
    if not start_rate > 0 or not configuration.arrivals.rate > 0:
        raise LoadError(
            "arrivals.rate is 0, of which no multiple can be tried; accepted: more than 0"
        )
    return _Search(configuration, trial, precision, highest_rate, longest_s, probe, on_step).run(
        start_rate
    )


class _Search:
    def __init__(
        self,
        configuration: RunConfiguration,
        trial: Trial,
        precision: float,
        highest_rate: float | None,
        longest_s: float | None,
        probe: Trial | None,
        on_step: Callable[[Step], None],
    ) -> None:
        assert configuration.slo is not None
        self._configuration = configuration
        self._trial = trial
        self._precision = precision
        self._highest_rate = highest_rate
        self._probe = probe
        self._on_step = on_step
        self._result = SearchResult()
        self._alone_ms: float | None = None
        self._longest_s = longest_s

    def run(self, start_rate: float) -> SearchResult:
        result = self._result
        try:
            result.rate = self._highest(start_rate)
        except KeyboardInterrupt:
            passed = (step.rate for step in result.steps if step.verdict == "pass")
            result.rate, result.interrupted = max(passed, default=None), True
        return result

    def _highest(self, start_rate: float) -> float | None:
        if self._probe is not None:
            self._alone_ms = self._probed()
        lower, upper = self._bracket(start_rate)
        while lower is not None and upper is not None and upper - lower > self._precision * lower:
            middle = (lower + upper) / 2
            if self._passes(middle):
                lower = middle
            else:
                upper = middle
        return lower

    def _bracket(self, rate: float) -> tuple[float | None, float | None]:
        """A rate that passed and a higher one that did not; None where there is no such rate."""
        highest, configuration = self._highest_rate, self._configuration
        lowest = _FEWEST_REQUESTS / (configuration.duration_s - configuration.warmup_s)
        lower: float | None = None
        upper: float | None = None
        for _ in range(_MOST_DOUBLINGS):
            if highest is not None and lower is not None and lower >= highest:
                return lower, None
            rate = rate if highest is None else min(rate, highest)
            if self._passes(rate):
                lower = rate
                if upper is not None:
                    return lower, upper
                rate *= 2
            else:
                upper = rate
                if lower is not None:
                    return lower, upper
                rate /= 2
                if rate < lowest:
                    break
        return lower, upper

    def _passes(self, rate: float) -> bool:
        seconds, attempts = self._configuration.duration_s, 0
        while True:
            summary = self._trial(at_rate(self._configuration, rate, seconds))
            longest = self._longest(rate)
            last = seconds >= longest
            verdict, sure, reason, wanted_s = judge(summary, self._precision, last)
            step = Step(rate, verdict, sure, reason, seconds, summary)
            self._result.steps.append(step)
            self._on_step(step)
            if verdict == "pass":
                return True
            self._settle(rate)
            if verdict == "unclear":
                wanted_s += self._configuration.warmup_s
                seconds = min(max(2 * seconds, wanted_s), longest)
                continue
            attempts += 1
            if verdict == "fail" or attempts == _ATTEMPTS:
                self._result.limited_by = "server" if verdict == "fail" else "tester"
                return False

    def _longest(self, rate: float) -> float:
        if self._longest_s is not None:
            return self._longest_s
        configuration, slo = self._configuration, self._configuration.slo
        assert slo is not None
        duration, warmup = configuration.duration_s, configuration.warmup_s
        grown = 2 * slo.latency_ms / 1e3 / self._precision
        seen = _BEYOND / max(1 - slo.percentile / 100, 1e-9) / rate
        return max(_LONGER * duration, warmup + grown, min(warmup + seen, _MOST_LONGER * duration))

    def _settle(self, rate: float) -> None:
        alone = self._alone_ms
        if alone is None:
            return
        found = None
        for _ in range(_MOST_PROBES):
            found = self._probed()
            if found is not None and found <= _SETTLED * alone + _SETTLED_MS:
                return
        latency = "no right answer" if found is None else f"{found:.3g} ms"
        self._result.notes.append(
            f"after the trial at {rate:.1f}/s the server did not settle: single requests had "
            f"{latency}, before the first trial {alone:.3g} ms; later trials may be too harsh"
        )

    def _probed(self) -> float | None:
        """The longest latency of a few single requests, ms; None if one was not answered well."""
        assert self._probe is not None
        configuration = self._configuration
        summary = self._probe(
            configuration.model_copy(
                update={
                    "arrivals": SingleStream(count=_PROBES),
                    "duration_s": configuration.target.timeout_s,
                    "warmup_s": 0.0,
                    "processes": 1,
                    "trace": 0.0,
                    "thresholds": [],
                }
            )
        )
        right = summary.latency_of_right
        return right.max if right.count == _PROBES else None


def judge(summary: Summary, precision: float, last: bool) -> tuple[Verdict, bool, str, float]:
    """The verdict on a trial, whether it is beyond chance, why, and how long a clear one must be.

    Args:
        summary: Of the trial.
        precision: See `search`.
        last: Whether no longer trial is possible: then it is decided as it stands.
    """
    slo, steady, seconds = summary.slo, summary.steady_state, summary.measured_s
    if slo is None:
        return "invalid", False, "no request was measured", 0.0
    wanted = slo.percentile / 100
    if not summary.met:
        if not summary.validity.valid:
            return "invalid", False, summary.validity.reasons[0], 0.0
        missed = ["the SLO"] if not slo.met else []
        missed += [each.threshold for each in summary.thresholds if not each.met]
        sure = slo.met or slo.attainment_high < wanted or steady.rising
        if not sure and not last:
            return "unclear", False, "the SLO is missed, perhaps by chance", 0.0
        return (
            "fail",
            sure,
            f"{' and '.join(missed)} {'is' if len(missed) == 1 else 'are'} missed",
            0.0,
        )
    value_s = slo.value_ms / 1e3
    near = slo.value_ms > slo.latency_ms * _NEAR and slo.attainment_low < wanted
    # What an overload by the precision would have grown to in half of the time.
    may_grow = value_s > precision * seconds / 2
    if not last:
        if may_grow:
            return "unclear", False, "too short to see a queue grow", 2 * value_s / precision
        mean = summary.latency_mean
        few = mean is None or mean.independent < FEWEST
        few = few or summary.requests.measured * (1 - wanted) < _FEWEST_BEYOND
        if steady.rising or near or (few and slo.value_ms > slo.latency_ms * _FAR):
            reason = steady.reason if steady.rising else "the SLO is met, perhaps by chance"
            return "unclear", False, reason, 0.0
    # A rising latency would miss the SLO if it went on like that for as long again.
    if steady.rising and slo.value_ms * (1 + (steady.drift or 0.0)) > slo.latency_ms:
        return "fail", False, f"not steady: {steady.reason}", 0.0
    return "pass", not near and not may_grow, "", 0.0


def at_rate(configuration: RunConfiguration, rate: float, seconds: float) -> RunConfiguration:
    """The same run at another rate; of bursts both rates change by the same factor."""
    arrivals = configuration.arrivals
    update = {"rate": rate}
    if isinstance(arrivals, Bursts):
        update["burst_rate"] = arrivals.burst_rate * rate / arrivals.rate
    return configuration.model_copy(
        update={"arrivals": arrivals.model_copy(update=update), "duration_s": seconds}
    )
