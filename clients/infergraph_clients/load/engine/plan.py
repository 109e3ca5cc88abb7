"""What a sending process is told (`WorkerPlan`) and tells (`Progress`, `WorkerResult`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...transports import Template
from ..configuration import Check, Target
from ..corpus.check import Expected


@dataclass(frozen=True)
class OpenPlan:
    """Requests at times that were fixed before.

    Attributes:
        indices: Of the requests in the run, int64 [N].
        times: Nanoseconds after the start, int64 [N], ascending.
        payloads: int32 [N].
        traced: bool [N].
    """

    indices: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    payloads: npt.NDArray[np.int32]
    traced: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClosedPlan:
    """Users who each wait for their answers.

    Attributes:
        users: How many.
        samples: Requests that a user sends at once, and whose answers it all awaits.
        count: Requests after which all end; None means the duration alone.
        think_s: Mean seconds of thinking.
        think: Its distribution.
        all_at_start: Whether all requests are meant for the start, as in MLPerf's offline scenario.
        order: How payloads are chosen.
        traced: The share of requests that ask for a trace.
        seeds: Of payloads, traced requests and think times.
        first_index, index_step: Indices of requests, so that they differ between processes.
    """

    users: int
    samples: int
    count: int | None
    think_s: float
    think: Literal["constant", "exponential"]
    all_at_start: bool
    order: Literal["random", "cycle"]
    traced: float
    seeds: np.random.SeedSequence
    first_index: int
    index_step: int


@dataclass(frozen=True)
class WorkerPlan:
    """The part of a run that one process does.

    Attributes:
        process: Its number, from 0.
        target: What is called.
        requests: The request of each payload.
        traced_requests: The same, asking for a trace; empty if none does.
        load: What is sent when.
        duration_ns: When sending ends.
        check, expected, tolerance: See `AnswerCheck`.
        drain_s: See `RunConfiguration`.
    """

    process: int
    target: Target
    requests: Sequence[Template]
    traced_requests: Sequence[Template]
    load: OpenPlan | ClosedPlan
    duration_ns: int
    check: Check
    expected: Sequence[Expected]
    tolerance: float
    drain_s: float


@dataclass
class Progress:
    """What happened since the last report.

    Attributes:
        process: Who reports.
        sent: Requests sent since then.
        in_flight: Requests in flight now.
        outcomes: Ended since then, by outcome, int64.
        latency_ns: end - intended of those that were OK, int64.
        dispatch_delay_ns: sent - intended of those that ended, int64.
    """

    process: int
    sent: int
    in_flight: int
    outcomes: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    dispatch_delay_ns: npt.NDArray[np.int64]


@dataclass
class WorkerResult:
    """What one process measured.

    Attributes:
        process: Its number.
        records: Dtype RECORD.
        traces: (request's index, its trace).
        errors: By outcome, some of the texts and how often each came.
        unsent: Requests of the schedule that were not sent, because the run was ended.
        cpu: The share of one core that the process used while it sent, all its threads together.
        busiest_cpu: The largest such share of one second.
        lag_ns: How late timers of the event loop were, int64.
        peak_memory_bytes: Of the process.
        memory_bytes: Its resident size, once a second.
    """

    process: int
    records: npt.NDArray[Any]
    traces: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    errors: dict[int, dict[str, int]] = field(default_factory=dict)
    unsent: int = 0
    cpu: float = 0.0
    busiest_cpu: float = 0.0
    lag_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    peak_memory_bytes: int = 0
    memory_bytes: list[int] = field(default_factory=list)
