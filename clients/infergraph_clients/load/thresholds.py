"""Thresholds: conditions that a run must meet, such as `p99<300`, `failed<1%` and `rate>=200`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

from .errors import LoadError

DEFAULT_FAILED = "failed<=1%"
"""Holds unless a threshold of the user's is on `failed`."""
ACCEPTED = (
    "METRIC[{PART}]<VALUE with <, <=, > or >=; METRIC is p50, p99.9 and the like, mean, max (in "
    "ms, or with a unit: us, ms, s), failed (a share, or %), rate or goodput (per second); PART of "
    "a time is service, dispatch, first_byte, first_answer or answer_gap (of streams), or a stage "
    "such as 'm: compute'"
)
_FORM = re.compile(
    r"(?P<metric>p(?P<q>\d+(?:\.\d+)?)|mean|max|failed|rate|goodput)"
    r"(?:\{(?P<part>[^}]+)\})?\s*(?P<operator><=|>=|<|>)\s*"
    r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|%|/s)?"
)
TIMES = ("service", "dispatch", "first_byte", "first_answer", "answer_gap")
"""Parts that every request has; the others are stages, which traced requests have."""
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_TIME_UNITS = {None: 1.0, "us": 1e-3, "ms": 1.0, "s": 1e3}
_UNITS: dict[str, dict[str | None, float]] = {
    "failed": {None: 1.0, "%": 0.01},
    "rate": {None: 1.0, "/s": 1.0},
    "goodput": {None: 1.0, "/s": 1.0},
}


@dataclass(frozen=True)
class Threshold:
    """One condition.

    Attributes:
        text: As it was given.
        metric: `p`, `mean`, `max`, `failed`, `rate` or `goodput`.
        percentile: Of the metric `p`.
        part: Which time; None is the latency.
        sign: The comparison.
        limit: Milliseconds, a share, or per second.
    """

    text: str
    metric: str
    percentile: float | None
    part: str | None
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Of a text; LoadError where it is none."""
        found = _FORM.fullmatch(text.strip())
        problem = LoadError(f"threshold '{text}' cannot be read; accepted: {ACCEPTED}")
        if found is None:
            raise problem
        metric = "p" if found["q"] else found["metric"]
        percentile = float(found["q"]) if found["q"] else None
        scale = _UNITS.get(metric, _TIME_UNITS).get(found["unit"])
        is_time = metric not in _UNITS
        if (
            scale is None
            or (found["part"] and not is_time)
            or (percentile is not None and not 0 < percentile <= 100)
        ):
            raise problem
        limit = float(found["value"]) * scale
        return cls(text.strip(), metric, percentile, found["part"], found["operator"], limit)

    @property
    def of_stage(self) -> bool:
        """Whether it is on a part that only traced requests have."""
        return self.part is not None and self.part not in TIMES

    def holds(self, value: float) -> bool:
        """Whether a value meets it."""
        return bool(_OPERATORS[self.sign](value, self.limit))


def parsed(texts: list[str]) -> list[Threshold]:
    """All of them, and the default on failures; LoadError for the first that cannot be read."""
    found = [Threshold.parse(text) for text in texts]
    if not any(threshold.metric == "failed" for threshold in found):
        found.append(Threshold.parse(DEFAULT_FAILED))
    return found
