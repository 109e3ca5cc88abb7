"""What describes a run: flags of the command line or a YAML file, read into `RunConfiguration`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_serializer,
)

from ..transports.endpoint import Endpoint, Tls
from ..transports.headers import deadline_header, joined, masked
from ..transports.route import Format, Route
from .arrivals.specification import Arrivals, MultiStream, SingleStream
from .errors import LoadError
from .thresholds import TIMES, parsed

Check = Literal["none", "valid", "consistent", "expected"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsFiles(_Section):
    """TLS: files in PEM.

    Attributes:
        ca: Authorities that are trusted, in place of the system's.
        certificate, key: The client's, where the server wants to know who it is.
        insecure: Whether any certificate is taken.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False


class Target(_Section):
    """What is called, and how.

    Attributes:
        url: `http://host:port`, `https://`, `grpc://` or `grpcs://`; the scheme is the protocol.
        model: A model or pipeline.
        version: Its version; the server's choice without one.
        format: How tensors travel. REST: `json` (BYTES as text where they are UTF-8, as base64
            where not), `base64` (all BYTES) or `binary` (raw contents behind the JSON). gRPC: `raw`
            or `typed`. `auto` is raw; or binary where the server announces it, else json.
        compression: Of requests; answers are asked to be the same.
        stream: Whether requests are answered in parts: ModelStreamInfer, or a stream of events.
        traceparent: Whether each request begins a trace of its own, by W3C's header.
        timeout_s: When the tester gives a request up, which ends requests that hang.
        deadline_ms: Sent as the header `infergraph-timeout-ms`.
        headers: Sent with every request, as HTTP headers or gRPC metadata. In JSON, as reports are
            written, those that may hold a secret are masked.
        connections: At most so many connections of each process; a request then waits for a free
            one, and the wait is part of its service time. gRPC: exactly so many channels, else 1.
        tls: How the server is trusted.
        exact_parameters: gRPC: whether the server knows parameters that are fractions, else they
            go as text; asked of its metadata where it is not given.
    """

    url: str
    model: str = Field(min_length=1)
    version: str | None = None
    format: Format = "auto"
    compression: Literal["none", "gzip", "deflate"] = "none"
    stream: bool = False
    traceparent: bool = False
    timeout_s: PositiveFloat = 30.0
    deadline_ms: PositiveFloat | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    connections: PositiveInt | None = None
    tls: TlsFiles = TlsFiles()
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
            Tls(**self.tls.model_dump()),
            self.connections,
            bool(self.exact_parameters),
        )

    def settled(self, route: Route) -> Target:
        """The same with what a server's metadata have decided, see `Route.settled`."""
        exact = route.exact_parameters if self.exact_parameters is None else self.exact_parameters
        return self.model_copy(update={"format": route.format, "exact_parameters": exact})


class SyntheticInputs(_Section):
    """Inputs made up from the model's metadata: see `payloads.synthetic.Synthetic`.

    Attributes:
        count: Payloads, each with values of its own.
        seed: Of all values.
        batch: The size of a first dimension that is declared as -1.
        shapes: Input -> its shape.
        ranges: Input -> lowest and highest value of numbers.
        words: Words of each BYTES element.
    """

    count: PositiveInt = 16
    seed: int = Field(default=0, ge=0)
    batch: PositiveInt = 1
    shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    words: PositiveInt = 12


class PayloadSource(_Section):
    """What is sent, and how answers are checked.

    Attributes:
        path: A request in V2 JSON (`.json`), one in each line (`.jsonl`), or a folder of requests,
            media (WAV, FLAC, OGG, MP3, JPEG, PNG, WebP) or texts (`.txt`).
        inputs: In place of the path: `NAME=text` and `NAME=@file`, as for `infergraph-infer`.
        synthetic: In place of the path: inputs made up from the model's metadata.
        input: For media and texts: the input tensor that takes them.
        template: For media and texts: a request whose other inputs go with each of them.
        order: `random` draws each payload from the seed, `cycle` takes one after the other.
        check: `none`: the status alone. `valid`: the answer is a V2 answer with outputs.
            `consistent`: and the same for the same payload. `expected`: and as `expected` says.
        expected: A JSON file of `{"outputs": [...]}`, of one by payload name, or a list of them.
        tolerance: Relative and absolute, for floating point values of the last two checks.
    """

    path: str | None = None
    inputs: tuple[str, ...] = ()
    synthetic: SyntheticInputs | None = None
    input: str | None = None
    template: str | None = None
    order: Literal["random", "cycle"] = "random"
    check: Check = "valid"
    expected: str | None = None
    tolerance: NonNegativeFloat = 1e-3


class Slo(_Section):
    """The objective: `percentile` percent of all requests answered well within `latency_ms`."""

    latency_ms: PositiveFloat
    percentile: float = Field(default=99.0, gt=0, le=100)


class Limits(_Section):
    """Beyond these, a run says nothing about the server, and is marked invalid.

    Attributes:
        dispatch_delay_ms: The median and 99th percentile of sent minus intended. Beyond it they
            still do no harm while they are a small share of the latency's own:
        dispatch_delay_share: Of the latency's percentile, which the delay is a part of.
        strict: Whether `dispatch_delay_ms` holds however long the latency is.
        cpu: Of any process of the tester, as a share of one core.
    """

    dispatch_delay_ms: PositiveFloat = 1.0
    dispatch_delay_share: PositiveFloat = 0.05
    strict: bool = False
    cpu: PositiveFloat = 0.95


class RunConfiguration(_Section):
    """One run.

    Attributes:
        duration_s: Seconds in which requests are sent, the warm-up among them.
        warmup_s: Requests that were meant for these first seconds are sent, but not counted.
        processes: That send, on this machine or on each of `workers`; the schedule is dealt out to
            them in turn.
        metrics: Endpoints of the server's Prometheus metrics, sampled during the run.
        metrics_interval_s: Seconds from sample to sample.
        workers: `HOST:PORT` of each `infergraph-load worker` that sends instead of this machine.
        seed: Of arrivals, payloads, think times and traced requests.
        trace: The share of requests that ask for a trace, from which stages are broken down.
        thresholds: What else must hold, such as `p99<300`; without one on `failed`, at most 1% of
            the requests may fail.
        preflight: Whether to ask for the model's readiness, and for one answer, before the load.
        drain_s: How long requests in flight may take after Ctrl-C.
    """

    target: Target
    payload: PayloadSource
    arrivals: Arrivals
    duration_s: PositiveFloat = 30.0
    warmup_s: NonNegativeFloat = 2.0
    processes: PositiveInt = 1
    workers: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    metrics_interval_s: PositiveFloat = 1.0
    seed: int = Field(default=0, ge=0)
    trace: float = Field(default=0.0, ge=0, le=1)
    slo: Slo | None = None
    thresholds: list[str] = Field(default_factory=list)
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


def read_configuration(path: Path | None, overrides: dict[str, Any]) -> RunConfiguration:
    """The configuration of one load, from a YAML file overridden by values given as flags.

    Args:
        path: The file; None means flags alone.
        overrides: Dotted name -> value, for example `{"target.model": "echo"}`. Where
            `arrivals.kind` changes the file's kind, the file's other arrival settings are dropped.

    Raises:
        LoadError: naming the setting, its value and what is accepted.
    """
    document = _document(path, overrides)
    if "loads" in document:
        raise LoadError(f"'{path}' has several loads, which only infergraph-load run sends")
    return _validated(document)


def read_loads(
    path: Path | None, overrides: dict[str, Any], loads: Sequence[dict[str, Any]] = ()
) -> dict[str, RunConfiguration]:
    """The configurations of loads that are sent at the same time, by name.

    The file's list `loads` holds what is each load's own: `name` (else its model's), `target`,
    `payload`, `arrivals`, `slo`, `trace` and the like; all else is as it stands beside the list.
    One without arrivals has a share of the rate there, by its `weight` (1). Without a list there is
    one load.

    Args:
        path, overrides: See `read_configuration`.
        loads: More of them, with dotted names.

    Raises:
        LoadError: naming the load, the setting, its value and what is accepted.
    """
    document = _document(path, overrides)
    listed = document.pop("loads", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise LoadError("loads is not a list of mappings of settings")
    several = [*listed, *(_nested(each) for each in loads)]
    if not several:
        configuration = _validated(document)
        return {configuration.target.model: configuration}
    weights = [0.0 if "arrivals" in each else _weight(each) for each in several]
    found: dict[str, RunConfiguration] = {}
    for number, own in enumerate(several):
        place = f"loads[{number}]"
        for name in own:
            if name not in (*_OWN, "name", "weight"):
                raise LoadError(f"{place}.{name} is not a load's own; accepted: {', '.join(_OWN)}")
        merged = _merged(document, {name: own[name] for name in _OWN if name in own})
        # Two loads of one seed would arrive at the same times.
        seed = int(merged.get("seed", 0)) + number * _SEED_STEP
        try:
            configuration = _validated({**merged, "seed": seed})
        except LoadError as error:
            raise LoadError(f"{place}: {error}") from None
        if "arrivals" not in own:
            share = weights[number] / sum(weights)
            configuration = _at_share(place, configuration, share)
        elif "weight" in own:
            raise LoadError(f"{place} has arrivals and a weight; accepted: one of them")
        name = str(own.get("name", configuration.target.model))
        if name in found or not _NAME.fullmatch(name):
            raise LoadError(
                f"{place}.name is '{name}'; accepted: letters, digits, '-', '_' and '.', and no "
                "name twice"
            )
        found[name] = configuration
    return found


_OWN = ("target", "payload", "arrivals", "slo", "thresholds", "trace", "limits")
_NAME = re.compile(r"[\w][\w.-]*")
_SEED_STEP = 1_000_003


def _weight(load: dict[str, Any]) -> float:
    weight = load.get("weight", 1)
    try:
        value = float(weight)
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value < float("inf"):
        raise LoadError(f"weight is {weight!r}; accepted: a number above 0")
    return value


def _at_share(place: str, configuration: RunConfiguration, share: float) -> RunConfiguration:
    arrivals = configuration.arrivals
    rates = {
        name: getattr(arrivals, name) * share
        for name in ("rate", "burst_rate", "start_rate", "end_rate")
        if hasattr(arrivals, name)
    }
    if not rates:
        raise LoadError(
            f"{place} has no arrivals of its own, and arrivals of kind '{arrivals.kind}' have no "
            "rate to share out; accepted: arrivals in each load"
        )
    return configuration.model_copy(update={"arrivals": arrivals.model_copy(update=rates)})


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Settings of `own` over those of `base`, section by section; arrivals are never mixed."""
    merged = dict(base)
    for name, value in own.items():
        below = merged.get(name)
        if isinstance(value, dict) and isinstance(below, dict) and name != "arrivals":
            merged[name] = {**below, **value}
        else:
            merged[name] = value
    return merged


def _nested(dotted: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    _override(document, dotted)
    return document


def _document(path: Path | None, overrides: dict[str, Any]) -> dict[str, Any]:
    document = _read_yaml(path) if path is not None else {}
    kind = overrides.get("arrivals.kind")
    file_arrivals = document.get("arrivals")
    if kind is not None and isinstance(file_arrivals, dict) and file_arrivals.get("kind") != kind:
        document["arrivals"] = {}
    _override(document, overrides)
    return document


def _override(document: dict[str, Any], overrides: dict[str, Any]) -> None:
    for name, value in overrides.items():
        section = document
        *parents, last = name.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise LoadError(f"'{name}' cannot be set: '{parent}' is not a section")
        below = section.get(last)
        if name == "target.headers" and isinstance(below, dict):
            # Those of flags are on top of the file's.
            value = joined([below, value])
        section[last] = value


def _validated(document: dict[str, Any]) -> RunConfiguration:
    try:
        return RunConfiguration.model_validate(document).checked()
    except ValidationError as error:
        raise LoadError(_first_problem(error)) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"'{path}' cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        raise LoadError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise LoadError(f"'{path}' is not a mapping of settings")
    return document


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    # The name of a union's member stands in the location, but in no file.
    kinds = {"arrivals"} & {str(problem["loc"][0])} if problem["loc"] else set()
    location = [str(part) for part in problem["loc"]]
    if kinds and len(location) > 2:
        del location[1]
    name = ".".join(location)
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{name} is not a setting; accepted: {_names(location[:-1])}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    value = problem["input"]
    shown = "" if isinstance(value, (dict, list)) else f" is {value!r}"
    return f"{name}{shown}: {message}"


def _names(location: list[str]) -> str:
    model: Any = RunConfiguration
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(
            (each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)),
            None,
        )
        if part == "arrivals" or model is None:
            return "see docs/load-testing.md"
    return ", ".join(model.model_fields)
