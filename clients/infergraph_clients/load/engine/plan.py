"""What a worker is told (`WorkerPlan`) and tells (`Progress`, `WorkerResult`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from infergraph.v2 import Tensor, raw
from infergraph.v2.request import RequestedOutput

from ...payloads import Payload
from ...transports.outcome import Outcome
from ..configuration import Check, Target
from ..corpus.check import Expected
from .protocol import Message
from .records import RECORD, Traces


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
        payloads: What is sent.
        traced: Whether any request asks for a trace.
        arrivals: What is sent when.
        duration_ns: When sending ends.
        check, expected, tolerance: See `AnswerCheck`.
        drain_s: See `RunConfiguration`.
    """

    target: Target
    payloads: Sequence[Payload]
    traced: bool
    arrivals: OpenPlan | ClosedPlan
    duration_ns: int
    check: Check
    expected: Sequence[Expected]
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

    def message(self) -> Message:
        """The plan as a message; `of` reads it."""
        blobs: list[bytes] = []
        loads = {str(number): _describe(load, blobs) for number, load in self.loads.items()}
        return Message("plan", {"process": self.process, "loads": loads}, blobs)

    @classmethod
    def of(cls, message: Message) -> WorkerPlan:
        """The plan of a message."""
        blobs = iter(message.blobs)
        loads = message.values["loads"].items()
        return cls(
            message.values["process"], {int(number): _load(each, blobs) for number, each in loads}
        )


_ARRAYS = (("times", np.int64), ("payloads", np.int32), ("traced", np.bool_))


def _describe(load: LoadPlan, blobs: list[bytes]) -> dict[str, Any]:
    arrivals = load.arrivals
    if isinstance(arrivals, OpenPlan):
        shape = {"first_index": arrivals.first_index, "index_step": arrivals.index_step}
        blobs += [getattr(arrivals, name).astype(kind).tobytes() for name, kind in _ARRAYS]
    else:
        shape = dict(vars(arrivals))
    return {
        "target": load.target.model_dump(),
        "open": isinstance(arrivals, OpenPlan),
        "arrivals": shape,
        "traced": load.traced,
        "duration_ns": load.duration_ns,
        "check": load.check,
        "tolerance": load.tolerance,
        "drain_s": load.drain_s,
        "payloads": [
            {
                "name": each.name,
                "parameters": dict(each.parameters),
                "outputs": [[output.name, dict(output.parameters)] for output in each.outputs],
                "nulls": each.nulls,
                "tensors": [_describe_tensor(tensor, blobs) for tensor in each.tensors],
            }
            for each in load.payloads
        ],
        "expected": [
            [_describe_tensor(tensor, blobs) for tensor in each.values()] for each in load.expected
        ],
    }


def _load(document: dict[str, Any], blobs: Iterator[bytes]) -> LoadPlan:
    shape = document["arrivals"]
    arrivals: OpenPlan | ClosedPlan
    if document["open"]:
        arrays: Any = [np.frombuffer(next(blobs), kind) for _, kind in _ARRAYS]
        times, payload, traced = arrays
        arrivals = OpenPlan(times, payload, traced, **shape)
    else:
        arrivals = ClosedPlan(**{**shape, "spawn_key": tuple(shape["spawn_key"])})

    def tensors(described: list[dict[str, Any]]) -> tuple[Tensor, ...]:
        return tuple(_tensor(each, blobs) for each in described)

    payloads = [
        Payload(
            each["name"],
            tensors(each["tensors"]),
            each["parameters"],
            [RequestedOutput.of(name, parameters) for name, parameters in each["outputs"]],
            nulls=each["nulls"],
        )
        for each in document["payloads"]
    ]
    expected = [{tensor.name: tensor for tensor in tensors(each)} for each in document["expected"]]
    return LoadPlan(
        Target.model_validate(document["target"]),
        payloads,
        document["traced"],
        arrivals,
        document["duration_ns"],
        document["check"],
        expected,
        document["tolerance"],
        document["drain_s"],
    )


def _describe_tensor(tensor: Tensor, blobs: list[bytes]) -> dict[str, Any]:
    blobs.append(bytes(raw.pack(tensor.datatype, tensor.data)))
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "parameters": None if tensor.parameters is None else dict(tensor.parameters),
    }


def _tensor(described: dict[str, Any], blobs: Iterator[bytes]) -> Tensor:
    datatype = described["datatype"]
    data = raw.unpack(datatype, described["shape"], next(blobs))
    return Tensor(described["name"], datatype, data, described["parameters"])


@dataclass(frozen=True)
class Progress:
    """What happened since the last report of one load of one worker.

    Attributes:
        process, load: Their numbers.
        sent: Requests sent since then.
        in_flight: Requests in flight now.
        records: Of the requests that ended since then, dtype RECORD.
        traces: Of them.
    """

    process: int
    load: int
    sent: int
    in_flight: int
    records: npt.NDArray[Any]
    traces: Traces = ()

    def message(self) -> Message:
        """The report as a message; `of` reads it."""
        values = {name: getattr(self, name) for name in ("process", "load", "sent", "in_flight")}
        values["traces"] = list(self.traces)
        return Message("progress", values, [self.records.tobytes()])

    @classmethod
    def of(cls, message: Message) -> Progress:
        """The report of a message."""
        return cls(**message.values, records=np.frombuffer(message.blobs[0], RECORD))

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

    def message(self) -> Message:
        """The result as a message; `of` reads it."""
        values = {name: value for name, value in vars(self).items() if name != "lag_ns"}
        return Message("result", values, [self.lag_ns.tobytes()])

    @classmethod
    def of(cls, message: Message) -> WorkerResult:
        """The result of a message."""
        values = dict(message.values)
        # JSON's keys are texts.
        values["unsent"] = {int(load): count for load, count in values["unsent"].items()}
        values["errors"] = {
            int(load): {int(outcome): texts for outcome, texts in errors.items()}
            for load, errors in values["errors"].items()
        }
        return cls(**values, lag_ns=np.frombuffer(message.blobs[0], np.int64))
