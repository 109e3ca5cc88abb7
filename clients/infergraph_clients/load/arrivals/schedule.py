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
    """

    times: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def digest(self) -> str:
        """SHA-256 of the times: equal for equal schedules, on every machine."""
        return hashlib.sha256(self.times.astype("<i8").tobytes()).hexdigest()


def build_schedule(
    arrivals: spec.OpenLoop, duration: float, generator: np.random.Generator
) -> Schedule:
    """The schedule of `duration` seconds; equal for equal arguments, byte for byte.

    Raises:
        LoadError: a trace cannot be read, or no request, or far too many, would be sent.
    """
    if isinstance(arrivals, spec.Offline):
        return Schedule(np.zeros(arrivals.count, np.int64))
    if isinstance(arrivals, spec.Trace):
        recorded = read_trace(arrivals)
        if not isinstance(recorded, RateProfile):
            return _checked(_thinned(arrivals, recorded, generator), duration)
        profile = recorded
    else:
        profile = _profile(arrivals, duration, generator)
    if profile.expected > MOST_REQUESTS:
        raise LoadError(
            f"about {profile.expected:.0f} requests would be sent; accepted: at most "
            f"{MOST_REQUESTS}"
        )
    operational = _unit_arrivals(_cv(arrivals), profile.expected, generator)
    return _checked(profile.when(operational), duration)


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


def _thinned(
    trace: spec.Trace, times: npt.NDArray[np.float64], generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    if trace.rate_scale > 1:
        raise LoadError(
            f"rate_scale is {trace.rate_scale:g}, but '{trace.file}' holds timestamps; accepted: "
            "at most 1 (or time_scale below 1)"
        )
    return times[generator.random(len(times)) < trace.rate_scale]


def _checked(seconds: npt.NDArray[np.float64], duration: float) -> Schedule:
    seconds = seconds[seconds < duration]
    if not len(seconds):
        raise LoadError(
            f"no request would be sent in {duration:g} s; accepted: a longer duration or a higher "
            "rate"
        )
    return Schedule(np.rint(seconds * 1e9).astype(np.int64))


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
