"""When one form of a content pays against another: the bandwidth at which both take as long.

A request takes its CPU time, whatever the bandwidth, and the time of its bytes on the link:
`busy + 8 * bytes / bandwidth`. So a form of fewer bytes and more CPU pays below
`8 * bytes saved / CPU added`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_STANDARD_ERRORS = 2.0
"""A difference of CPU times within so many of its standard errors counts as none."""


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
        when: `always`, `never`, or `below` or `above` a bandwidth.
        bits_per_second: That bandwidth.
    """

    when: Literal["always", "never", "below", "above"]
    bits_per_second: float | None = None

    def __str__(self) -> str:
        if self.bits_per_second is None:
            return f"pays {self.when}" if self.when == "always" else "never pays"
        return f"pays {self.when} {bandwidth(self.bits_per_second)}"


def pays(form: Cost, plain: Cost) -> Verdict:
    """When `form` is faster than `plain`."""
    saved = 8 * (plain.bytes - form.bytes)
    added = form.seconds - plain.seconds
    if abs(added) <= _STANDARD_ERRORS * (form.error**2 + plain.error**2) ** 0.5:
        added = 0.0
    if saved > 0 and added > 0:
        return Verdict("below", saved / added)
    if saved < 0 and added < 0:
        return Verdict("above", saved / added)
    return Verdict("always" if saved > 0 or added < 0 else "never")


@dataclass(frozen=True)
class Reign:
    """A range of bandwidths, in bits per second, in which one form is the fastest."""

    name: str
    low: float
    high: float


def reigns(costs: Sequence[Cost]) -> list[Reign]:
    """The fastest form for every bandwidth, from the lowest bandwidths to the highest."""
    found: list[Reign] = []
    low = 0.0
    # With no bandwidth at all, bytes alone count.
    best = min(costs, key=lambda cost: (cost.bytes, cost.seconds))
    while True:
        rivals = [
            (8 * (cost.bytes - best.bytes) / (best.seconds - cost.seconds), cost)
            for cost in costs
            if cost.seconds < best.seconds
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
