"""`search`: the highest rate that still meets an SLO, found by trials.

The rate doubles until a trial fails, then the gap between the highest rate that passed and the
lowest that failed is halved until it is half of the precision; the other half is left to chance.

A trial passes or fails once that is beyond chance: once the interval of the share of requests in
time excludes the SLO's percentile. The interval is as wide as the trial's queues make it, so one
that is too short to tell is repeated for as long as it seems to need, up to the longest trial. That
one decides by what it measured; what it leaves to chance is said as a range of rates, with how long
it should have been. A server that is overloaded by the precision falls behind by `precision *
seconds`, so a latency above half of that, or one that rises, may be a queue that grows. An invalid
trial says nothing of the server: it is done again once, and then the search ends there as the
tester's limit.

After a trial that missed the SLO, the server may still work on requests that were given up. So
single requests are sent until their latency is again what it was before the first trial.
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
_BEYOND = 0.5
"""Over the precision squared: requests that may miss the SLO in the longest trial (200 for 5%)."""
_LONGEST, _LONGEST_S = 20.0, 300.0
"""For them, it is no longer than so many times the duration, or so many seconds."""
_FAR = 0.2
"""Of the SLO's latency: below it, luck hardly has met the SLO."""
_FACTORS = (2.0, 10.0)
"""The next trial is at least, and at most, so many times longer."""
_FINE = 0.1
"""Of the share that may miss: nearer to it, no trial is long enough."""
_WORTHWHILE_S = 3600.0
"""Longer trials are not recommended."""
_PROBES = 3
_MOST_PROBES = 30
_SETTLED, _SETTLED_MS, _SETTLED_SLO = 1.5, 5.0, 0.1
"""Times the latency before the first trial, and a few milliseconds for single outliers; or so small
a share of the SLO that what is left is no matter."""
LIMITS = {
    "server": "the server misses the SLO above it",
    "tester": "above it the tester could not keep up: the server may do more",
    "nothing": "no higher rate was tried",
}
"""What limited a search, in words."""


@dataclass(frozen=True)
class Judgement:
    """Of a trial.

    Attributes:
        verdict: Unclear ones are followed by a longer trial.
        sure: Whether it is beyond chance.
        reason: Of a verdict that is no pass.
        needed_s: How long the measured time must be for a verdict that is sure, where it is not.
    """

    verdict: Verdict
    sure: bool = False
    reason: str = ""
    needed_s: float | None = None


@dataclass(frozen=True)
class Step:
    """One trial of the search.

    Attributes:
        rate: Of its arrivals.
        seconds: Its duration, the warm-up among it.
        judged: The verdict on it.
        summary: What it measured.
    """

    rate: float
    seconds: float
    judged: Judgement
    summary: Summary

    @property
    def verdict(self) -> Verdict:
        return self.judged.verdict

    def document(self) -> dict[str, Any]:
        """As JSON."""
        slo, requests = self.summary.slo, self.summary.requests
        return {
            "rate": self.rate,
            **vars(self.judged),
            "seconds": self.seconds,
            "attainment": None if slo is None else slo.attainment,
            "value_ms": None if slo is None else slo.value_ms,
            "requests": requests.measured,
            "failed": requests.failed,
        }


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
        rate = self.rate or 0.0
        sure = [(step.verdict, step.rate) for step in self.steps if step.judged.sure]
        passed = [each for verdict, each in sure if verdict == "pass" and each <= rate]
        missed = [each for verdict, each in sure if verdict == "fail" and each > rate]
        return max(passed, default=None), min(missed, default=None)

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
        low, high = self.certain
        known = [] if low is None or low >= self.rate else [f"above {low:.1f}/s"]
        tried = min((s.rate for s in self.steps if s.rate > self.rate), default=None)
        if self.limited_by == "server" and high != tried:
            known += [] if high is None else [f"below {high:.1f}/s"]
        doubt = f"; beyond chance only that it is {' and '.join(known)}" if known else ""
        return f"highest rate within the SLO: {self.rate:.1f}/s ({LIMITS[self.limited_by]}{doubt})"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rate": self.rate,
            "certain": self.certain,
            "limited_by": self.limited_by,
            "verdict": self.verdict,
            "interrupted": self.interrupted,
            "notes": self.notes,
            "steps": [step.document() for step in self.steps],
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
        precision: How far the result may be from the truth, as a share. The search ends when its
            bounds are closer than half of that.
        highest_rate: No rate above it is tried.
        longest_s: The longest trial, the warm-up among it; by default as long as an overload by
            half of the precision needs to grow beyond the SLO, or as enough requests need to
            miss it (200 for 5%; at most 20 times the duration, or 300 s), whichever is more.
        probe: Does a run of single requests, to learn whether the server has settled; without it,
            no trial waits for that.
        on_step: Told of each trial.

    Raises:
        LoadError: the configuration has no SLO, or its arrivals no rate.
    """
    arrivals = configuration.arrivals
    if configuration.slo is None:
        raise LoadError("slo is missing: a search needs the latency to stay within")
    if not hasattr(arrivals, "rate"):
        raise LoadError(
            f"arrivals are '{arrivals.kind}', which have no rate to search for; "
            "accepted: constant, poisson, gamma, bursts, sine, server"
        )
    if not start_rate > 0 or not arrivals.rate > 0:
        raise LoadError(
            "arrivals.rate is 0, of which no multiple can be tried; accepted: more than 0"
        )
    return _Search(configuration, trial, precision, highest_rate, longest_s, probe, on_step).run(
        start_rate
    )


@dataclass
class _Search:
    configuration: RunConfiguration
    trial: Trial
    precision: float
    highest_rate: float | None
    longest_s: float | None
    probe: Trial | None
    on_step: Callable[[Step], None]
    result: SearchResult = field(default_factory=SearchResult)
    alone_ms: float | None = None

    def run(self, start_rate: float) -> SearchResult:
        result = self.result
        try:
            if self.probe is not None:
                self.alone_ms = self._probed()
            result.rate = self._highest(start_rate)
        except KeyboardInterrupt:
            passed = (step.rate for step in result.steps if step.verdict == "pass")
            result.rate, result.interrupted = max(passed, default=None), True
        self._say_what_is_short()
        return result

    def _highest(self, start_rate: float) -> float | None:
        lower, upper = self._bracket(start_rate)
        while lower and upper and upper - lower > self.precision / 2 * lower:
            middle = (lower + upper) / 2
            if self._passes(middle):
                lower = middle
            else:
                upper = middle
        return lower

    def _bracket(self, rate: float) -> tuple[float | None, float | None]:
        """A rate that passed and a higher one that did not; None where there is no such rate."""
        highest, configuration = self.highest_rate, self.configuration
        lowest = _FEWEST_REQUESTS / (configuration.duration_s - configuration.warmup_s)
        lower: float | None = None
        upper: float | None = None
        for _ in range(_MOST_DOUBLINGS):
            if highest is not None and lower is not None and lower >= highest:
                break
            rate = rate if highest is None else min(rate, highest)
            if self._passes(rate):
                lower = rate
                rate *= 2
            else:
                upper = rate
                rate /= 2
            if (lower and upper) or (lower is None and rate < lowest):
                break
        return lower, upper

    def _passes(self, rate: float) -> bool:
        configuration = self.configuration
        seconds, longest, attempts = configuration.duration_s, self._longest(rate), 0
        while True:
            summary = self.trial(at_rate(configuration, rate, seconds))
            judged = judge(summary, self.precision, seconds >= longest)
            step = Step(rate, seconds, judged, summary)
            self.result.steps.append(step)
            self.on_step(step)
            if judged.verdict == "pass":
                return True
            if not summary.met:
                self._settle(rate)
            if judged.verdict == "unclear":
                least, most = (factor * seconds for factor in _FACTORS)
                wanted = configuration.warmup_s + (judged.needed_s or 0.0)
                seconds = min(max(least, min(wanted, most)), longest)
                continue
            attempts += 1
            if judged.verdict == "fail" or attempts == _ATTEMPTS:
                self.result.limited_by = "server" if judged.verdict == "fail" else "tester"
                return False

    def _longest(self, rate: float) -> float:
        if self.longest_s is not None:
            return self.longest_s
        configuration, slo = self.configuration, self.configuration.slo
        assert slo is not None
        duration = configuration.duration_s
        grown = 2 * slo.latency_ms / 1e3 / self.precision
        seen = _BEYOND / self.precision**2 / max(1 - slo.percentile / 100, 1e-9) / rate
        most = max(_LONGEST * duration, _LONGEST_S)
        return max(duration, configuration.warmup_s + max(grown, min(seen, most)))

    def _settle(self, rate: float) -> None:
        alone, slo = self.alone_ms, self.configuration.slo
        if alone is None or slo is None:
            return
        settled = max(_SETTLED * alone + _SETTLED_MS, _SETTLED_SLO * slo.latency_ms)
        for _ in range(_MOST_PROBES):
            found = self._probed()
            if found is not None and found <= settled:
                return
        latency = "no right answer" if found is None else f"{found:.3g} ms"
        self.result.notes.append(
            f"after the trial at {rate:.1f}/s the server did not settle: single requests had "
            f"{latency}, before the first trial {alone:.3g} ms; later trials may be too harsh"
        )

    def _probed(self) -> float | None:
        """The longest latency of a few single requests, ms; None if one was not answered well."""
        assert self.probe is not None
        settings = {
            "arrivals": SingleStream(count=_PROBES),
            "duration_s": self.configuration.target.timeout_s,
            "warmup_s": 0.0,
            "processes": 1,
            "trace": 0.0,
            "thresholds": [],
        }
        right = self.probe(self.configuration.model_copy(update=settings)).latency_of_right
        return right.max if right.count == _PROBES else None

    def _say_what_is_short(self) -> None:
        """A note on each trial next to the result whose verdict is left to chance."""
        rate, steps = self.result.rate, self.result.steps
        above = min((step.rate for step in steps if step.rate > (rate or 0.0)), default=None)
        for step in {each.rate: each for each in steps if each.rate in (rate, above)}.values():
            if step.judged.needed_s is not None and step.verdict != "unclear":
                needed = self.configuration.warmup_s + step.judged.needed_s
                tells = (
                    f"about {needed:.0f} s would tell (--longest {needed:.0f})"
                    if needed <= _WORTHWHILE_S
                    else "it is so near to the limit that only hours would tell"
                )
                self.result.notes.append(
                    f"the trial at {step.rate:.1f}/s was too short: its verdict ({step.verdict}) "
                    f"may be chance after {step.seconds:.3g} s; {tells}"
                )


def judge(summary: Summary, precision: float, last: bool) -> Judgement:
    """The verdict on a trial.

    Args:
        summary: Of the trial.
        precision: See `search`.
        last: Whether no longer trial is possible: then it is decided as it stands.
    """
    slo, steady, seconds = summary.slo, summary.steady_state, summary.measured_s
    if slo is None:
        return Judgement("invalid", reason="no request was measured")
    # The tester's own delays only add to latencies that met the SLO. What was not sent at all, as
    # by a worker that died, was no load on the server.
    if not summary.validity.valid and (not summary.met or summary.requests.unsent):
        return Judgement("invalid", reason=summary.validity.reasons[0])
    wanted = slo.percentile / 100
    missed = ["the SLO"] if not slo.met else []
    missed += [each.threshold for each in summary.thresholds if not each.met]
    if missed:
        reason = f"{' and '.join(missed)} {'is' if len(missed) == 1 else 'are'} missed"
        if slo.met or slo.attainment_high < wanted or steady.rising:
            return Judgement("fail", True, reason)
    mean = summary.latency_mean
    few = mean is None or mean.independent < FEWEST
    luck = slo.value_ms > slo.latency_ms * _FAR and (few or slo.attainment_low < wanted)
    # An overload by the precision would grow to no more than the latency in half of this time.
    to_grow = 2 * slo.value_ms / 1e3 / precision
    half = (slo.attainment_high - slo.attainment_low) / 2
    away = max(abs(slo.attainment - wanted), _FINE * (1 - wanted), 1e-9)
    needed_s = seconds * max((half / away) ** 2, 2.0)
    if missed:
        doubt = f"{reason}, perhaps by chance"
    elif to_grow > seconds:
        doubt = "too short to see a queue grow"
        needed_s = max(to_grow, needed_s if luck else 0.0)
    elif steady.rising:
        doubt = steady.reason
    elif luck:
        doubt = "the SLO is met, perhaps by chance"
    else:
        return Judgement("pass", True)
    if not last:
        return Judgement("unclear", False, doubt, needed_s)
    if missed:
        return Judgement("fail", False, reason, needed_s)
    # A queue that grows adds as much to every latency, after as long again, as it has added to
    # their median until now.
    added_ms = (steady.drift or 0.0) * (summary.latency_of_right.p50 or slo.value_ms)
    if steady.rising and slo.value_ms + added_ms > slo.latency_ms:
        return Judgement("fail", False, f"not steady: {steady.reason}", needed_s)
    return Judgement("pass", False, "", needed_s)


def at_rate(configuration: RunConfiguration, rate: float, seconds: float) -> RunConfiguration:
    """The same run at another rate; of bursts both rates change by the same factor."""
    arrivals = configuration.arrivals
    update = {"rate": rate}
    if isinstance(arrivals, Bursts):
        update["burst_rate"] = arrivals.burst_rate * rate / arrivals.rate
    return configuration.model_copy(
        update={"arrivals": arrivals.model_copy(update=update), "duration_s": seconds}
    )
