"""`Inventory`: the objects that are applied together, and the pods that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..documents import Document, Steps

WORKLOADS: Mapping[str, Steps] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where kinds hold the template of their pods."""


@dataclass(frozen=True)
class Pod:
    """A pod that an object makes.

    Attributes:
        document: The object.
        path: Where its spec stands.
        labels: Its labels, as far as the object says them.
        spec: Its spec.
        merged: Whether the spec is merged into one that is not here, as a Seldon Server's is.
    """

    document: Document
    path: Steps
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    merged: bool = False

    def containers(self) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """Its containers, each with where it stands."""
        for key in ("initContainers", "containers"):
            for position, container in enumerate(self.spec.get(key) or ()):
                if isinstance(container, dict):
                    yield (*self.path, key, position), container


class Inventory:
    """All documents of a check."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = [replace(each, value=_without_nulls(each.value)) for each in documents]
        self.objects = [each for each in self.documents if not each.is_compose]
        self.pods = [pod for each in self.objects for pod in _pods(each)]

    def of(self, *kinds: str) -> list[Document]:
        """The objects of some kinds."""
        return [each for each in self.objects if each.kind in kinds]

    def named(self, kind: str, name: str) -> Document | None:
        return next((each for each in self.of(kind) if each.name == name), None)

    def matching(self, labels: Mapping[str, Any]) -> list[Pod]:
        """The pods that have all of some labels."""
        return [pod for pod in self.pods if labels.items() <= pod.labels.items()]

    def selected(self, selector: Mapping[str, Any]) -> list[Pod]:
        """The pods that a label selector finds; of its expressions, In and Exists are looked at."""
        found = self.matching(selector.get("matchLabels") or {})
        for each in selector.get("matchExpressions") or ():
            key, operator = each.get("key"), each.get("operator")
            if operator == "In":
                found = [pod for pod in found if pod.labels.get(key) in each.get("values", ())]
            elif operator == "Exists":
                found = [pod for pod in found if key in pod.labels]
        return found


def _without_nulls(value: Any) -> Any:
    """A value without the fields that are null, which count as absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _pods(document: Document) -> Iterator[Pod]:
    if document.kind in WORKLOADS:
        path = WORKLOADS[document.kind]
        template: Any = document.value
        for key in path:
            template = (template.get(key) if isinstance(template, dict) else None) or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        yield Pod(document, (*path, "spec"), labels, template.get("spec") or {})
    elif document.kind == "Pod":
        labels = document.metadata.get("labels") or {}
        yield Pod(document, ("spec",), labels, document.spec)
    elif document.kind == "Server":
        spec = document.spec.get("podSpec") or {}
        yield Pod(document, ("spec", "podSpec"), {}, spec, merged=True)
    elif document.kind == "SeldonDeployment":
        for i, predictor in enumerate(document.spec.get("predictors") or ()):
            for k, component in enumerate(predictor.get("componentSpecs") or ()):
                path = ("spec", "predictors", i, "componentSpecs", k, "spec")
                labels = (component.get("metadata") or {}).get("labels") or {}
                yield Pod(document, path, labels, component.get("spec") or {}, merged=True)
