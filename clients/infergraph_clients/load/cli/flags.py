"""The flags that describe a run, shared by `run` and `search`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from ...flags import add_tls
from ...payloads.inputs import HELP
from ...transports import parse_headers
from ..configuration import RunConfiguration, read_configuration, read_loads
from ..errors import LoadError

_SETTINGS = {
    "url": "target.url",
    "model": "target.model",
    "model_version": "target.version",
    "format": "target.format",
    "compression": "target.compression",
    "timeout": "target.timeout_s",
    "deadline_ms": "target.deadline_ms",
    "connections": "target.connections",
    "stream": "target.stream",
    "traceparent": "target.traceparent",
    "ca": "target.tls.ca",
    "certificate": "target.tls.certificate",
    "key": "target.tls.key",
    "insecure": "target.tls.insecure",
    "payload": "payload.path",
    "inputs": "payload.inputs",
    "input": "payload.input",
    "template": "payload.template",
    "check": "payload.check",
    "expected": "payload.expected",
    "duration": "duration_s",
    "warmup": "warmup_s",
    "processes": "processes",
    "seed": "seed",
    "metrics_url": "metrics",
    "metrics_interval": "metrics_interval_s",
    "trace": "trace",
    "slo_ms": "slo.latency_ms",
    "slo_percentile": "slo.percentile",
    "threshold": "thresholds",
    "strict": "limits.strict",
}
"""Flag -> setting."""


def add_arguments(parser: argparse.ArgumentParser, *, arrivals: bool = True) -> None:
    """Adds the flags; each overrides the file. `arrivals`: those of the arrivals, too."""
    parser.epilog = HELP
    parser.add_argument(
        "file",
        nargs="*",
        metavar="FILE | NAME=VALUE",
        action=_FileOrInputs,
        help="a YAML file that describes the run, and inputs in place of --payload: see below",
    )
    target = parser.add_argument_group("target")
    target.add_argument("--url", help="http://host:port, https://, grpc:// or grpcs://")
    target.add_argument("--model", help="the model or pipeline")
    target.add_argument("--model-version", metavar="VERSION", help="its version")
    target.add_argument(
        "--format",
        help="json, base64 or binary (REST), raw or typed (gRPC), or auto: binary where the server "
        "announces it, else json; raw",
    )
    target.add_argument("--compression", help="none, gzip or deflate")
    for name, text in (
        ("stream", "ask for answers in parts, and time the first and those after it"),
        ("traceparent", "begin a distributed trace with each request, by W3C's header"),
    ):
        target.add_argument(f"--{name}", action="store_true", default=None, help=text)
    add_tls(target)
    target.add_argument("--timeout", metavar="S", help="give a request up after so long")
    target.add_argument("--deadline-ms", metavar="MS", help="sent as infergraph-timeout-ms")
    target.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a header or metadata, beside the file's; reports do not show secrets",
    )
    target.add_argument("--connections", metavar="N", help="REST: at most; gRPC: channels")
    payload = parser.add_argument_group("payload")
    payload.add_argument("--payload", metavar="PATH", help=".json, .jsonl, media, text, or folder")
    payload.add_argument(
        "--synthetic",
        nargs="?",
        const="",
        metavar="KEY=VALUE,...",
        help="inputs made up from the model's metadata; keys are count, seed, batch and words, and "
        "with --set, payload.synthetic.shapes.NAME=[1,3] and payload.synthetic.ranges.NAME=[0,9]",
    )
    payload.add_argument("--input", help="for media and texts: the input tensor that takes them")
    payload.add_argument("--template", metavar="JSON", help="a request with the other inputs")
    payload.add_argument("--check", help="none, valid, consistent or expected")
    payload.add_argument("--expected", metavar="JSON", help="expected answers")
    load = parser.add_argument_group("load")
    if arrivals:
        _add_arrivals(load)
    load.add_argument("--duration", metavar="S", help="seconds of sending (default 30)")
    load.add_argument("--warmup", metavar="S", help="of which are not counted (default 2)")
    load.add_argument("--processes", metavar="N", help="processes that send (default 1)")
    load.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="machines that send, on which infergraph-load worker listens",
    )
    load.add_argument("--seed", metavar="N", help="of arrivals and payloads (default 0)")
    metrics = parser.add_argument_group("server metrics")
    metrics.add_argument(
        "--metrics-url",
        action="append",
        metavar="URL",
        help="Prometheus metrics to sample during the run; may be repeated",
    )
    metrics.add_argument("--metrics-interval", metavar="S", help="between samples (default 1)")
    judged = parser.add_argument_group("judgement")
    judged.add_argument("--trace", metavar="SHARE", help="of requests that ask for a trace, 0 to 1")
    judged.add_argument("--slo-ms", metavar="MS", help="the latency to stay within")
    judged.add_argument("--slo-percentile", metavar="P", help="of requests (default 99)")
    judged.add_argument(
        "--threshold",
        action="append",
        metavar="CONDITION",
        help="'p99<300' (ms), 'failed<1%%', 'rate>=200', 'p99{m: compute}<50'; may be repeated; "
        "without one on failed, at most 1%% of the requests may fail",
    )
    judged.add_argument(
        "--strict",
        action="store_true",
        default=None,
        help="limit the tester's own delay however long the latency is",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of the file, such as limits.dispatch_delay_ms=5",
    )


class _FileOrInputs(argparse.Action):
    """Tells the file from inputs, which hold an equals sign."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        inputs = [each for each in values if "=" in each and not Path(each).exists()]
        files = [each for each in values if each not in inputs]
        if len(files) > 1:
            parser.error(f"{' and '.join(files)}: accepted: one file, and inputs NAME=VALUE")
        namespace.file = Path(files[0]) if files else None
        namespace.inputs = inputs or None


def _add_arrivals(load: argparse._ArgumentGroup) -> None:
    load.add_argument(
        "--arrivals",
        metavar="KIND[:KEY=VALUE,...]",
        help="constant:rate=50, poisson:rate=50, gamma:rate=50,cv=4, "
        "bursts:rate=20,burst_rate=200, step:rates=[10,20,40], ramp:start_rate=0,end_rate=100, "
        "sine:rate=50,amplitude=0.5,period_s=60, trace:file=FILE, closed:concurrency=8,think_s=1, "
        "single-stream, multi-stream, server:rate=50, offline:count=1000",
    )
    load.add_argument("--rate", metavar="R", help="requests per second; Poisson without --arrivals")
    load.add_argument("--concurrency", metavar="N", help="users of a closed loop")


def add_loads(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of several loads at the same time."""
    parser.add_argument(
        "--load",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="a load of several; keys are name, weight, rate, concurrency, and the flags model, "
        "url, payload, slo-ms and the like; without a rate of its own, a share of --rate by weight",
    )


def loads(arguments: argparse.Namespace) -> dict[str, RunConfiguration]:
    """The loads that file and flags describe, by name; LoadError if they do not."""
    several = [_load(text) for text in arguments.load]
    return read_loads(arguments.file, _overrides(arguments), several)


def configuration(
    arguments: argparse.Namespace, extra: dict[str, Any] | None = None
) -> RunConfiguration:
    """The run that file and flags describe; LoadError if they do not.

    Args:
        arguments: Of `add_arguments`.
        extra: More overrides, that come before the flags.
    """
    return read_configuration(arguments.file, {**(extra or {}), **_overrides(arguments)})


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    overrides = _arrivals(arguments)
    if any(getattr(arguments, each) is not None for each in ("payload", "inputs", "synthetic")):
        # In place of whatever the file has.
        overrides |= {"payload.path": None, "payload.inputs": (), "payload.synthetic": None}
    for flag, name in _SETTINGS.items():
        value = getattr(arguments, flag)
        if value is not None:
            overrides[name] = value
    if arguments.expected is not None and arguments.check is None:
        overrides["payload.check"] = "expected"
    if arguments.header:
        overrides["target.headers"] = parse_headers(arguments.header)
    if arguments.synthetic is not None:
        overrides["payload.synthetic"] = _flow_mapping("--synthetic", arguments.synthetic)
    for text in arguments.set:
        name, value = _assignment("--set", text)
        overrides[name] = _parsed("--set", value)
    if arguments.workers is not None:
        overrides["workers"] = [each for each in arguments.workers.split(",") if each]
    return overrides


def _load(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, value = _assignment("--load", part)
        flag = key.replace("-", "_")
        if flag in ("rate", "concurrency"):
            found["arrivals.kind"] = "poisson" if flag == "rate" else "closed"
            found[f"arrivals.{flag}"] = value
        elif flag in ("name", "weight"):
            found[flag] = value
        elif flag in _SETTINGS:
            found[_SETTINGS[flag]] = value
        else:
            accepted = ", ".join(each.replace("_", "-") for each in _SETTINGS)
            raise LoadError(
                f"--load has key '{key}'; accepted: name, weight, rate, concurrency, {accepted}"
            )
    return found


def _arrivals(arguments: argparse.Namespace) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    if not hasattr(arguments, "arrivals"):
        return overrides
    if arguments.arrivals is not None:
        kind, _, settings = arguments.arrivals.partition(":")
        overrides["arrivals.kind"] = kind
        for name, value in _flow_mapping("--arrivals", settings).items():
            overrides[f"arrivals.{name}"] = value
    elif arguments.file is None and arguments.rate is not None:
        overrides["arrivals.kind"] = "poisson"
    elif arguments.file is None and arguments.concurrency is not None:
        overrides["arrivals.kind"] = "closed"
    for flag in ("rate", "concurrency"):
        value = getattr(arguments, flag)
        if value is not None:
            overrides[f"arrivals.{flag}"] = value
    return overrides


def _assignment(flag: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise LoadError(f"{flag} is '{text}'; accepted: NAME=VALUE")
    return name, value


def _flow_mapping(flag: str, text: str) -> dict[str, Any]:
    value = _parsed(flag, "{" + text.replace("=", ": ") + "}")
    if not isinstance(value, dict) or None in value.values():
        raise LoadError(f"{flag} has settings '{text}'; accepted: KEY=VALUE,...")
    return {str(name): each for name, each in value.items()}


def _parsed(flag: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise LoadError(f"{flag} has value '{text}', which is not YAML") from None
