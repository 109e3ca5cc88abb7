"""Manifests of the repository's pipelines, to be taken apart by tests."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import yaml

from infergraph.graph import Finding
from infergraph.manifests.checks import check
from infergraph.manifests.documents import Document, read_documents
from infergraph.manifests.rendering import render
from infergraph.manifests.resource import dump
from infergraph.manifests.targets import Target
from tests.manifests import examples

Objects = list[dict[str, Any]]
VERSION = (2, 10, 0)


def load(text: str) -> Objects:
    """The documents of a stream of YAML."""
    return list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@functools.cache
def _rendered(pipeline: str, target: Target, scaler: str | None) -> tuple[tuple[str, Any], ...]:
    planned = examples.planned(pipeline, target, autoscale=scaler, seldon_version="2.10.0")
    return tuple(
        (name, value)
        for name, text in render(planned).files.items()
        if name.endswith(".yaml")
        for value in load(text)
    )


def objects(pipeline: str, target: Target, scaler: str | None = None) -> Objects:
    """A pipeline's objects, which may be changed."""
    return [copy.deepcopy(value) for _, value in _rendered(pipeline, target, scaler)]


def of(objects: Objects, kind: str, name: str | None = None) -> dict[str, Any]:
    """The first object of a kind, of that name if one is given."""
    return next(
        each
        for each in objects
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    )


def read(objects: Objects, file: str = "objects.yaml") -> list[Document]:
    return read_documents(file, dump(objects))


def faults(objects: Objects, file: str = "objects.yaml") -> list[Finding]:
    """All that the checks find."""
    return check(read(objects, file), VERSION)


Change = Callable[[Objects], object]


def assert_found(found: Objects, change: Change, rule: str, file: str = "objects.yaml") -> None:
    """Asserts that sound objects have no faults, and after a change one that a rule finds."""
    assert faults(found, file) == []
    change(found)
    findings = faults(found, file)
    assert rule in {finding.rule for finding in findings}
    for finding in findings:
        assert str(finding).startswith(f"{file}:")
        assert finding.fix
