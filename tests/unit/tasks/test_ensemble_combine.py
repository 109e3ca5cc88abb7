from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.runtime import Runtime
from infergraph.tasks.ensemble_combine import EnsembleCombine

from .conftest import Ask, Serve

LABELS = ["cat", "dog", "bird"]
A = [[0.6, 0.4, 0.0], [0.2, 0.5, 0.3]]
B = [[0.3, 0.7, 0.0], [0.1, 0.1, 0.8]]
C = [[0.55, 0.45, 0.0], [0.3, 0.4, 0.3]]


def members(count: int = 3, shape: list[int] | None = None) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": name, "datatype": "FP32", "shape": shape or [-1, 3]} for name in "abc"[:count]
        ]
    }


async def load(serve: Serve, *, declared: dict[str, Any] | None = None, **extra: Any) -> Runtime:
    extra = {"labels": LABELS, **extra}
    return await serve("ensemble-combine", declared=declared or members(), **extra)


def rows(*values: Any) -> dict[str, np.ndarray]:
    return {name: np.array(each, np.float32) for name, each in zip("abc", values, strict=False)}


async def test_the_mean(serve: Serve, ask: Ask) -> None:
    runtime = await load(serve)

    answer = await ask(runtime, **rows(A, B, C))

    mean = np.mean([A, B, C], axis=0)
    assert isinstance(runtime, EnsembleCombine)
    assert answer["label"] == ["dog", "bird"]
    assert answer["score"] == pytest.approx(mean.max(axis=1).tolist())
    np.testing.assert_allclose(answer["probabilities"], mean, rtol=1e-6)


async def test_weights(serve: Serve, ask: Ask) -> None:
    weights = {"a": 5, "b": 1, "c": 2}
    runtime = await load(serve, method="weighted", weights=json.dumps(weights))

    answer = await ask(runtime, **rows(A, B, C))

    expected = np.average([A, B, C], axis=0, weights=[5, 1, 2])
    assert answer["label"] == ["cat", "dog"]
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-6)


async def test_a_vote(serve: Serve, ask: Ask) -> None:
    runtime = await load(serve, method="vote")

    answer = await ask(runtime, **rows(A, B, C))

    # Two of three say cat, though dog has the higher mean.
    assert answer["label"] == ["cat", "dog"]
    assert answer["score"] == pytest.approx([2 / 3, 2 / 3])
    np.testing.assert_allclose(answer["probabilities"], [[2 / 3, 1 / 3, 0], [0, 2 / 3, 1 / 3]])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_equally_many_votes_the_higher_mean_wins(
    order: tuple[int, int], serve: Serve, ask: Ask
) -> None:
    runtime = await load(serve, method="vote", declared=members(2))
    values = [[[0.6, 0.4, 0.0]], [[0.1, 0.0, 0.9]]]

    answer = await ask(runtime, **rows(*(values[index] for index in order)))

    assert answer["label"] == ["bird"]
    assert answer["score"] == [0.5]


async def test_only_declared_outputs_are_given(serve: Serve, ask: Ask) -> None:
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "score", "datatype": "FP32", "shape": [-1, 1]},
    ]
    runtime = await load(serve, declared={**members(), "outputs": outputs}, optional_outputs=[])

    assert (await ask(runtime, **rows(A, B, C))).keys() == {"label", "score"}


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([np.nan, 0.5, 0.5], "tensor 'b': nan in column 0 ('cat'); accepted: 3 probabilities"),
        ([0.5, -0.1, 0.6], "tensor 'b': -0.1"),
        ([0.5, 0.1, 4.5], "tensor 'b': 4.5 in column 2 ('bird')"),
        ([np.inf, 0, 0], "tensor 'b': inf in column 0"),
    ],
)
async def test_what_is_no_probability_is_refused(
    bad: list[float], text: str, serve: Serve, ask: Ask
) -> None:
    runtime = await load(serve)

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, **rows(A, [B[0], bad], C))

    assert text in str(caught.value)
    assert "item 1" in str(caught.value)


async def test_columns_that_do_not_match_the_labels_are_refused(serve: Serve, ask: Ask) -> None:
    runtime = await load(serve, declared=members(shape=[-1, -1]))

    with pytest.raises(InvalidInput, match="tensor 'c': 2 columns; accepted: 3 probabilities"):
        await ask(runtime, **rows(A[:1], B[:1], [[0.5, 0.5]]))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"declared": members(1)}, "declared inputs: a; accepted: at least two"),
        ({"labels": ["cat", "dog"]}, "declared input a FP32 [-1, 3]; accepted: FP32 [-1, 2]"),
        ({"labels": []}, "setting 'labels'"),
        ({"optional_inputs": ["a"]}, "declared input a FP32 [-1, 3] (optional)"),
        ({"method": "median"}, "'mean', 'vote' or 'weighted'"),
        ({"method": "weighted"}, "setting 'weights' = {}; accepted: a number above 0 for each of"),
        ({"method": "weighted", "weights": {"a": 1, "b": 1}}, "for each of a, b, c"),
        ({"method": "weighted", "weights": {"a": 1, "b": 1, "c": 0}}, "a number above 0"),
        ({"method": "weighted", "weights": {"a": 1, "b": 1, "c": "inf"}}, "a number above 0"),
        ({"method": "vote", "weights": {"a": 1}}, "goes with the method 'weighted', not with"),
        (
            {
                "declared": {
                    **members(),
                    "outputs": [{"name": "votes", "datatype": "FP32", "shape": [-1, 3]}],
                },
                "optional_outputs": [],
            },
            "declared output 'votes' is none of the model's; its outputs: label, score, prob",
        ),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    settings: dict[str, Any], text: str, serve: Serve
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(serve, **settings)

    assert text in str(caught.value)
