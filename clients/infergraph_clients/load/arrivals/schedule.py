"""`Schedule`: when each request of an open-loop run is meant to be sent, made before the run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import LoadError
from . import specification as spec
from .profile import RateProfile, burst_profile
from .traces import read_trace

MOST_REQUESTS = 50_000_000
"""More than fit into the memory of most machines."""

_CHUNK = 65_536


@dataclass(frozen=True)
class Schedule:
    """The plan of a run.

    Attributes:
        times: Nanoseconds after the start, int64 [N], ascending.
        duration_s: How long requests are meant to come: a trace may end before the run's duration.
        recorded_s: How long a trace is as it would be played, were it not cut; None for others.
    """

    times: npt.NDArray[np.int64]
    duration_s: float
    recorded_s: float | None = None

    def __len__(self) -> int:
        return len(self.times)

    def digest(self) -> str:
        """SHA-256 of the times: equal for equal schedules, on every machine."""
        return hashlib.sha256(self.times.astype("<i8").tobytes()).hexdigest()


def build_schedule(
    arrivals: spec.OpenLoop, duration: float, generator: np.random.Generator
) -> Schedule:
    """The schedule of at most `duration` seconds; equal for equal arguments, byte for byte.

    A trace that is longer is cut, so that a day of it costs no more than what is played.

    Raises:
        LoadError: a trace cannot be read, or no request, or far too many, would be sent.
    """
    if isinstance(arrivals, spec.Offline):
        return Schedule(np.zeros(arrivals.count, np.int64), duration)
    recorded_s = None
    if isinstance(arrivals, spec.Trace):
        played, recorded_s = read_trace(arrivals)
        duration = min(duration, recorded_s)
        if not isinstance(played, RateProfile):
            kept = played[generator.random(len(played)) < arrivals.scale]
            return _checked(kept, duration, recorded_s)
        profile = played.between(0.0, duration)
    else:
        profile = _profile(arrivals, duration, generator)
    if profile.expected > MOST_REQUESTS:
        raise LoadError(
            f"about {profile.expected:.0f} requests would be sent; accepted: at most "
            f"{MOST_REQUESTS}"
        )
    operational = _unit_arrivals(_cv(arrivals), profile.expected, generator)
    return _checked(profile.when(operational), duration, recorded_s)


def _profile(
    arrivals: spec.OpenLoop, duration: float, generator: np.random.Generator
) -> RateProfile:
    if isinstance(arrivals, spec.Bursts):
        return burst_profile(arrivals, duration, generator)
    if isinstance(arrivals, spec.Step):
        step = arrivals.step_s or duration / len(arrivals.rates)
        return RateProfile.repeated_steps(arrivals.rates, step, duration)
    if isinstance(arrivals, spec.Ramp):
        return RateProfile.ramp(arrivals.start_rate, arrivals.end_rate, duration)
    if isinstance(arrivals, spec.Sine):
        return RateProfile.sine(arrivals.rate, arrivals.amplitude, arrivals.period_s, duration)
    assert isinstance(arrivals, (spec.Constant, spec.Poisson, spec.Gamma, spec.Server))
    return RateProfile.constant(arrivals.rate, duration)


def _cv(arrivals: spec.OpenLoop) -> float:
    if isinstance(arrivals, spec.Constant):
        return 0.0
    return float(getattr(arrivals, "cv", 1.0))


def _checked(
    seconds: npt.NDArray[np.float64], duration: float, recorded_s: float | None
) -> Schedule:
    seconds = seconds[seconds < duration]
    if not len(seconds):
        raise LoadError(
            f"no request would be sent in {duration:g} s; accepted: a longer duration or a higher "
            "rate"
        )
    return Schedule(np.rint(seconds * 1e9).astype(np.int64), duration, recorded_s)


def _unit_intervals(
    cv: float, count: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Gamma-distributed distances with mean 1 and coefficient of variation `cv`.

    One of 0 is a constant distance, of 1 the exponential distribution of a Poisson process.
    InferLine's workloads (https://arxiv.org/abs/1812.01776) have 1 and 4.
    """
    if cv == 0:
        return np.ones(count)
    if cv == 1:
        return generator.exponential(1.0, count)
    shape = 1 / cv**2
    return generator.gamma(shape, 1 / shape, count)


def _unit_arrivals(
    cv: float, until: float, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Arrivals of mean rate 1 in [0, until), ascending.

    Regular arrivals (cv 0) start at 0, random ones one distance after it.
    """
    if cv == 0:
        return np.arange(np.ceil(until), dtype=np.float64)
    parts, end = [], 0.0
    while end < until:
        part = end + np.cumsum(_unit_intervals(cv, _CHUNK, generator))
        end = float(part[-1])
        parts.append(part)
    if not parts:
        return np.empty(0)
    arrivals = np.concatenate(parts)
    return arrivals[: np.searchsorted(arrivals, until)]
