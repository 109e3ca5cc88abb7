"""Request parameters: parsed, refused, and kept apart in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from mlserver import ModelSettings
from mlserver.errors import MLServerError
from pydantic import Field

from infergraph.errors import InvalidInput
from infergraph.runtime import Item, Outputs, RequestParameters, Runtime
from infergraph.runtime.parameters import parse_parameters
from tests.unit.runtime.workbench import HeldDoubler, build, load, rest, settle, values


class FactorParameters(RequestParameters):
    factor: float | None = Field(default=None, ge=0)
    mode: str = "plain"


class Multiplier(HeldDoubler):
    """Multiplies by the request's factor, at most 10, which is 2 unless given."""

    parameters_class = FactorParameters

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.seen: list[tuple[list[int], Any]] = []

    def accept(self, parameters: FactorParameters) -> FactorParameters:
        factor = 2.0 if parameters.factor is None else parameters.factor
        if factor > 10:
            raise InvalidInput(f"parameter 'factor' = {factor:g}; accepted: at most 10")
        return parameters.model_copy(update={"factor": factor})

    def predict_batch(self, items: Sequence[Item], parameters: FactorParameters) -> list[Outputs]:  # type: ignore[override]
        self.entered.set()
        assert self.released.wait(timeout=60)
        numbers = [int(item["x"][0]) for item in items]
        assert parameters.factor is not None
        self.seen.append((numbers, parameters.factor))
        return [{"y": int(number * parameters.factor)} for number in numbers]


async def test_only_requests_of_equal_parameters_run_together() -> None:
    model = await load(Multiplier)
    first = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    factors: list[dict[str, Any]] = [{}, {"factor": 3}, {"factor": "2.0"}, {"factor": 3.0}]
    requests = [
        asyncio.ensure_future(model.predict(rest([n], **given)))
        for n, given in enumerate(factors, start=1)
    ]
    await settle()
    model.released.set()
    await first

    assert [values(await each) for each in requests] == [
        {"y": [2]},
        {"y": [6]},
        {"y": [6]},
        {"y": [12]},
    ]
    # A value that is given and equals the default is the default.
    assert model.seen == [([0], 2.0), ([1, 3], 2.0), ([2, 4], 3.0)]


async def test_a_model_without_parameters_ignores_them_and_lets_all_run_together() -> None:
    model = await load(HeldDoubler)
    first = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    requests = [
        asyncio.ensure_future(model.predict(rest([n], language="en" if n % 2 else "fr")))
        for n in range(1, 5)
    ]
    await settle()
    model.released.set()
    await asyncio.gather(first, *requests)

    assert model.batches == [[0], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"factr": 3},
            "unknown parameter 'factr'; did you mean 'factor'? accepted: factor, mode",
        ),
        ({"zebra": 1}, "unknown parameter 'zebra'; accepted: factor, mode"),
        (
            {"factor": -1},
            "parameter 'factor' = -1: input should be greater than or equal to 0",
        ),
        (
            {"factor": "many"},
            "parameter 'factor' = 'many': input should be a valid number, unable to parse string "
            "as a number",
        ),
        ({"factor": 11}, "parameter 'factor' = 11; accepted: at most 10"),
        (
            {"factor": -1, "zebra": 1},
            "parameter 'factor' = -1: input should be greater than or equal to 0; "
            "unknown parameter 'zebra'; accepted: factor, mode",
        ),
    ],
)
async def test_wrong_parameters_are_refused_by_name(given: dict[str, Any], text: str) -> None:
    model = await load(Multiplier)
    with pytest.raises(MLServerError) as caught:
        await model.predict(rest([1], **given))
    assert (caught.value.status_code, str(caught.value)) == (400, f"model 'model': {text}")
    # Nothing of it was queued.
    assert model.seen == []


def test_parameters_of_the_protocol_are_no_tasks_concern() -> None:
    given = {"binary_data_output": True, "sequence_id": 7, "priority": 1, "mode": "fast"}
    assert parse_parameters(FactorParameters, given) == FactorParameters(mode="fast")


async def test_an_inline_model_gets_its_parameters_too() -> None:
    class Inline(Runtime):
        parameters_class = FactorParameters
        blocking = False  # type: ignore[assignment]

        def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
            return [{"y": int(item["x"][0] * parameters.factor)} for item in items]

    model = build(Inline)
    await model.load()
    assert values(await model.predict(rest([3, 4], factor=5))) == {"y": [15, 20]}
