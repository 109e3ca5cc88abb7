"""Whatever a file holds, the checks find something or nothing, and never fail themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infergraph.errors import ConfigurationError
from infergraph.manifests.documents import read_documents
from infergraph.manifests.targets import Target
from tests.unit.manifests.rendered import faults, objects

REPOSITORY = Path(__file__).parents[4]
CASES: list[tuple[str, Target, str | None, str]] = [
    ("preprocess", "seldon-v1", "keda", "objects.yaml"),
    ("audio-qa", "seldon-v2", "hpa", "objects.yaml"),
    ("audio-sent", "kubernetes", "keda", "objects.yaml"),
    ("audio-sent", "compose", None, "compose.yaml"),
]
WRONG: tuple[Any, ...] = (None, 3, "x", [], {}, ["x"], [None], {"x": None})


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of everything in a value."""
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else ()
    for key, child in enumerate(value) if isinstance(value, list) else children:
        yield from paths(child, (*path, key))


def put(value: Any, path: tuple[Any, ...], other: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = other


@pytest.mark.parametrize("text", ["x", "1.5.", "", None])
def test_a_grace_that_is_no_number_is_the_usual_one(text: str | None) -> None:
    (file,) = objects("audio-sent", "compose")
    file["services"]["sentiment"]["environment"]["INFERGRAPH_GRACE_SECONDS"] = text
    file["services"]["sentiment"]["stop_grace_period"] = "25s"

    assert {finding.rule for finding in faults([file], "compose.yaml")} == {"short-grace"}


_OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: "


@pytest.mark.parametrize(
    "data",
    [
        "&a {x: *a}",
        "&a [[*a]]",
        "".join(f"\n  l{i}: &l{i} [{f'*l{i - 1}, ' * 9}]" for i in range(12)).replace("*l-1", "x"),
    ],
    ids=["a mapping in itself", "a list in itself", "more than a billion"],
)
def test_aliases_without_end_are_one_line(data: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.yaml:1: its aliases stand for") as refused:
        read_documents("a.yaml", f"{_OBJECT}{data}\n")
    assert "\n" not in str(refused.value)


def test_aliases_are_read_as_what_they_stand_for() -> None:
    (document,) = read_documents("a.yaml", f"{_OBJECT}{{a: &a {{b: c}}, d: *a, e: [*a, *a]}}\n")
    assert document.value["data"]["e"] == [{"b": "c"}, {"b": "c"}]


def test_only_kinds_are_suggested() -> None:
    (finding,) = faults([{"apiVersion": "v1", "kind": "Servise", "metadata": {"name": "a"}}])
    assert "README" not in finding.fix
    (finding,) = faults([{"apiVersion": "v1", "kind": "REDME", "metadata": {"name": "a"}}])
    assert "README" not in finding.fix


@pytest.mark.parametrize(("pipeline", "target", "scaler", "file"), CASES)
def test_no_wrong_value_breaks_the_checks(
    pipeline: str, target: Target, scaler: str | None, file: str
) -> None:
    whole = objects(pipeline, target, scaler)
    places = [path for path in paths(whole) if len(path) > 1]
    found = 0
    # Some sixty places, each with another value than the one before.
    for number, path in enumerate(places[:: max(1, len(places) // 60)]):
        changed = copy.deepcopy(whole)
        put(changed, path, WRONG[number % len(WRONG)])
        found += bool(faults(changed, file))

    assert found > 20
