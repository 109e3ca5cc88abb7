"""What is rendered for one pipeline differs from what is for another by names and numbers alone.

That is why tests/drill/ runs one pipeline of each kind on these targets, and not all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infergraph.manifests.deployment import plan_deployment
from infergraph.manifests.documents import Document, read_documents
from infergraph.manifests.options import read_options
from infergraph.manifests.rendering import render
from infergraph.manifests.targets import Target
from tests.drill.kinds import kinds, one_of_each_kind

from . import examples

REPOSITORY = Path(__file__).parents[2]
ALIKE: tuple[Target, ...] = ("kubernetes", "compose")


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def objects(target: Target, pipelines: Sequence[str]) -> dict[str, Any]:
    """All objects of pipelines in one folder, or services of Compose, by kind and name."""
    given = {"storage_uri": examples.STORAGE[target]} if target in examples.STORAGE else {}
    options = read_options(target, given, {})
    rendered = render(plan_deployment(examples.catalog(), pipelines, examples.MODELS, options))
    return {
        name: value
        for file, text in rendered.files.items()
        if file.endswith(".yaml")
        for document in read_documents(file, text)
        for name, value in _named(document)
    }


def _named(document: Document) -> Iterator[tuple[str, Any]]:
    if "services" in document.value:
        yield from document.value["services"].items()
    else:
        yield f"{document.kind} {document.name}", document.value


def shape(value: Any) -> Any:
    """A value whose names are all the same, and of equal entries of lists and mappings one."""
    if isinstance(value, dict):
        return {shape(key): shape(each) for key, each in value.items()}
    if isinstance(value, list):
        shapes = map(shape, value)
        return list({json.dumps(each): each for each in shapes}.values())
    if not isinstance(value, str):
        return value
    if value.startswith("{"):
        return json.dumps(shape(json.loads(value)))
    value = re.sub(r"^\d+(Mi|m)$", "MEMORY", value)
    value = re.sub(r"^127\.0\.0\.1:\d+:", "127.0.0.1:PORT:", value)
    for names in _names():
        value = names.sub("NAME", value)
    return value


@cache
def _names() -> list[re.Pattern[str]]:
    """Finds names of models and pipelines, as they are and in variables."""
    names = sorted(examples.catalog(), key=len, reverse=True)
    variables = "|".join(each.replace("-", "_").upper() for each in names)
    return [
        re.compile(rf"(?<![\w-])({'|'.join(names)})(?![\w-])"),
        re.compile(rf"(?<=INFERGRAPH_)({variables})(?=__)"),
    ]


@pytest.mark.parametrize("target", ALIKE)
def test_all_pipelines_are_rendered_as_those_that_are_drilled(target: Target) -> None:
    drilled = one_of_each_kind()
    shapes = {json.dumps(shape(each)) for each in objects(target, drilled).values()}

    everything = objects(target, examples.pipelines())

    others = {name for name, each in everything.items() if json.dumps(shape(each)) not in shapes}
    assert others == set(), f"not as any object of {', '.join(drilled)}: drill one of them too"
    assert len(drilled) < len(examples.pipelines())
    # Or shapes are kept apart by what should not count.
    assert len(shapes) < len(everything) / 10


def test_those_that_are_drilled_are_of_all_kinds() -> None:
    found = [kinds(each) for each in one_of_each_kind()]

    assert frozenset().union(*found) == frozenset().union(*map(kinds, examples.pipelines()))
    assert {"media", "FP32", "a model of the stock runtime", "joins outer"} <= set().union(*found)


def test_a_shape_keeps_all_but_names_and_numbers() -> None:
    assert shape({"memory": "12Mi", "at": "http://resnet:8080"}) == shape(
        {"memory": "7Mi", "at": "http://echo:8080"}
    )
    assert shape(["resnet", "echo"]) == shape(["echo"])
    assert shape({"at": "http://resnet:8080"}) != shape({"at": "http://resnet:8081"})
    assert shape("INFERGRAPH_RESNET__THRESHOLD") != shape("INFERGRAPH_RESNET__DEVICE")
