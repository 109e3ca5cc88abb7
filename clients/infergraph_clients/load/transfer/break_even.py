"""When one form of a content pays against another: the bandwidth at which both take as long.

A request takes its CPU time, whatever the bandwidth, and the time of its bytes on the link:
`busy + 8 * bytes / bandwidth`. So a form of fewer bytes and more CPU pays below
`8 * bytes saved / CPU added`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_STANDARD_ERRORS = 2.0
"""A difference of CPU times within so many of its standard errors counts as none."""
_SAME_BYTES = 0.005
"""Of the bytes; a smaller difference is that of gRPC's own pings and counts as none."""


@dataclass(frozen=True)
class Cost:
    """What a form takes.

    Attributes:
        name: The form's.
        bytes: Both ways.
        seconds: CPU of both sides.
        error: Its standard error.
    """

    name: str
    bytes: int
    seconds: float
    error: float = 0.0

    def at(self, bits_per_second: float) -> float:
        """Seconds of a request over a link."""
        return self.seconds + 8 * self.bytes / bits_per_second


@dataclass(frozen=True)
class Verdict:
    """When a form pays.

    Attributes:
        when: `always`, `never`, `below` or `above` a bandwidth, or `equal`: it makes no difference
            that was measured.
        bits_per_second: That bandwidth.
        bound: The CPU times cannot be told apart, and the bandwidth is the nearest that they leave
            possible: the form pays below it at least, or does not pay below it.
    """

    when: Literal["always", "never", "below", "above", "equal"]
    bits_per_second: float | None = None
    bound: bool = False

    def __str__(self) -> str:
        if self.bits_per_second is None:
            return "makes no difference" if self.when == "equal" else f"{self.when} pays"
        at = bandwidth(self.bits_per_second)
        if not self.bound:
            return f"pays {self.when} {at}"
        return f"pays below {at} at least" if self.when == "below" else f"does not pay below {at}"


def pays(form: Cost, plain: Cost) -> Verdict:
    """When `form` is faster than `plain`."""
    saved = 8.0 * (plain.bytes - form.bytes)
    if abs(saved) <= 8 * _SAME_BYTES * plain.bytes:
        saved = 0.0
    added = form.seconds - plain.seconds
    noise = _noise(form, plain)
    if saved == 0:
        return Verdict("equal" if abs(added) <= noise else "never" if added > 0 else "always")
    # Seen from the form of fewer bytes: what it adds, and what it may add.
    if saved < 0:
        added = -added
    if added < -noise or added == noise == 0:
        return Verdict("always" if saved > 0 else "never")
    bound = added <= noise
    at = abs(saved) / (added + noise if bound else added)
    return Verdict("below" if saved > 0 else "above", at, bound)


def _noise(a: Cost, b: Cost) -> float:
    """Seconds below which the difference of two costs says nothing."""
    return _STANDARD_ERRORS * math.hypot(a.error, b.error)


@dataclass(frozen=True)
class Reign:
    """A range of bandwidths, in bits per second, in which one form is the fastest."""

    name: str
    low: float
    high: float


def reigns(costs: Sequence[Cost]) -> list[Reign]:
    """The fastest form for every bandwidth, from the lowest bandwidths to the highest.

    Of forms whose CPU times cannot be told apart, the one of fewer bytes counts as faster.
    """
    found: list[Reign] = []
    low = 0.0
    # With no bandwidth at all, bytes alone count.
    best = min(costs, key=lambda cost: (cost.bytes, cost.seconds))
    while True:
        rivals = [
            (8 * (cost.bytes - best.bytes) / (best.seconds - cost.seconds), cost)
            for cost in costs
            if cost.seconds < best.seconds - _noise(cost, best)
        ]
        if not rivals:
            found.append(Reign(best.name, low, float("inf")))
            return found
        # Of several that take over at once, the one that stays ahead.
        high, rival = min(rivals, key=lambda each: (each[0], each[1].seconds))
        if high > low:
            found.append(Reign(best.name, low, high))
            low = high
        best = rival


def bandwidth(bits_per_second: float) -> str:
    """As reports write it: two significant digits, in kbit/s, Mbit/s or Gbit/s."""
    for scale, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s")):
        if bits_per_second >= 0.995 * scale:
            return f"{_two_digits(bits_per_second / scale)} {unit}"
    return f"{_two_digits(bits_per_second / 1e3)} kbit/s"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if value < 1e6 else f"{value:.2g}"
