"""SeldonDeployments: graphs, of whose nodes below the first no schema knows anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ...graph import Finding
from ...graph.finding import did_you_mean
from ...node import Node
from ...settings import environment_prefix
from ..documents import Document, Steps
from .inventory import Inventory

_TYPES = ("MODEL", "TRANSFORMER", "OUTPUT_TRANSFORMER", "ROUTER", "COMBINER")
_METHODS = ("TRANSFORM_INPUT", "TRANSFORM_OUTPUT", "ROUTE", "AGGREGATE", "SEND_FEEDBACK")
_PARAMETER_TYPES = ("INT", "FLOAT", "DOUBLE", "STRING", "BOOL")
_FIELDS = (
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
)
_BUILT_IN = ("RANDOM_ABTEST", "SIMPLE_MODEL", "SIMPLE_ROUTER", "AVERAGE_COMBINER")
"""Implementations that run in the executor itself; all others are servers that load a model."""
_DEEPEST = 50
_LONGEST_ARGUMENT = (1 << 17) - 1
"""Bytes of one argument of a process, as which the executor is told the graph, in base64."""
_FULL = 100


def check_seldon_v1(inventory: Inventory) -> Iterator[Finding]:
    """What the webhook refuses, what the executor dies of, and what it silently loses."""
    for deployment in inventory.of("SeldonDeployment"):
        yield from _check_deployment(deployment)


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
        at: Steps = ("spec", "predictors", position, "graph")
        yield from _Graph(deployment, predictor).check(at, predictor.get("graph"))


class _Graph:
    """The nodes of one predictor."""

    def __init__(self, deployment: Document, predictor: Mapping[str, Any]) -> None:
        self._deployment = deployment
        self._containers = {
            str(container.get("name")): container
            for component in predictor.get("componentSpecs") or ()
            for container in (component.get("spec") or {}).get("containers") or ()
        }
        self._seen: set[str] = set()

    def check(self, at: Steps, graph: Any) -> Iterator[Finding]:
        told = len(base64.b64encode(json.dumps(graph, default=str).encode()))
        if told > _LONGEST_ARGUMENT:
            yield self._finding(
                at,
                f"the graph is {told} bytes in base64, and an argument has {_LONGEST_ARGUMENT}",
                "make it smaller",
            )
        yield from self._check(at, graph, 1)

    def _finding(self, at: Steps, message: str, fix: str) -> Finding:
        return self._deployment.finding("graph-node", at, message, fix)

    def _check(self, at: Steps, node: Any, depth: int) -> Iterator[Finding]:
        """A node and those below it."""
        if not isinstance(node, dict) or not isinstance(node.get("children") or [], list):
            yield self._finding(
                at, f"a node is {node!r:.60}", "write an object with a list of children"
            )
            return
        if depth > _DEEPEST:
            yield self._finding(at, f"nodes are more than {_DEEPEST} deep", "nest fewer")
            return
        name = node.get("name")
        if not name or not isinstance(name, str):
            yield self._finding(at, f"a node's name is {name!r:.60}", "name it")
        else:
            yield from self._check_name(at, node, name)
        yield from self._check_fields(at, node)
        yield from self._check_children(at, node)
        for position, child in enumerate(node.get("children") or ()):
            yield from self._check((*at, "children", position), child, depth + 1)

    def _check_name(self, at: Steps, node: dict[str, Any], name: str) -> Iterator[Finding]:
        if name in self._seen:
            yield self._finding(at, f"two nodes are named '{name}'", "rename one")
        self._seen.add(name)
        implementation = node.get("implementation")
        if not implementation and name not in self._containers:
            yield self._finding(
                at,
                f"node '{name}' has no container of its name",
                did_you_mean(name, sorted(self._containers)),
            )
        if implementation and implementation not in _BUILT_IN and not node.get("modelUri"):
            yield self._finding(
                at, f"node '{name}' is a {implementation} without modelUri", "say what it loads"
            )
        yield from self._check_setting(at, node, name)

    def _check_fields(self, at: Steps, node: dict[str, Any]) -> Iterator[Finding]:
        name = node.get("name")
        kind = node.get("type", "MODEL")
        if kind not in _TYPES:
            yield self._finding(at, f"node '{name}' has type '{kind}'", f"use {', '.join(_TYPES)}")
        methods = node.get("methods") or []
        unknown = [each for each in methods if each not in _METHODS]
        if unknown:
            yield self._finding(
                at, f"node '{name}' has method '{unknown[0]}'", f"use {', '.join(_METHODS)}"
            )
        for each in sorted(set(node) - set(_FIELDS)):
            yield self._finding(
                at, f"node '{name}' has a field '{each}'", did_you_mean(each, sorted(_FIELDS))
            )
        for each in node.get("parameters") or ():
            if not isinstance(each, dict) or {"name", "value", "type"} - each.keys():
                yield self._finding(
                    at, f"a parameter of node '{name}' is {each!r:.60}", "say name, value and type"
                )
            elif each["type"] not in _PARAMETER_TYPES:
                yield self._finding(
                    at,
                    f"a parameter of node '{name}' has type '{each['type']}'",
                    f"use {', '.join(_PARAMETER_TYPES)}",
                )

    def _check_children(self, at: Steps, node: dict[str, Any]) -> Iterator[Finding]:
        name, kind, children = node.get("name"), node.get("type"), node.get("children") or []
        if _routes(node) and not children:
            yield self._finding(
                at, f"node '{name}' routes, and has no children", "give it some, or do not route"
            )
        if _joins(node) and len(children) < 2:
            yield self._finding(
                at,
                f"node '{name}' joins the answers of {len(children)} children",
                "give it two at least, or do not join",
            )
        if kind == "OUTPUT_TRANSFORMER" and not children:
            yield self._finding(
                at,
                f"node '{name}' transforms the output of its children, and has none",
                "give it one, or make it a MODEL",
            )
        picks = _routes(node) or node.get("implementation") in ("RANDOM_ABTEST", "SIMPLE_ROUTER")
        if len(children) > 1 and not _joins(node) and not picks:
            yield self._finding(
                at,
                f"node '{name}' has {len(children)} children and joins none: only the first "
                "child's answer is kept",
                "add the method AGGREGATE, or make it a COMBINER",
            )

    def _check_setting(self, at: Steps, node: dict[str, Any], name: str) -> Iterator[Finding]:
        """Compares a node of ours with the place that its container is told."""
        variable = f"{environment_prefix(name)}NODE"
        env = (self._containers.get(name) or {}).get("env") or ()
        text = next((each.get("value") for each in env if each.get("name") == variable), None)
        if text is None:
            return
        try:
            place = Node.model_validate_json(str(text))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "it"
            yield self._finding(at, f"{variable}: {where}: {problem['msg']}", "render it anew")
            return
        children = node.get("children") or []
        if _routes(node) and len(place.branches) != len(children):
            yield self._finding(
                at,
                f"node '{name}' routes among {len(children)} children, and {variable} has "
                f"{len(place.branches)} branches",
                "give each child its branch",
            )
        if place.branches and not _routes(node):
            yield self._finding(
                at, f"{variable} has branches, and node '{name}' does not route", "add ROUTE"
            )
        if "AGGREGATE" in (node.get("methods") or ()) and place.gives is None:
            yield self._finding(
                at,
                f"node '{name}' joins what it has computed for, and {variable} does not say what "
                "it gives: its model would compute again",
                "say 'gives'",
            )


def _routes(node: Mapping[str, Any]) -> bool:
    return node.get("type") == "ROUTER" or "ROUTE" in (node.get("methods") or ())


def _joins(node: Mapping[str, Any]) -> bool:
    return node.get("type") == "COMBINER" or "AGGREGATE" in (node.get("methods") or ())
