"""What describes a run: `RunConfiguration`, whose settings are flags of the commands, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_serializer,
)

from ..payloads.synthetic import Synthetic
from ..transports import Endpoint, Format, Route, Tls, masked
from ..transports.headers import deadline_header, joined
from .arrivals.specification import Arrivals, MultiStream, SingleStream
from .errors import LoadError
from .thresholds import TIMES, parsed

Check = Literal["none", "valid", "consistent", "expected"]


@dataclass(frozen=True)
class Flag:
    """Makes a setting a flag of the commands, too.

    Attributes:
        help: What the setting is.
        metavar: What stands for its value; by default the flag's name.
        name: The flag, without its dashes; by default the setting's name.
    """

    help: str
    metavar: str | None = None
    name: str | None = None


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Target(_Section):
    """What is called, and how.

    Attributes:
        headers: Sent with every request, as HTTP headers or gRPC metadata. In JSON, as reports are
            written, those that may hold a secret are masked.
        tls: How the server is trusted.
        exact_parameters: gRPC: whether the server knows parameters that are fractions, else they
            go as text; asked of its metadata where it is not given.
    """

    url: Annotated[str, Flag("http://host:port, https://, grpc:// or grpcs://")]
    model: Annotated[str, Field(min_length=1), Flag("the model or pipeline")]
    version: Annotated[str | None, Flag("its version", "VERSION", "model-version")] = None
    format: Annotated[
        Format,
        Flag(
            "how tensors travel. REST: json (BYTES as text where they are UTF-8, as base64 where "
            "not), base64 (all BYTES) or binary (raw contents behind the JSON); gRPC: raw or "
            "typed; auto: raw, or binary where the server announces it, else json"
        ),
    ] = "auto"
    compression: Annotated[
        Literal["none", "gzip", "deflate"], Flag("of requests, and asked of answers")
    ] = "none"
    stream: Annotated[bool, Flag("ask for answers in parts, and time the first and later ones")] = (
        False
    )
    traceparent: Annotated[bool, Flag("begin a trace with each request, by W3C's header")] = False
    timeout_s: Annotated[PositiveFloat, Flag("give a request up after so long", "S", "timeout")] = (
        30.0
    )
    deadline_ms: Annotated[PositiveFloat | None, Flag("sent as infergraph-timeout-ms", "MS")] = None
    headers: dict[str, str] = Field(default_factory=dict)
    connections: Annotated[
        PositiveInt | None,
        Flag(
            "of each process: REST: at most, and the wait for a free one is service time; gRPC: "
            "channels (default 1)",
            "N",
        ),
    ] = None
    tls: Tls = Tls()
    exact_parameters: bool | None = None

    @field_serializer("headers", when_used="json")
    def _masked(self, headers: dict[str, str]) -> dict[str, str]:
        return masked(headers)

    def route(self) -> Route:
        """The way to the model; UsageError if the settings contradict each other."""
        deadline = {} if self.deadline_ms is None else deadline_header(self.deadline_ms)
        return Route(
            Endpoint.parse(self.url),
            self.model,
            self.version or "",
            joined([deadline, self.headers]),
            self.format,
            None if self.compression == "none" else self.compression,
            self.stream,
            self.traceparent,
            self.tls,
            self.connections,
            bool(self.exact_parameters),
        )

    def settled(self, route: Route) -> Target:
        """The same with what a server's metadata have decided, see `Route.settled`."""
        exact = route.exact_parameters if self.exact_parameters is None else self.exact_parameters
        return self.model_copy(update={"format": route.format, "exact_parameters": exact})


class PayloadSource(_Section):
    """What is sent, and how answers are checked.

    Attributes:
        inputs: In place of the path: `NAME=text` and `NAME=@file`, as for `infergraph-infer`.
        synthetic: In place of the path: inputs made up from the model's metadata.
        order: `random` draws each payload from the seed, `cycle` takes one after the other.
        tolerance: Relative and absolute, for floating point values of the last two checks.
    """

    path: Annotated[
        str | None,
        Flag(
            "a V2 request (.json), one in each line (.jsonl), or a folder of requests, media (WAV, "
            "FLAC, OGG, MP3, JPEG, PNG, WebP) or texts (.txt)",
            "PATH",
            "payload",
        ),
    ] = None
    inputs: tuple[str, ...] = ()
    synthetic: Synthetic | None = None
    input: Annotated[str | None, Flag("for media and texts: the tensor that takes them")] = None
    template: Annotated[
        str | None, Flag("for media and texts: a request with the other inputs", "JSON")
    ] = None
    order: Literal["random", "cycle"] = "random"
    check: Annotated[
        Check,
        Flag(
            "none: the status alone; valid: a V2 answer with outputs; consistent: and the same for "
            "the same payload, within a process; expected: and as --expected says"
        ),
    ] = "valid"
    expected: Annotated[
        str | None,
        Flag('a file of {"outputs": [...]}, of one by payload name, or of a list of them', "JSON"),
    ] = None
    tolerance: NonNegativeFloat = 1e-3


class Slo(_Section):
    """The objective: `percentile` percent of all requests answered well within `latency_ms`."""

    latency_ms: Annotated[PositiveFloat, Flag("the latency to stay within", "MS", "slo-ms")]
    percentile: Annotated[
        float, Field(gt=0, le=100), Flag("of requests (default 99)", "P", "slo-percentile")
    ] = 99.0


class Limits(_Section):
    """Beyond these, a run says nothing about the server, and is marked invalid.

    Attributes:
        dispatch_delay_ms: The median and 99th percentile of sent minus intended. Beyond it they
            still do no harm while they are a small share of the latency's own:
        dispatch_delay_share: Of the latency's percentile, which the delay is a part of.
        cpu: Of any process of the tester, as a share of one core.
    """

    dispatch_delay_ms: PositiveFloat = 1.0
    dispatch_delay_share: PositiveFloat = 0.05
    strict: Annotated[bool, Flag("limit the tester's own delay however long the latency is")] = (
        False
    )
    cpu: PositiveFloat = 0.95


class RunConfiguration(_Section):
    """One run.

    Attributes:
        workers: `HOST:PORT` of each `infergraph-load worker` that sends instead of this machine.
        preflight: Whether to ask for the model's readiness, and for one answer, before the load.
        drain_s: How long requests in flight may take after Ctrl-C.
    """

    target: Target
    payload: PayloadSource
    arrivals: Arrivals
    duration_s: Annotated[
        PositiveFloat, Flag("seconds of sending (default 30)", "S", "duration")
    ] = 30.0
    warmup_s: Annotated[
        NonNegativeFloat, Flag("of which are not counted (default 2)", "S", "warmup")
    ] = 2.0
    processes: Annotated[
        PositiveInt, Flag("processes that send, on each of the machines (default 1)", "N")
    ] = 1
    workers: tuple[str, ...] = ()
    metrics: Annotated[
        tuple[str, ...],
        Flag("Prometheus metrics to sample in a run; may be repeated", "URL", "metrics-url"),
    ] = ()
    metrics_interval_s: Annotated[
        PositiveFloat, Flag("between samples (default 1)", "S", "metrics-interval")
    ] = 1.0
    seed: Annotated[
        int,
        Field(ge=0),
        Flag("of arrivals, payloads, think times and traced requests (default 0)", "N"),
    ] = 0
    trace: Annotated[
        float, Field(ge=0, le=1), Flag("of requests that ask for a trace, 0 to 1", "SHARE")
    ] = 0.0
    slo: Slo | None = None
    thresholds: Annotated[
        list[str],
        Flag(
            "'p99<300' (ms), 'failed<1%', 'rate>=200', 'p99{m: compute}<50'; may be repeated; "
            "without one on failed, at most 1% of the requests may fail",
            "CONDITION",
            "threshold",
        ),
    ] = Field(default_factory=list)
    limits: Limits = Limits()
    preflight: bool = True
    drain_s: NonNegativeFloat = 5.0

    @property
    def all_processes(self) -> int:
        """How many processes send, on all machines."""
        return self.processes * max(len(self.workers), 1)

    def checked(self) -> RunConfiguration:
        """Itself; LoadError where settings contradict each other."""
        if self.warmup_s >= self.duration_s:
            raise LoadError(
                f"warmup_s is {self.warmup_s:g}, but duration_s is {self.duration_s:g}; accepted: "
                "a warm-up shorter than the run"
            )
        if isinstance(self.arrivals, (SingleStream, MultiStream)) and self.all_processes > 1:
            raise LoadError(
                f"processes is {self.all_processes}, but {self.arrivals.kind} is one stream; "
                "accepted: 1"
            )
        for threshold in parsed(self.thresholds):
            if threshold.metric == "goodput" and self.slo is None:
                raise LoadError(
                    f"threshold '{threshold.text}' needs an SLO, which goodput is within"
                )
            if threshold.of_stage and not self.trace:
                raise LoadError(
                    f"threshold '{threshold.text}' is on a stage, but trace is 0; accepted: a "
                    f"trace above 0, or one of {', '.join(TIMES)}"
                )
        if (self.payload.check == "expected") != (self.payload.expected is not None):
            raise LoadError("payload.check 'expected' and payload.expected (a file) go together")
        return self


def flags_of(section: Any = RunConfiguration, above: str = "") -> Iterator[tuple[str, Flag, Any]]:
    """The settings that are flags: their dotted names, how they are given, and their types."""
    for name, info in section.model_fields.items():
        found = [each for each in info.metadata if isinstance(each, Flag)]
        inner = section_in(info.annotation)
        if found:
            yield above + name, found[0], info.annotation
        elif inner is not None and issubclass(inner, BaseModel):
            yield from flags_of(inner, f"{above}{name}.")


def section_in(annotation: Any) -> Any:
    """The class whose fields a setting of this type has; None for a value or several classes."""
    candidates = [
        each
        for each in (annotation, *get_args(annotation))
        if isinstance(each, type) and (issubclass(each, BaseModel) or is_dataclass(each))
    ]
    return candidates[0] if len(candidates) == 1 else None
