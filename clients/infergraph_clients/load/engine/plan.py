"""What a worker is told (`WorkerPlan`) and tells (`Progress`, `WorkerResult`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt

from ...transports import Template
from ...transports.outcome import Outcome
from ..configuration import Check, Target

_ARRAYS = {"arbitrary_types_allowed": True}


@dataclass(frozen=True)
class OpenPlan:
    """Requests at times that were fixed before.

    Attributes:
        times: Nanoseconds after the start, int64 [N], ascending.
        payloads: int32 [N].
        traced: bool [N].
        first_index, index_step: Indices of requests, so that they differ between workers.
    """

    times: npt.NDArray[np.int64]
    payloads: npt.NDArray[np.int32]
    traced: npt.NDArray[np.bool_]
    first_index: int = 0
    index_step: int = 1
    __pydantic_config__: ClassVar[dict[str, bool]] = _ARRAYS

    def __len__(self) -> int:
        return len(self.times)


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
        entropy, spawn_key: Of the seeds of payloads, traced requests and think times.
        first_index, index_step: Indices of requests, so that they differ between workers.
    """

    users: int
    samples: int
    count: int | None
    think_s: float
    think: Literal["constant", "exponential"]
    all_at_start: bool
    order: Literal["random", "cycle"]
    traced: float
    entropy: int
    spawn_key: tuple[int, ...]
    first_index: int
    index_step: int

    @property
    def seeds(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.entropy, spawn_key=self.spawn_key)


@dataclass(frozen=True)
class LoadPlan:
    """The part of one load, of one model, that one worker does.

    Attributes:
        target: What is called.
        requests: By payload.
        traced_requests: The same, asking for a trace; empty where none does.
        arrivals: What is sent when.
        duration_ns: When sending ends.
        check, expected, tolerance: See `AnswerCheck`; expected are answers in V2 JSON.
        drain_s: How long requests in flight may take once the run is ended early.
    """

    target: Target
    requests: list[Template]
    traced_requests: list[Template]
    arrivals: OpenPlan | ClosedPlan
    duration_ns: int
    check: Check
    expected: list[bytes]
    tolerance: float
    drain_s: float


@dataclass(frozen=True)
class WorkerPlan:
    """What one worker does.

    Attributes:
        process: Its number, from 0.
        loads: By the load's number in the run; those in which it has no part are left out.
    """

    process: int
    loads: dict[int, LoadPlan]


@dataclass(frozen=True)
class Progress:
    """What happened since the last report of one load of one worker.

    Attributes:
        process, load: Their numbers.
        in_flight: Requests in flight now.
        sent: Requests sent since then.
        records: Of the requests that ended since then, dtype RECORD.
        traces: Of them, see `records.trace_lines`.
    """

    process: int
    load: int
    in_flight: int
    sent: int
    records: npt.NDArray[Any]
    traces: bytes = b""
    __pydantic_config__: ClassVar[dict[str, bool]] = _ARRAYS

    @property
    def outcomes(self) -> npt.NDArray[np.int64]:
        """How many ended how, int64 [outcomes]."""
        return np.bincount(self.records["outcome"], minlength=len(Outcome)).astype(np.int64)

    @property
    def latency_ns(self) -> npt.NDArray[np.int64]:
        """end - intended of right answers, int64."""
        ok = self.records[self.records["outcome"] == Outcome.OK]
        return cast("npt.NDArray[np.int64]", ok["end_ns"] - ok["intended_ns"])

    @property
    def dispatch_delay_ns(self) -> npt.NDArray[np.int64]:
        """sent - intended, int64."""
        return cast("npt.NDArray[np.int64]", self.records["sent_ns"] - self.records["intended_ns"])


@dataclass
class WorkerResult:
    """What one worker said of itself at its end.

    Attributes:
        process: Its number.
        errors: By load and outcome, some of the texts and how often each came.
        unsent: By load, requests of the schedule that were not sent, because the run was ended.
        cpu: The share of one core that the process used while it sent, all its threads together.
        busiest_cpu: The largest such share of one second.
        lag_ns: How late timers of the event loop were, int64.
        peak_memory_bytes: Of the process.
        memory_bytes: Its resident size, once a second.
    """

    process: int
    errors: dict[int, dict[int, dict[str, int]]] = field(default_factory=dict)
    unsent: dict[int, int] = field(default_factory=dict)
    cpu: float = 0.0
    busiest_cpu: float = 0.0
    lag_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    peak_memory_bytes: int = 0
    memory_bytes: list[int] = field(default_factory=list)
    __pydantic_config__: ClassVar[dict[str, bool]] = _ARRAYS
