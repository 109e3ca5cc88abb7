"""A definition's schema, closed: what a cluster would drop in silence is an error."""

from __future__ import annotations

from typing import Any

import pytest

from infergraph.manifests.checks import check
from infergraph.manifests.crd_schema import closed_schema
from tests.unit.manifests.rendered import read

SIZE = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
SPEC = {
    "type": "object",
    "description": "What it is.",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "default": "a"},
        "size": SIZE,
        "description": {"type": "string"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "maybe": {"type": "string", "nullable": True},
        "one": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}},
            }
        ],
    },
}


def messages(spec: dict[str, Any]) -> list[str]:
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
    found = check(read([DEFINITION, {**thing, "spec": spec}]), (2, 6, 0))
    return [finding.message for finding in found]


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "a", "size": 3, "maybe": None},
        {"name": "a", "size": "3Gi", "free": {"x": {"y": 1}}, "map": {"k": "v"}},
        {"name": "a", "description": "a field of that name", "one": {"a": "x"}},
    ],
)
def test_what_a_definition_of_the_folder_knows_is_accepted(spec: dict[str, Any]) -> None:
    assert messages(spec) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({}, "'name' is a required property"),
        ({"name": "a", "nmae": "b"}, "'nmae' was unexpected"),
        ({"name": 1}, "1 is not of type 'string'"),
        ({"name": "a", "map": {"k": 1}}, "1 is not of type 'string'"),
        ({"name": "a", "one": {"a": "x", "c": "y"}}, "'c' was unexpected"),
        ({"name": "a", "one": {}}, "is not valid under any of the given schemas"),
    ],
)
def test_what_it_does_not_know_is_an_error(spec: dict[str, Any], problem: str) -> None:
    (message,) = messages(spec)

    assert problem in message


def test_equal_parts_are_written_once() -> None:
    part = {"type": "object", "properties": {f"field{i}": {"type": "string"} for i in range(9)}}
    schema = {"type": "object", "properties": {"a": part, "b": part}}

    closed = closed_schema(schema)

    assert closed["properties"]["a"] == closed["properties"]["b"] == {"$ref": "#/definitions/0"}
    assert len(closed["definitions"]) == 1
