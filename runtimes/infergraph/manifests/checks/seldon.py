"""Seldon's objects: what its webhooks and schedulers refuse, and what they silently never do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
_NODE_TYPES = ("MODEL", "TRANSFORMER", "OUTPUT_TRANSFORMER", "ROUTER", "COMBINER")
_FULL = 100


def check_seldon(inventory: Inventory) -> Iterator[Finding]:
    """Models, Pipelines, Experiments and SeldonDeployments."""
    for model in inventory.of("Model"):
        yield from _check_model(model, inventory)
    models = {each.name for each in inventory.of("Model")}
    for pipeline in inventory.of("Pipeline"):
        yield from _check_pipeline(pipeline, models)
    for experiment in inventory.of("Experiment"):
        yield from _check_experiment(experiment, inventory)
    for deployment in inventory.of("SeldonDeployment"):
        yield from _check_deployment(deployment)


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


def _check_deployment(deployment: Document) -> Iterator[Finding]:
    predictors = deployment.spec.get("predictors") or []
    names = [each.get("name") for each in predictors]
    if len(set(names)) < len(names):
        yield deployment.finding(
            "repeated-predictor",
            ("spec", "predictors"),
            "two predictors share a name",
            "rename one",
        )
    traffic = sum(each.get("traffic", 0) for each in predictors if not each.get("shadow"))
    if len(predictors) > 1 and traffic != _FULL:
        yield deployment.finding(
            "traffic", ("spec", "predictors"), f"traffic sums to {traffic}", "make it 100"
        )
    for position, predictor in enumerate(predictors):
        containers = {
            container.get("name")
            for component in predictor.get("componentSpecs") or ()
            for container in (component.get("spec") or {}).get("containers") or ()
        }
        at: Steps = ("spec", "predictors", position, "graph")
        yield from _check_node(deployment, at, predictor.get("graph"), containers)


def _check_node(
    deployment: Document, at: Steps, node: Any, containers: set[Any]
) -> Iterator[Finding]:
    """A node of a graph and those below it, of which the schema knows nothing."""
    if not isinstance(node, dict) or not isinstance(node.get("children") or [], list):
        yield deployment.finding(
            "graph-node", at, f"a node is {node!r:.60}", "write an object with a list of children"
        )
        return
    name, kind = node.get("name"), node.get("type", "MODEL")
    if not name or not isinstance(name, str):
        yield deployment.finding("graph-node", at, f"a node's name is {name!r:.60}", "name it")
    elif not node.get("implementation") and name not in containers:
        yield deployment.finding(
            "graph-node",
            at,
            f"node '{name}' has no container of its name",
            did_you_mean(str(name), sorted(map(str, containers))),
        )
    if kind not in _NODE_TYPES:
        yield deployment.finding(
            "graph-node", at, f"node '{name}' has type '{kind}'", f"use {', '.join(_NODE_TYPES)}"
        )
    unknown = sorted(set(node) - _NODE_FIELDS)
    if unknown:
        yield deployment.finding(
            "graph-node",
            at,
            f"node '{name}' has a field '{unknown[0]}'",
            did_you_mean(unknown[0], sorted(_NODE_FIELDS)),
        )
    for position, child in enumerate(node.get("children") or ()):
        yield from _check_node(deployment, (*at, "children", position), child, containers)


_NODE_FIELDS = frozenset(
    {
        "name",
        "type",
        "implementation",
        "methods",
        "children",
        "endpoint",
        "modelUri",
        "parameters",
        "logger",
        "envSecretRefName",
        "serviceAccountName",
        "storageInitializerImage",
    }
)
