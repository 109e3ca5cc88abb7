from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mlserver.errors import MLServerError

from infergraph.runtime import Item, Outputs, Runtime
from tests.unit.runtime.workbench import build, load, rest, values

ROUTED = {
    "text": ("BYTES", [-1, 1]),
    "accepted": ("FP32", [-1, 1]),
    "escalate": ("FP32", [-1, 1]),
}


class Router(Runtime):
    """Accepts even numbers and escalates odd ones."""

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return [
            {"text": str(value), "escalate" if value % 2 else "accepted": value / 2}
            for item in items
            for value in [int(item["x"][0])]
        ]


async def routed(numbers: list[int], outputs: Sequence[str] = ()) -> dict[str, list[Any]]:
    model = await load(Router, outputs=ROUTED, optional_outputs=["accepted", "escalate"])
    return values(await model.predict(rest(numbers, outputs=outputs)))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([2], {"text": ["2"], "accepted": [1.0]}),
        ([3], {"text": ["3"], "escalate": [1.5]}),
        ([2, 4], {"text": ["2", "4"], "accepted": [1.0, 2.0]}),
        (
            [2, 3, 5, 6],
            {
                "text": ["2", "3", "5", "6"],
                "accepted": [1.0, 3.0],
                "accepted_item": [0, 3],
                "escalate": [1.5, 2.5],
                "escalate_item": [1, 2],
            },
        ),
    ],
)
async def test_conditional_outputs(numbers: list[int], expected: dict[str, list[Any]]) -> None:
    assert await routed(numbers) == expected


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (["text"], {"text": ["2", "3"]}),
        (["escalate_item", "escalate"], {"escalate": [1.5], "escalate_item": [1]}),
    ],
)
async def test_requested_outputs(requested: list[str], expected: dict[str, list[Any]]) -> None:
    assert await routed([2, 3], requested) == expected


class Fixed(Runtime):
    """Gives one set of outputs for each item, whatever the item."""

    given: list[Outputs]

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return self.given[: len(items)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            [{"y": 1, "extra": 2}],
            "the model gave outputs ['extra', 'y']; declared: ['maybe', 'y'], "
            "of them optional: ['maybe']",
        ),
        (
            [{"maybe": "a"}],
            "the model gave outputs ['maybe']; declared: ['maybe', 'y'], "
            "of them optional: ['maybe']",
        ),
        (
            [{"y": 1.5}],
            "the model gave output 'y' as FP64 [1, 1]; declared: INT64 [-1, 1]",
        ),
        (
            [{"y": "a"}],
            "the model gave output 'y' as BYTES [1, 1]; declared: INT64 [-1, 1]",
        ),
        (
            [{"y": np.zeros(3, np.int64)}],
            "the model gave output 'y' as INT64 [1, 3]; declared: INT64 [-1, 1]",
        ),
    ],
)
async def test_outputs_that_are_not_as_declared(given: list[Outputs], text: str) -> None:
    outputs = {"y": ("INT64", [-1, 1]), "maybe": ("BYTES", [-1, 1])}
    model = build(Fixed, outputs=outputs, optional_outputs=["maybe"])
    await model.load()
    model.given = given

    with pytest.raises(MLServerError) as caught:
        await model.predict(rest([0] * len(given)))

    assert caught.value.status_code == 500
    assert str(caught.value) == f"model 'model': {text}"


async def test_a_model_that_does_not_implement_predict_batch() -> None:
    model = await load(Runtime)

    with pytest.raises(MLServerError, match="it failed with NotImplementedError"):
        await model.predict(rest([1]))
