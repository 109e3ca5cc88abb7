"""`Resource`: a Kubernetes object as plain values, and how it is written as YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Resource = dict[str, Any]

PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"


def resource(
    api_version: str,
    kind: str,
    name: str,
    namespace: str,
    spec: Mapping[str, Any],
    component: str | None = None,
) -> Resource:
    """An object with our labels; without a namespace it goes to that of who applies it."""
    labels = {NAME: name, PART_OF: "infergraph"}
    if component is not None:
        labels[COMPONENT] = component
    metadata: Resource = {"name": name, "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def selector(name: str) -> dict[str, str]:
    """The labels that find the pods of a workload; they never change."""
    return {NAME: name, PART_OF: "infergraph"}


def dump(objects: Iterable[Mapping[str, Any]]) -> str:
    """Objects as YAML documents, their keys in the order of writing."""
    return "---\n".join(
        yaml.dump(dict(each), Dumper=_Dumper, sort_keys=False, width=2**20, allow_unicode=True)
        for each in objects
    )


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes lists as the pipelines' files do, and the same object twice rather than as a link."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
