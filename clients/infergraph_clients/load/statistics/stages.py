"""Where the time of traced requests went: stages, and what is between them.

A trace is the response parameter `trace`: a pipeline's `duration_us` and `steps` (each with `name`,
`start_us`, `duration_us` and, from its model, `queue_us`, `compute_us`, `batch_size`), or a single
model's `model`, `queue_us`, `compute_us`, `batch_size`.

Measured are the dispatch delay (by the tester) and each step's queue and compute (by its server).
What is left is **unexplained**: differences between two clocks that nobody took apart. They are
called by where they are: `network` (service time less the server's own duration: wire, front end,
codecs), `hop` (what a step took less its queue and compute: transport, codecs, validation), and
`router` (what a pipeline took less its steps). Where steps run at the same time, each instant is
divided among them. A trace that claims more time than there was contradicts the tester's clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .distribution import Distribution

DISPATCH, NETWORK, ROUTER = "dispatch delay", "network", "router"
_TOLERANCE = 0.02
"""Of the latency: by so much a trace may claim more, since clocks differ in how they round."""


def is_measured(part: str) -> bool:
    """Whether a clock measured this part; else it is what is left between two."""
    return part not in (NETWORK, ROUTER) and not part.endswith(": hop")


@dataclass(frozen=True)
class Parts:
    """The parts of one request.

    Attributes:
        index: The request's.
        seconds: Part -> seconds: `dispatch delay`, `network`, `router`, and for each step
            `STEP: queue`, `STEP: compute`, `STEP: hop`.
        batch_sizes: Step -> batch size.
        latency: end - intended, in seconds.
    """

    index: int
    seconds: Mapping[str, float]
    batch_sizes: Mapping[str, int]
    latency: float

    @property
    def excess(self) -> float:
        """How much more time the trace claims than there was, as a share of the latency."""
        return max(sum(self.seconds.values()) / self.latency - 1, 0.0)


@dataclass(frozen=True)
class Stages:
    """The breakdown of a run.

    Attributes:
        traced: Requests whose trace was read.
        mean_ms: Part -> mean milliseconds over all traced requests; their sum is the mean latency.
        p50_ms, p99_ms: Of each part by itself, as `Distribution` has them: None where too few
            requests were traced.
        batch_size: Step -> mean batch size.
        unexplained: The share of the mean latency that no clock measured.
        contradicted: The share of traced requests whose trace claims over 2% more than there was.
        worst_excess: The most that one claims beyond, as a share of its latency.
    """

    traced: int
    mean_ms: Mapping[str, float] = field(default_factory=dict)
    p50_ms: Mapping[str, float | None] = field(default_factory=dict)
    p99_ms: Mapping[str, float | None] = field(default_factory=dict)
    batch_size: Mapping[str, float] = field(default_factory=dict)
    unexplained: float | None = None
    contradicted: float | None = None
    worst_excess: float | None = None


def parts_of(
    records: npt.NDArray[Any], traces: Sequence[tuple[int, Mapping[str, Any]]]
) -> list[Parts]:
    """The parts of each request that has a trace and is among the records."""
    if not traces:
        return []
    place = {index: row for row, index in enumerate(records["index"].tolist())}
    found = []
    for index, trace in traces:
        row = place.get(index)
        if row is None:
            continue
        record = records[row]
        intended, sent, end = (
            int(record[name]) / 1e9 for name in ("intended_ns", "sent_ns", "end_ns")
        )
        parts = _parts(index, trace, intended, sent, end)
        if parts is not None:
            found.append(parts)
    return found


def summarise_stages(parts: Sequence[Parts]) -> Stages:
    """Means and percentiles of each part."""
    if not parts:
        return Stages(0)
    names = list(dict.fromkeys(name for each in parts for name in each.seconds))
    values = {name: np.array([each.seconds.get(name, 0.0) for each in parts]) for name in names}
    times = {name: Distribution.of(value * 1e9) for name, value in values.items()}
    steps = dict.fromkeys(step for each in parts for step in each.batch_sizes)
    excess = np.array([each.excess for each in parts])
    mean_ms = {name: float(value.mean()) * 1e3 for name, value in values.items()}
    unexplained = sum(mean for name, mean in mean_ms.items() if not is_measured(name))
    return Stages(
        traced=len(parts),
        mean_ms=mean_ms,
        p50_ms={name: each.p50 for name, each in times.items()},
        p99_ms={name: each.p99 for name, each in times.items()},
        batch_size={
            step: float(np.mean([e.batch_sizes[step] for e in parts if step in e.batch_sizes]))
            for step in steps
        },
        unexplained=unexplained / sum(mean_ms.values()),
        contradicted=float((excess > _TOLERANCE).mean()),
        worst_excess=float(excess.max()),
    )


def _parts(
    index: int, trace: Mapping[str, Any], intended: float, sent: float, end: float
) -> Parts | None:
    inner: dict[str, float] = {}
    batch_sizes: dict[str, int] = {}
    try:
        if "steps" in trace:
            steps = trace["steps"]
            shares = _shares([(each["start_us"], each["duration_us"]) for each in steps])
            for step, share in zip(steps, shares, strict=True):
                _add_step(inner, batch_sizes, step["name"], step, share / 1e6)
            duration = trace["duration_us"] / 1e6
            # Rounding to microseconds may make steps longer than their pipeline.
            inner[ROUTER] = max(duration - sum(shares) / 1e6, 0.0)
        else:
            duration = (trace["queue_us"] + trace["compute_us"]) / 1e6
            _add_step(inner, batch_sizes, trace.get("model", "model"), trace, duration)
    except (KeyError, TypeError):
        # Another server may use the name for something else.
        return None
    outer = {DISPATCH: sent - intended, NETWORK: max(end - sent - duration, 0.0)}
    return Parts(index, {**outer, **inner}, batch_sizes, end - intended)


def _add_step(
    seconds: dict[str, float],
    batch_sizes: dict[str, int],
    name: str,
    step: Mapping[str, Any],
    share: float,
) -> None:
    queue, compute = step.get("queue_us", 0) / 1e6, step.get("compute_us", 0) / 1e6
    duration = step.get("duration_us", 0) / 1e6 or queue + compute
    # A step that ran beside others counts for its share of the time.
    scale = share / duration if duration else 0.0
    kinds = {
        "queue": queue * scale,
        "compute": compute * scale,
        "hop": max(duration - queue - compute, 0.0) * scale,
    }
    for kind, value in kinds.items():
        key = f"{name}: {kind}"
        seconds[key] = seconds.get(key, 0.0) + value
    # Another server may have something else by this name.
    if isinstance(size := step.get("batch_size"), int):
        batch_sizes[name] = size


def _shares(steps: Sequence[tuple[float, float]]) -> list[float]:
    """How much of the time each of (start, duration) takes, if each instant is divided equally."""
    edges = sorted({edge for start, duration in steps for edge in (start, start + duration)})
    shares = [0.0] * len(steps)
    for left, right in itertools.pairwise(edges):
        active = [
            i
            for i, (start, duration) in enumerate(steps)
            if start <= left and start + duration >= right
        ]
        for i in active:
            shares[i] += (right - left) / len(active)
    return shares
