"""`Evaluator`: measures a pipeline that is being served, and leaves the raw data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ...payloads import Metadata, Payload
from ...transports.outcome import Outcome
from ..arrivals.specification import Poisson
from ..configuration import RunConfiguration, Slo
from ..corpus import read_payloads
from ..engine.run import Prepared, Run, prepare
from ..errors import LoadError
from ..profile.report import write_profile
from ..profile.sweep import Profile, batches_of, sweep
from ..reports.folder import write_report
from ..search import SearchResult, search
from ..statistics import Summary, summarise
from ..statistics.summarising import measured_records
from .server import Servable

SHARES = (0.5, 0.8)
"""Of the ceiling: the rates of the open-loop runs."""
_SLO_FACTOR = 5.0
"""Without an SLO of the user's: so many times the median latency of a request alone."""
_PRECISION = 0.1
"""Of the capacity: by such a share it may be wrong."""
_FEWEST_REQUESTS = 20
_SEARCH_FROM = 0.5
"""Of the ceiling."""


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        seconds: Of each run, the warm-up among them.
        longest: Seconds of the longest trial of the capacity, the warm-up among them; None means
            20 times `seconds`.
        batch_sizes, concurrencies, repeats: Of the profiles.
        slo_ms: None means the objective in the pipeline's file; without one, `_SLO_FACTOR` times
            the median latency of a request alone.
        slo_percentile: Of the SLO.
        seed: Of all runs.
        trace: The share of requests that are traced.
        dispatch_delay_ms: Beyond it, a run is invalid. The tester shares the machine with the
            server, so it is longer than `Limits` has it.
        processes: Of the tester.
        settings: `MODEL.FIELD=VALUE`, with which the server was started.
    """

    seconds: float
    batch_sizes: Sequence[int]
    concurrencies: Sequence[int]
    repeats: int
    slo_ms: float | None
    slo_percentile: float
    seed: int
    trace: float
    dispatch_delay_ms: float
    processes: int
    settings: Sequence[str] = ()
    longest: float | None = None

    @property
    def warmup_s(self) -> float:
        return min(2.0, self.seconds / 5)

    @property
    def longest_s(self) -> float:
        """Of a trial of the search."""
        return 20 * self.seconds if self.longest is None else self.longest

    def configuration(self, url: str, model: str, payload: str) -> RunConfiguration:
        """Of a run; its arrivals are to be replaced."""
        return RunConfiguration.model_validate(
            {
                "target": {"url": url, "model": model},
                "payload": {"path": payload},
                "arrivals": {"kind": "closed", "concurrency": 1},
                "duration_s": self.seconds,
                "warmup_s": self.warmup_s,
                "processes": self.processes,
                "seed": self.seed,
                "trace": self.trace,
                "limits": {"dispatch_delay_ms": self.dispatch_delay_ms},
            }
        )


@dataclass(frozen=True)
class OpenRun:
    """A run with Poisson arrivals.

    Attributes:
        share: Of the ceiling.
        rate: Requests per second that were meant.
        summary: Its numbers.
        latency_ns: Of the measured requests that were answered well.
    """

    share: float
    rate: float
    summary: Summary
    latency_ns: npt.NDArray[Any]


@dataclass
class Evaluation:
    """What was found, as far as it went.

    Attributes:
        pipeline: Its name.
        plan: What was asked for.
        began: Seconds since the epoch.
        profile: Of the pipeline.
        models: Profiles of its models, each by itself.
        unmeasured: Model -> why it has no profile.
        ceiling: Requests per second, of the smallest batch size, at the best concurrency.
        slo: The objective.
        slo_is: Where it comes from, in words.
        open_runs: At shares of the ceiling.
        capacity: The search for the highest rate within the SLO.
        interrupted: Whether it was ended early.
        machine: What tester and server ran on.
    """

    pipeline: str
    plan: Plan
    began: float
    profile: Profile | None = None
    models: list[Profile] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    ceiling: float | None = None
    slo: Slo | None = None
    slo_is: str = ""
    open_runs: list[OpenRun] = field(default_factory=list)
    capacity: SearchResult | None = None
    interrupted: bool = False
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def profiles(self) -> list[Profile]:
        """All of them, the pipeline's first."""
        return [*([] if self.profile is None else [self.profile]), *self.models]

    @property
    def notes(self) -> list[str]:
        """What a reader should know."""
        return [f"{name} by itself has no profile: {why}" for name, why in self.unmeasured.items()]

    @property
    def problems(self) -> list[str]:
        """What makes it say less than it should, or something else."""
        found = []
        for profile in self.profiles:
            bad = [cell for cell in profile.cells if not cell.valid]
            if bad:
                found.append(
                    f"{len(bad)} of {len(profile.cells)} cells of {profile.model} are invalid: "
                    f"{bad[0].problem}"
                )
        for run in self.open_runs:
            found += [
                f"the run at {run.rate:.1f}/s is invalid: {reason}"
                for reason in run.summary.validity.reasons
            ]
        if self.interrupted:
            found.append("it was ended early, by Ctrl-C")
        return found


class Evaluator:
    """Measures.

    Args:
        plan: What is measured.
        url: Of the server.
        folder: For the raw data: `profile-NAME`, `open-PERCENT` and `search/rate-RATE`.
        trial: Does a run; see `sweep`.
        say: Told what comes next.
        check: Called before each part; LoadError from it ends the evaluation.
    """

    def __init__(
        self,
        plan: Plan,
        url: str,
        folder: Path,
        trial: Callable[[Prepared], Run],
        say: Callable[[str], None] = lambda text: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._url = url
        self._folder = folder
        self._trial = trial
        self._say = say
        self._check = check

    def run(self, pipeline: Servable, models: Sequence[Servable]) -> Evaluation:
        """Measures the models, each by itself, then the pipeline.

        An interrupt ends it with what was measured until then.

        Raises:
            LoadError: the pipeline cannot be measured. A model that cannot be, because it has no
                sample request or refuses it, is only noted.
        """
        found = Evaluation(pipeline.name, self._plan, time.time())
        try:
            for model in models:
                try:
                    self._profile(model, found.models.append)
                except LoadError as error:
                    self._check()
                    found.unmeasured[model.name] = str(error)
            self._pipeline(found, pipeline)
        except KeyboardInterrupt:
            found.interrupted = True
        return found

    def _pipeline(self, found: Evaluation, pipeline: Servable) -> None:
        def take(profile: Profile) -> None:
            found.profile, found.machine = profile, profile.machine

        profile = self._profile(pipeline, take)
        alone = [cell for cell in profile.cells if cell.batch_size == profile.cells[0].batch_size]
        ceiling = max(cell.throughput / cell.batch_size for cell in alone)
        first = alone[0].latency.p50
        if not ceiling or first is None:
            raise LoadError(
                f"pipeline '{pipeline.name}' answered no request well: {alone[0].problem}"
            )
        found.ceiling = ceiling
        slo_ms, found.slo_is = next(
            (value, what)
            for value, what in (
                (self._plan.slo_ms, "as asked for"),
                (pipeline.slo_ms, "the pipeline's own"),
                (_SLO_FACTOR * first, f"{_SLO_FACTOR:g} times the latency alone"),
            )
            if value is not None
        )
        found.slo = Slo(latency_ms=slo_ms, percentile=self._plan.slo_percentile)
        assert pipeline.request is not None
        configuration = self._plan.configuration(
            self._url, pipeline.name, str(pipeline.request)
        ).model_copy(update={"slo": found.slo})
        given = read_payloads(configuration.payload, Metadata())
        payloads = batches_of(given, profile.cells[0].batch_size)
        for share in SHARES:
            rate = share * ceiling
            self._check()
            self._say(f"{pipeline.name}: Poisson arrivals at {share:.0%} of it, {rate:.1f}/s")
            settings = _at(configuration, rate)
            run, summary = self._measured(settings, payloads, f"open-{share * 100:.0f}")
            right = measured_records(run)
            right = right[right["outcome"] == Outcome.OK]
            latency = right["end_ns"] - right["intended_ns"]
            found.open_runs.append(OpenRun(share, rate, summary, latency))
        self._say(f"{pipeline.name}: the highest rate within {slo_ms:.3g} ms")
        start = _SEARCH_FROM * ceiling
        found.capacity = search(
            _at(configuration, start),
            lambda at_rate: self._search_step(at_rate, payloads),
            start_rate=start,
            precision=_PRECISION,
            longest_s=self._plan.longest_s,
            probe=lambda alone: summarise(self._trial(prepare(alone, payloads))),
            on_step=lambda step: self._say(f"  {step.rate:.1f}/s: {step.verdict}"),
        )
        if found.capacity.interrupted:
            raise KeyboardInterrupt

    def _profile(self, servable: Servable, take: Callable[[Profile], None]) -> Profile:
        """Takes a profile, also of what was measured before an interrupt."""
        if servable.request is None:
            raise LoadError(f"'{servable.name}' has no sample request (request.json) to send")
        self._check()
        self._say(f"{servable.name}: profile")
        plan = self._plan
        profile = sweep(
            plan.configuration(self._url, servable.name, str(servable.request)),
            plan.batch_sizes,
            plan.concurrencies,
            plan.repeats,
            self._trial,
            lambda cell: self._say(
                f"  {cell.batch_size} x {cell.concurrency}: {cell.throughput:.1f} items/s"
            ),
        )
        write_profile(self._folder / f"profile-{servable.name}", profile, page=False)
        take(profile)
        if profile.interrupted:
            raise KeyboardInterrupt
        return profile

    def _search_step(self, settings: RunConfiguration, payloads: Sequence[Payload]) -> Summary:
        self._check()
        rate = getattr(settings.arrivals, "rate", 0.0)
        return self._measured(
            settings, payloads, f"search/rate-{rate:.4g}-{settings.duration_s:.4g}s"
        )[1]

    def _measured(
        self, settings: RunConfiguration, payloads: Sequence[Payload], name: str
    ) -> tuple[Run, Summary]:
        run = self._trial(prepare(settings, payloads))
        summary = summarise(run)
        write_report(self._folder / name, run, summary, page=False)
        if run.interrupted:
            raise KeyboardInterrupt
        return run, summary


def _at(configuration: RunConfiguration, rate: float) -> RunConfiguration:
    """The run with Poisson arrivals, long enough for some of them to be measured."""
    longest = max(configuration.duration_s, configuration.warmup_s + _FEWEST_REQUESTS / rate)
    return configuration.model_copy(update={"arrivals": Poisson(rate=rate), "duration_s": longest})
