"""The flags that describe a run, shared by `run`, `search` and `profile`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_origin

import yaml

from ...flags import add_tls
from ...payloads.inputs import HELP
from ...transports import parse_headers
from ...transports.headers import pairs
from ..configuration import RunConfiguration, flags_of
from ..configuration_file import OWN, read_configuration, read_loads
from ..errors import LoadError

_FLAGS = {
    flag.name or setting.rpartition(".")[2].replace("_", "-"): setting
    for setting, flag, _ in flags_of()
}
_TLS = {name: f"target.tls.{name}" for name in ("ca", "certificate", "key", "insecure")}
_SETTINGS = {**_FLAGS, **_TLS, "inputs": "payload.inputs"}
"""Flag -> setting."""
_LISTS = {
    "payload.inputs",
    *(setting for setting, _, kind in flags_of() if get_origin(kind) in (list, tuple)),
}
_OF_LOADS = {flag: each for flag, each in _SETTINGS.items() if each.partition(".")[0] in OWN}
_GROUPS = {
    "server metrics": ("metrics", "metrics_interval_s"),
    "judgement": ("trace", "slo", "thresholds", "limits"),
}


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
    groups = {
        name: parser.add_argument_group(name) for name in ("target", "payload", "load", *_GROUPS)
    }
    for flag, (setting, how, kind) in zip(_FLAGS, flags_of(), strict=True):
        section = setting.partition(".")[0]
        found = [name for name, sections in _GROUPS.items() if section in sections]
        group = groups[found[0] if found else section if section in groups else "load"]
        more: dict[str, Any] = {"metavar": how.metavar}
        if kind is bool:
            more = {"action": "store_true"}
        elif get_origin(kind) in (list, tuple):
            more["action"] = "append"
        group.add_argument(f"--{flag}", default=None, help=how.help.replace("%", "%%"), **more)
    add_tls(groups["target"])
    groups["target"].add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a header or metadata, beside the file's; reports do not show secrets",
    )
    groups["payload"].add_argument(
        "--synthetic",
        nargs="?",
        const="",
        metavar="KEY=VALUE,...",
        help="inputs made up from the model's metadata; keys are count, seed, batch and words, and "
        "with --set, payload.synthetic.shapes.NAME=[1,3] and payload.synthetic.ranges.NAME=[0,9]",
    )
    load = groups["load"]
    if arrivals:
        load.add_argument(
            "--arrivals",
            metavar="KIND[:KEY=VALUE,...]",
            help="constant:rate=50, poisson:rate=50, gamma:rate=50,cv=4, "
            "bursts:rate=20,burst_rate=200, step:rates=[10,20,40], ramp:start_rate=0,end_rate=100, "
            "sine:rate=50,amplitude=0.5,period_s=60, trace:file=FILE, "
            "closed:concurrency=8,think_s=1, single-stream, multi-stream, server:rate=50, "
            "offline:count=1000",
        )
        load.add_argument(
            "--rate", metavar="R", help="requests per second; Poisson without --arrivals"
        )
        load.add_argument("--concurrency", metavar="N", help="users of a closed loop")
    load.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="machines that send, on which infergraph-load worker listens",
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
        value = getattr(arguments, flag.replace("-", "_"))
        if value is not None:
            overrides[name] = value
    if arguments.expected is not None and arguments.check is None:
        overrides["payload.check"] = "expected"
    if arguments.header:
        overrides["target.headers"] = parse_headers(arguments.header)
    if arguments.synthetic is not None:
        overrides["payload.synthetic"] = _flow_mapping("--synthetic", arguments.synthetic)
    for name, value in pairs(arguments.set, "--set"):
        overrides[name] = _parsed("--set", value)
    if arguments.workers is not None:
        overrides["workers"] = [each for each in arguments.workers.split(",") if each]
    return overrides


def _load(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs(text.split(","), "--load"):
        if key in ("rate", "concurrency"):
            found["arrivals.kind"] = "poisson" if key == "rate" else "closed"
            found[f"arrivals.{key}"] = value
        elif key in ("name", "weight"):
            found[key] = value
        elif key in _OF_LOADS:
            setting = _OF_LOADS[key]
            found[setting] = [*found.get(setting, ()), value] if setting in _LISTS else value
        else:
            raise LoadError(
                f"--load has key '{key}'; accepted: name, weight, rate, concurrency, "
                f"{', '.join(_OF_LOADS)}"
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
    for flag, kind in (("rate", "poisson"), ("concurrency", "closed")):
        value = getattr(arguments, flag)
        if value is not None:
            overrides[f"arrivals.{flag}"] = value
            if arguments.file is None:
                overrides.setdefault("arrivals.kind", kind)
    return overrides


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
