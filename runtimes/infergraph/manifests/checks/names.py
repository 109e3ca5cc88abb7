"""Names: what Kubernetes and Seldon make of them has to be a name, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...graph import Finding
from ..documents import Document
from .inventory import Inventory

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?")
_LONGEST_LABEL = 63
_LONGEST: Mapping[str, int] = {
    # Behind each there is room for what is appended to it.
    "Deployment": 46,
    "StatefulSet": 52,
    "Server": 52,
    "CronJob": 52,
    "ScaledObject": _LONGEST_LABEL - len("keda-hpa-"),
    **dict.fromkeys(
        ("Service", "Model", "Pipeline", "Experiment", "SeldonDeployment"), _LONGEST_LABEL
    ),
}
_WITHOUT_DOTS = frozenset({*_LONGEST, "Namespace"}) - {"ScaledObject"}


def is_name(name: str) -> bool:
    """Whether an object that is not in the folder may have a name."""
    return bool(_SUBDOMAIN.fullmatch(name)) and len(name) <= 253


def check_names(inventory: Inventory) -> Iterator[Finding]:
    """Names and labels that are not accepted, and objects that are there twice."""
    seen: dict[tuple[str, str, str, str], Document] = {}
    for document in inventory.objects:
        yield from _check_name(document)
        yield from _check_labels(document)
        key = (document.group, document.kind, document.namespace, document.name)
        first = seen.setdefault(key, document)
        if first is not document:
            yield document.finding(
                "repeated-object",
                ("metadata", "name"),
                f"it is in {first.file} too",
                "keep one of the two, or give them different names",
            )


def _check_name(document: Document) -> Iterator[Finding]:
    name, kind = document.name, document.kind
    if not name:
        yield document.finding("missing-name", ("metadata",), "it has no name", "give it one")
        return
    pattern, accepted = _SUBDOMAIN, "small letters, digits, - and ."
    if kind == "Service":
        pattern, accepted = _SERVICE, "small letters, digits and -, a letter first"
    elif kind in _WITHOUT_DOTS:
        pattern, accepted = _LABEL, "small letters, digits and -"
    if not pattern.fullmatch(name):
        yield document.finding(
            "bad-name", ("metadata", "name"), "its name is not safe for DNS", f"use {accepted}"
        )
    longest = _LONGEST.get(kind, 253)
    if len(name) > longest:
        yield document.finding(
            "long-name",
            ("metadata", "name"),
            f"its name has {len(name)} characters",
            f"use at most {longest}",
        )
    if document.namespace and not (
        _LABEL.fullmatch(document.namespace) and len(document.namespace) <= _LONGEST_LABEL
    ):
        yield document.finding(
            "bad-namespace",
            ("metadata", "namespace"),
            f"'{document.namespace}' is no namespace",
            "use small letters, digits and -, at most 63 of them",
        )


def _check_labels(document: Document) -> Iterator[Finding]:
    for path, labels in _labels(document.value, ()):
        for key, value in labels.items():
            text = str(value)
            if not isinstance(value, str):
                problem = f"label '{key}' is {value!r}, which is no string"
            elif len(text) > _LONGEST_LABEL or not _LABEL_VALUE.fullmatch(text):
                problem = f"label '{key}' is '{text}'"
            else:
                continue
            yield document.finding(
                "bad-label",
                (*path, key),
                problem,
                "use at most 63 letters, digits, '-', '_' and '.'",
            )


def _labels(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """All labels of an object and of the templates in it."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("labels", "matchLabels") and isinstance(child, dict):
                yield (*path, key), child
            else:
                yield from _labels(child, (*path, key))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _labels(child, (*path, position))
