"""Seldon Core 2's objects: what webhooks and schedulers refuse, and what they silently never do."""

from __future__ import annotations

from collections.abc import Iterator

from ...graph import Finding, lint
from ...graph.finding import did_you_mean
from ..documents import Document, Steps
from ..quantity import parse_quantity
from ..resource import dump
from .inventory import Inventory

STOCK_CAPABILITIES = frozenset(
    {
        "mlserver",
        "alibi-detect",
        "alibi-explain",
        "huggingface",
        "lightgbm",
        "mlflow",
        "python",
        "sklearn",
        "spark-mlib",
        "xgboost",
        "triton",
        "tensorrt",
        "onnx",
        "tensorflow",
        "pytorch",
        "dali",
    }
)
"""What the Servers offer that an installation of Seldon brings."""


def check_seldon(inventory: Inventory) -> Iterator[Finding]:
    """Models, Pipelines and Experiments."""
    for model in inventory.of("Model"):
        yield from _check_model(model, inventory)
    models = {each.name for each in inventory.of("Model")}
    for pipeline in inventory.of("Pipeline"):
        yield from _check_pipeline(pipeline, models)
    for experiment in inventory.of("Experiment"):
        yield from _check_experiment(experiment, inventory)


def _check_model(model: Document, inventory: Inventory) -> Iterator[Finding]:
    offers = [
        {
            *(each.spec.get("capabilities") or STOCK_CAPABILITIES),
            *(each.spec.get("extraCapabilities") or ()),
        }
        for each in inventory.of("Server")
    ]
    wanted = set(map(str, model.spec.get("requirements") or ()))
    if not any(wanted <= each for each in (*offers, STOCK_CAPABILITIES)):
        yield model.finding(
            "no-server",
            ("spec", "requirements"),
            f"no Server offers {', '.join(sorted(wanted))}",
            "give a Server of this folder these capabilities",
        )
    memory = model.spec.get("memory")
    try:
        size = parse_quantity(memory)
    except ValueError as error:
        yield model.finding("memory", ("spec",), f"memory: {error}", "say how much it needs")
        return
    rooms = [
        room
        for server, offer in zip(inventory.of("Server"), offers, strict=True)
        if wanted <= offer and (room := _room(server)) is not None
    ]
    if rooms and size > max(rooms):
        yield model.finding(
            "memory",
            ("spec", "memory"),
            f"it needs {size} bytes, and its Server has {max(rooms)}",
            "raise the Server's memory",
        )


def _room(server: Document) -> int | None:
    """The bytes that a Server's agent gives to models; None where that is not said."""
    containers = {
        str(each.get("name")): each
        for each in (server.spec.get("podSpec") or {}).get("containers") or ()
    }
    resources = (containers.get("mlserver") or {}).get("resources") or {}
    memory = (resources.get("requests") or {}).get("memory")
    for variable in (containers.get("agent") or {}).get("env") or ():
        if variable.get("name") == "MEMORY_REQUEST":
            memory = variable.get("value")
    try:
        return parse_quantity(memory)
    except ValueError:
        return None


def _check_pipeline(pipeline: Document, models: set[str]) -> Iterator[Finding]:
    for finding in lint(dump([pipeline.value]), pipeline.file):
        if finding.severity == "error":
            yield pipeline.finding(finding.rule, ("spec",), finding.message, finding.fix)
    for position, step in enumerate(pipeline.spec.get("steps") or ()):
        if models and step.get("name") not in models:
            yield pipeline.finding(
                "unknown-model",
                ("spec", "steps", position),
                f"step '{step.get('name')}' has no Model",
                did_you_mean(str(step.get("name")), sorted(models)),
            )


def _check_experiment(experiment: Document, inventory: Inventory) -> Iterator[Finding]:
    kind = "Pipeline" if experiment.spec.get("resourceType") == "pipeline" else "Model"
    known = [each.name for each in inventory.of(kind)]
    names = [str(each.get("name")) for each in experiment.spec.get("candidates") or ()]
    at: Steps = ("spec", "candidates")
    for name in names:
        if name not in known:
            yield experiment.finding(
                "unknown-candidate", at, f"there is no {kind} '{name}'", did_you_mean(name, known)
            )
    if len(set(names)) < len(names):
        yield experiment.finding("repeated-candidate", at, "a candidate stands twice", "remove one")
    default = experiment.spec.get("default")
    if default is not None and default not in names:
        yield experiment.finding(
            "unknown-candidate",
            ("spec", "default"),
            f"its default '{default}' is no candidate",
            did_you_mean(str(default), names),
        )
