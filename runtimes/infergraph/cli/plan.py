"""Which servables run in which server process."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import MODEL_SETTINGS, read_settings
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, UnknownModel
from ..graph import parse_pipeline
from ..settings import environment_overrides, environment_prefix, shared_endpoints
from .workspace import Catalog, find_servable, read_text

ANY_STEP = "*"


@dataclass(frozen=True)
class ServerPlan:
    """One server process.

    Attributes:
        name: For its log lines.
        servables: What it serves, in the order of need.
        remote: For each pipeline among them, the steps that other planned servers serve.
    """

    name: str
    servables: tuple[ModelDeclaration, ...]
    remote: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan_servers(
    catalog: Catalog,
    names: Sequence[str],
    models_dir: Path,
    endpoints: Mapping[str, Mapping[str, Any]],
    split: bool,
) -> list[ServerPlan]:
    """The servers that serve `names` and all that their pipelines need, in the order to start them.

    Args:
        endpoints: For each pipeline, its steps (or `*`) that are served elsewhere already.
        split: One server for each model, and one for all pipelines, rather than one for everything.

    Raises:
        UnknownModel: no such model or pipeline, or a step's model does not exist.
        ConfigurationError: the package of a model's runtime is not installed.
    """
    needed: dict[str, ModelDeclaration] = {}
    steps: dict[str, tuple[str, ...]] = {}

    def need(declaration: ModelDeclaration) -> None:
        if declaration.name in needed:
            return
        needed[declaration.name] = declaration
        if declaration.pipeline is None:
            _check_installed(declaration)
            return
        elsewhere = endpoints.get(declaration.name, {})
        local = tuple(
            step
            for step in step_names(declaration.pipeline)
            if step not in elsewhere and ANY_STEP not in elsewhere
        )
        steps[declaration.name] = local
        for step in local:
            if step not in catalog:
                raise UnknownModel(
                    f"{declaration.pipeline}: no model '{step}' in {models_dir} for the step of "
                    f"that name; accepted: {', '.join(catalog)}"
                )
            need(catalog[step])

    for name in names:
        need(find_servable(catalog, name, models_dir))
    models = [each for each in needed.values() if each.pipeline is None]
    pipelines = [each for each in needed.values() if each.pipeline is not None]
    if not split or not pipelines:
        return [ServerPlan("server", (*models, *pipelines))]
    remote = {
        name: tuple(step for step in local if catalog[step].pipeline is None)
        for name, local in steps.items()
    }
    return [
        *(ServerPlan(model.name, (model,)) for model in models),
        ServerPlan(pipelines[0].name, tuple(pipelines), remote),
    ]


def _check_installed(model: ModelDeclaration) -> None:
    package = model.implementation.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise ConfigurationError(
            f"model '{model.name}': the package '{package}' of its runtime "
            f"'{model.implementation}' is not installed in this environment; serve the model from "
            "one that has it, and name its address by --set PIPELINE.endpoints=..."
        )


def step_names(pipeline: Path) -> list[str]:
    """The steps of a pipeline file; raises ConfigurationError."""
    return [step.name for step in parse_pipeline(read_text(pipeline), str(pipeline)).spec.steps]


def configured_endpoints(
    catalog: Catalog, overrides: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The endpoints that each pipeline's settings name, with overrides by environment variable."""
    endpoints = {}
    shared = shared_endpoints()
    for declaration in catalog.values():
        if declaration.pipeline is None or declaration.folder is None:
            continue
        settings = read_settings(declaration.folder / MODEL_SETTINGS)
        value = ((settings.get("parameters") or {}).get("extra") or {}).get("endpoints", {})
        variable = endpoints_variable(declaration.name)
        inherited = environment_overrides(declaration.name).get("endpoints")
        if variable in overrides:
            value = overrides[variable]
        elif inherited is not None:
            value = inherited[1]
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                value = None
        if not isinstance(value, dict):
            raise ConfigurationError(
                f"pipeline '{declaration.name}': setting 'endpoints' is not a mapping of steps to "
                'URLs such as {"*": "grpc://127.0.0.1:8081"}'
            )
        if variable not in overrides and inherited is None:
            value = {**value, **shared}
        endpoints[declaration.name] = value
    return endpoints


def endpoints_variable(pipeline: str) -> str:
    """The environment variable that sets a pipeline's endpoints."""
    return f"{environment_prefix(pipeline)}ENDPOINTS"


def overrides_of(assignments: Iterable[str], catalog: Catalog) -> dict[str, str]:
    """Environment variables of `model.field=value` assignments.

    Raises:
        ConfigurationError: not of that form.
        UnknownModel: no such model or pipeline.
    """
    variables = {}
    for assignment in assignments:
        target, equals, value = assignment.partition("=")
        model, dot, setting = target.rpartition(".")
        if not (equals and dot and model and setting.isidentifier()):
            raise ConfigurationError(
                f"--set {assignment}: accepted: model.field=value, for example "
                "speech-to-text.device=cpu"
            )
        if model not in catalog:
            raise UnknownModel(
                f"--set {assignment}: no model or pipeline '{model}'; accepted: "
                f"{', '.join(catalog) or 'none'}"
            )
        variables[f"{environment_prefix(model)}{setting.upper()}"] = value
    return variables
