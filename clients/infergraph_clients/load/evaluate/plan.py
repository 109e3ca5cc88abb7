"""What an evaluation measures, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from ..configuration import RunConfiguration, Slo
from ..profile.sweep import Profile
from ..search import SearchResult
from ..statistics import Summary

SHARES = (0.5, 0.8)
"""Of the ceiling: the rates of the open-loop runs."""
SLO_FACTOR = 5.0
"""Without an SLO of the user's: so many times the median latency of a request alone."""


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        seconds: Of each run, the warm-up among them.
        batch_sizes, concurrencies, repeats: Of the profiles.
        slo_ms: None means `SLO_FACTOR` times the median latency of a request alone.
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

    @property
    def warmup_s(self) -> float:
        return min(2.0, self.seconds / 5)

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
