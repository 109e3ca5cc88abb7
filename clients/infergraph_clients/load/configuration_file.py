"""Reads configurations of runs: out of a YAML file, overridden by flags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..transports.headers import joined
from .configuration import RunConfiguration, section_in
from .errors import LoadError

OWN = ("target", "payload", "arrivals", "slo", "thresholds", "trace", "limits")
"""Settings that each of several loads may have of its own."""
_NAME = re.compile(r"[\w][\w.-]*")
_SEED_STEP = 1_000_003


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
    configuration = _validated(document)
    if configuration.metrics:
        raise LoadError(
            f"metrics are {', '.join(configuration.metrics)}, which only infergraph-load run "
            "samples; accepted: none (--set metrics=[])"
        )
    return configuration


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
            if name not in (*OWN, "name", "weight"):
                raise LoadError(f"{place}.{name} is not a load's own; accepted: {', '.join(OWN)}")
        merged = _merged(document, {name: own[name] for name in OWN if name in own})
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
    location = [str(part) for part in problem["loc"]]
    if location[:1] == ["arrivals"] and len(location) > 2:
        # The name of a union's member stands in the location, but in no file.
        del location[1]
    name = ".".join(location)
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{name} is not a setting; accepted: {_names(location[:-1])}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    value = problem["input"]
    shown = "" if isinstance(value, (dict, list)) else f" is {value!r}"
    return f"{name}{shown}: {message}"


def _names(location: list[str]) -> str:
    section: Any = RunConfiguration
    for part in location:
        fields = getattr(section, "model_fields", {})
        section = section_in(fields[part].annotation) if part in fields else None
    fields = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
    return ", ".join(fields) or "see docs/load-testing.md"
