"""`RateProfile`: an arrival rate that changes over time, and its inverse.

Arrivals of any distances are laid under a profile by a change of time: arrivals of rate 1 at
operational times u become arrivals at the times t where the profile has accumulated u. Poisson
arrivals become the Poisson process of that rate, regular ones follow it as evenly as they can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .specification import Bursts

_SINE_POINTS_PER_PERIOD = 1024


class RateProfile:
    """A rate that is linear between points; it may jump where two points share a time.

    Args:
        times: Seconds, not descending, from 0 to the end.
        rates: Requests per second at these times, not negative.
    """

    def __init__(self, times: npt.ArrayLike, rates: npt.ArrayLike) -> None:
        self.times = np.asarray(times, np.float64)
        self.rates = np.asarray(rates, np.float64)
        areas = np.diff(self.times) * (self.rates[1:] + self.rates[:-1]) / 2
        self._accumulated = np.concatenate([[0.0], np.cumsum(areas)])

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.times[-1])

    @property
    def expected(self) -> float:
        """The expected count of arrivals over the duration."""
        return float(self._accumulated[-1])

    def between(self, start: float, end: float) -> RateProfile:
        """Its part from one time to another, from then on; times beyond its own are left out."""
        end = min(end, self.duration)
        # Where two points share a time, the later one holds from there on, the earlier until there.
        first = int(np.searchsorted(self.times, start, "right")) - 1
        last = int(np.searchsorted(self.times, end, "left"))
        inside = slice(first + 1, last)
        times = np.concatenate([[start], self.times[inside], [end]])
        ends = [self._rate(first, start), self._rate(last - 1, end)]
        rates = np.concatenate([ends[:1], self.rates[inside], ends[1:]])
        return RateProfile(times - start, rates)

    def _rate(self, piece: int, time: float) -> float:
        points = slice(piece, piece + 2)
        return float(np.interp(time, self.times[points], self.rates[points]))

    def when(self, accumulated: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The times at which so many arrivals are expected to have come."""
        last = len(self.times) - 2
        piece = np.searchsorted(self._accumulated, accumulated, "right") - 1
        piece = np.clip(piece, 0, last)
        width = self.times[piece + 1] - self.times[piece]
        start, end = self.rates[piece], self.rates[piece + 1]
        slope = np.divide(end - start, width, out=np.zeros_like(width), where=width > 0)
        left = accumulated - self._accumulated[piece]
        # The root of slope/2 * x^2 + start * x = left, in the form that is exact for slope 0.
        root = np.sqrt(np.maximum(start**2 + 2 * slope * left, 0.0))
        offset = np.divide(2 * left, start + root, out=np.zeros_like(left), where=start + root > 0)
        found: npt.NDArray[np.float64] = self.times[piece] + np.minimum(offset, width)
        return found

    @classmethod
    def constant(cls, rate: float, duration: float) -> RateProfile:
        return cls([0.0, duration], [rate, rate])

    @classmethod
    def ramp(cls, start_rate: float, end_rate: float, duration: float) -> RateProfile:
        return cls([0.0, duration], [start_rate, end_rate])

    @classmethod
    def steps(cls, rates: npt.ArrayLike, ends: npt.ArrayLike) -> RateProfile:
        """Each rate holds from the end of the one before it to its own end."""
        ends = np.asarray(ends, np.float64)
        rates = np.asarray(rates, np.float64)
        starts = np.concatenate([[0.0], ends[:-1]])
        return cls(np.column_stack([starts, ends]).ravel(), np.repeat(rates, 2))

    @classmethod
    def repeated_steps(cls, rates: Sequence[float], step: float, duration: float) -> RateProfile:
        """Steps of `step` seconds that begin again after the last rate, cut at the duration."""
        count = int(np.ceil(duration / step))
        ends = np.minimum(np.arange(1, count + 1) * step, duration)
        return cls.steps(np.resize(np.asarray(rates, np.float64), count), ends)

    @classmethod
    def sine(cls, rate: float, amplitude: float, period: float, duration: float) -> RateProfile:
        """`rate * (1 + amplitude * sin(2 pi t / period))`, in chords of a 1024th of a period."""
        points = int(np.ceil(duration / period * _SINE_POINTS_PER_PERIOD)) + 1
        times = np.linspace(0.0, duration, max(points, 2))
        rates = rate * (1 + amplitude * np.sin(2 * np.pi * times / period))
        return cls(times, np.maximum(rates, 0.0))


def burst_profile(bursts: Bursts, duration: float, generator: np.random.Generator) -> RateProfile:
    """One path of a Markov-modulated Poisson process of two states.

    The first state is drawn by its share of the time.
    """
    durations = (bursts.calm_s, bursts.burst_s)
    state = int(generator.random() < bursts.burst_s / sum(durations))
    ends: list[float] = []
    rates: list[float] = []
    end = 0.0
    while end < duration:
        end += float(generator.exponential(durations[state]))
        ends.append(min(end, duration))
        rates.append((bursts.rate, bursts.burst_rate)[state])
        state = 1 - state
    return RateProfile.steps(rates, ends)
