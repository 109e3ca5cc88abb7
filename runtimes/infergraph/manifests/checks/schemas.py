"""Strict schemas of every kind: unknown fields, wrong types, and kinds that nobody knows."""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from ...errors import ConfigurationError
from ...graph import Finding
from ...graph.finding import did_you_mean
from ..crd_schema import schemas_of
from ..documents import Document, Steps
from ..resource import dump

KUBERNETES = "1.34"
"""The version whose schemas the built-in kinds are checked by."""
NEWER: Mapping[tuple[str, str], tuple[tuple[int, ...], Mapping[str, Any]]] = {
    ("Pipeline", "allowCycles"): ((2, 7), {"type": "boolean"}),
    ("Pipeline", "maxStepRevisits"): ((2, 7), {"type": "integer"}),
    ("Pipeline", "dataflow"): ((2, 9, 1), {"type": "object"}),
    ("Model", "dataflow"): ((2, 9, 1), {"type": "object"}),
    ("Model", "llm"): ((2, 9), {"type": "object"}),
    ("Server", "statefulSetPersistentVolumeClaimRetentionPolicy"): ((2, 8), {"type": "object"}),
    ("Server", "deploymentStrategy"): ((2, 10), {"type": "object"}),
}
"""Fields of specs that came after Seldon Core 2.6.0, whose schemas are here, and since when."""
_MOST = 5
_CRD = "CustomResourceDefinition"


def check_schemas(documents: Sequence[Document], version: tuple[int, ...]) -> Iterator[Finding]:
    """What the schemas say of documents; kinds that the folder itself defines are known too.

    Args:
        version: The version of Seldon Core 2.

    Raises:
        ConfigurationError: the packages with the schemas are not installed.
    """
    own: dict[str, dict[str, Any]] = {}
    for document in documents:
        if document.kind == _CRD:
            own |= dict(schemas_of(document.value))
    for document in documents:
        yield from _nulls(document, document.value, ())
        if document.is_compose:
            yield from _check_compose(document)
            continue
        if not document.kind or not document.api_version:
            yield document.finding(
                "no-kind", (), "it has no apiVersion and kind", "write them, or move the file away"
            )
            continue
        key = f"{document.api_version}/{document.kind}"
        validator = _validator_of(own[key], version) if key in own else _validator(key, version)
        if validator is None:
            yield document.finding(
                "unknown-kind",
                ("kind",),
                f"there is no kind {document.kind} in {document.api_version}",
                did_you_mean(document.kind, _known()),
            )
            continue
        yield from _errors(document, validator)


def _nulls(document: Document, value: Any, path: Steps) -> Iterator[Finding]:
    """Items of lists that are null, which schemas of Kubernetes let pass."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _nulls(document, each, (*path, key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            if each is None:
                yield document.finding("schema", (*path, position), "an item is null", "remove it")
            yield from _nulls(document, each, (*path, position))


def _errors(document: Document, validator: Any) -> Iterator[Finding]:
    found = sorted(validator.iter_errors(document.value), key=lambda each: list(each.absolute_path))
    for error in found[:_MOST]:
        path = tuple(error.absolute_path)
        where = ".".join(map(str, path)) or "it"
        message = re.sub(r"\s+", " ", error.message)
        if len(message) > 200:
            message = f"{message[:120]} ... {message[-60:]}"
        yield document.finding(
            "schema", path, f"{where}: {message}", "write what the kind's schema accepts"
        )


@functools.cache
def _validator(key: str, version: tuple[int, ...]) -> Any:
    """What checks a kind, `apiVersion/Kind`; None where it is not known."""
    file = _SCHEMAS.joinpath(f"{key.replace('/', '_')}.json")
    if file.is_file():
        schema = json.loads(file.read_text(encoding="utf-8"))
        kind = key.rpartition("/")[2]
        for (of, name), (since, field) in NEWER.items():
            if of == kind and version >= since and key.startswith("mlops.seldon.io/"):
                schema["properties"]["spec"]["properties"].setdefault(name, field)
        return _validator_of(schema, version)
    return _built_in(key)


def _validator_of(schema: dict[str, Any], version: tuple[int, ...]) -> Any:
    return _package("jsonschema").Draft7Validator(schema)


_SCHEMAS = resources.files(__package__.rpartition(".")[0]).joinpath("schemas")


@functools.cache
def _built_in(key: str) -> Any:
    api_version, _, kind = key.rpartition("/")
    group, _, version = api_version.rpartition("/")
    stem = "-".join(filter(None, (kind.lower(), group.partition(".")[0], version)))
    file = _built_in_schemas().joinpath(f"{stem}.json")
    if not file.is_file():
        return None
    schema = json.loads(file.read_text(encoding="utf-8"))
    return _package("jsonschema").Draft202012Validator(schema, registry=_definitions())


@functools.cache
def _definitions() -> Any:
    referencing = _package("referencing")
    text = _built_in_schemas().joinpath("_definitions.json").read_text(encoding="utf-8")
    contents = referencing.Resource.from_contents(json.loads(text))
    return contents @ referencing.Registry()


def _built_in_schemas() -> Any:
    package = resources.files(_package("kubernetes_validate").__name__)
    return package / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"


def _known() -> list[str]:
    names = (each.name for each in _SCHEMAS.iterdir() if each.name.endswith(".json"))
    return sorted(name.removesuffix(".json").rpartition("_")[2] for name in names)


def _check_compose(document: Document) -> Iterator[Finding]:
    try:
        _package("compose_spec").PyCompose.from_yaml(dump([document.value]))
    except ValueError as error:
        message = re.sub(r" at line \d+ column \d+$", "", str(error))
        yield document.finding("schema", (), message, "write what the Compose schema accepts")


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(
            f"--check needs the package '{name.replace('_', '-')}'; "
            "run: pip install 'infergraph[cluster]'"
        ) from None
