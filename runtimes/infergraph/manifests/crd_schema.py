"""`closed_schema`: the strict JSON Schema of a kind, out of its CustomResourceDefinition.

A cluster drops the fields that a definition does not know, and says nothing; here they are errors.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_ANNOTATIONS = frozenset({"description", "default", "example", "externalDocs", "title"})
_EXTENSION = "x-kubernetes-"
_SHORT = 60
"""Schemas of fewer characters are not worth a definition of their own."""


def schemas_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kinds of a CustomResourceDefinition as `group/version/Kind`, each with its schema."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = version.get("schema", {}).get("openAPIV3Schema", {})
        key = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
        yield key, closed_schema(schema)


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without texts, closed against unknown fields, equal parts written once."""
    closed = _closed(schema)
    closed.setdefault("properties", {})
    # Kubernetes' own; a definition says nothing of what is in it.
    closed["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "status": {},
    }
    closed["additionalProperties"] = False
    return _shared(closed)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema.get(f"{_EXTENSION}int-or-string"):
        return {"type": ["integer", "string"]}
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _ANNOTATIONS or key.startswith(_EXTENSION) or key == "nullable":
            continue
        if key == "properties":
            closed[key] = {name: _closed(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, Mapping):
            closed[key] = _closed(value)
        elif key in ("anyOf", "oneOf", "allOf"):
            closed[key] = [_partial(each) for each in value]
        else:
            closed[key] = value
    if schema.get("nullable") and "type" in closed:
        closed["type"] = [closed["type"], "null"]
    is_open = schema.get(f"{_EXTENSION}preserve-unknown-fields") or "properties" not in closed
    if not is_open:
        closed.setdefault("additionalProperties", False)
    return closed


def _partial(schema: Mapping[str, Any]) -> dict[str, Any]:
    """One of several conditions on an object; the fields that it does not speak of are allowed."""
    closed = _closed(schema)
    closed.pop("additionalProperties", None)
    return closed


def _shared(schema: dict[str, Any]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    _count(schema, counts)
    names: dict[str, str] = {}
    definitions: dict[str, Any] = {}

    def share(value: Any) -> Any:
        if isinstance(value, list):
            return [share(each) for each in value]
        if not isinstance(value, dict):
            return value
        text = json.dumps(value, sort_keys=True)
        if counts[text] < 2 or len(text) < _SHORT:
            return {key: share(each) for key, each in value.items()}
        if text not in names:
            names[text] = str(len(names))
            definitions[names[text]] = {key: share(each) for key, each in value.items()}
        return {"$ref": f"#/definitions/{names[text]}"}

    shared: dict[str, Any] = share(schema)
    if definitions:
        shared["definitions"] = definitions
    return shared


def _count(value: Any, counts: Counter[str]) -> None:
    if isinstance(value, dict):
        if "type" in value:
            text = json.dumps(value, sort_keys=True)
            counts[text] += 1
            if counts[text] > 1:
                return
        for each in value.values():
            _count(each, counts)
    elif isinstance(value, list):
        for each in value:
            _count(each, counts)
