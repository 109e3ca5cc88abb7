from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from mlserver import ModelSettings
from mlserver.settings import ModelParameters
from mlserver.types import MetadataTensor

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.json_fields import JsonFields

from .conftest import Ask

ANSWER = {"answer": "BYTES", "score": "FP32"}


async def load(
    outputs: Mapping[str, str], shape: tuple[int, ...] = (-1, 1), **extra: Any
) -> JsonFields:
    model = JsonFields(
        ModelSettings(
            name="fields",
            implementation=JsonFields,
            inputs=[MetadataTensor(name="json", datatype="BYTES", shape=[-1, 1])],
            outputs=[
                MetadataTensor(name=name, datatype=datatype, shape=list(shape))
                for name, datatype in outputs.items()
            ],
            parameters=ModelParameters(extra={"device": "cpu", **extra}),
        )
    )
    await model.load()
    return model


async def test_the_answers_of_the_stock_runtime(ask: Ask) -> None:
    spans = [
        {"score": 0.75, "start": 3, "end": 7, "answer": "goat"},
        {"score": 1, "start": 0, "end": 8, "answer": "Zürich ✓"},
    ]

    answer = await ask(await load(ANSWER), json=[json.dumps(each) for each in spans])

    assert answer == {"answer": ["goat", "Zürich ✓"], "score": [0.75, 1.0]}


async def test_every_datatype(ask: Ask) -> None:
    declared = {
        "text": "BYTES", "half": "FP32", "third": "FP64", "small": "INT32", "big": "INT64",
        "flag": "BOOL",
    }  # fmt: skip
    values = {
        "text": "", "half": 0.5, "third": 1 / 3, "small": -(2**31), "big": 2**63 - 1, "flag": False
    }  # fmt: skip

    answer = await ask(await load(declared), json=[json.dumps(values)])

    assert answer == {name: [value] for name, value in values.items()}


async def test_outputs_of_another_name(ask: Ask) -> None:
    model = await load({"text": "BYTES"}, fields={"text": "translation_text"})

    answer = await ask(model, json=['{"translation_text": "guten Tag", "text": "unused"}'])

    assert answer == {"text": ["guten Tag"]}


async def test_an_optional_output_is_left_out_where_its_field_is_absent_or_null(ask: Ask) -> None:
    model = await load(ANSWER, optional_outputs=["answer"])

    answer = await ask(
        model,
        json=['{"score": 0}', '{"score": 0, "answer": null}', '{"score": 1, "answer": "yes"}'],
    )

    assert answer == {"answer": ["yes"], "answer_item": [2], "score": [0.0, 0.0, 1.0]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ('{"answer": "x", "score": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'{"answer": "\xff"}', "not JSON"),
        ('["x"]', "a list; accepted: a JSON object"),
        ('{"answer": "x"}', "no field 'score'; it has: [\"answer\"]"),
        ('{"answer": "x", "score": null}', "no field 'score'"),
        ('{"answer": 5, "score": 1}', "field 'answer' is 5; accepted: a string (BYTES)"),
        ('{"answer": "x", "score": "1"}', "field 'score' is \"1\"; accepted: a number (FP32)"),
        ('{"answer": "x", "score": true}', "field 'score' is true; accepted: a number (FP32)"),
        ('{"answer": "x", "score": 1e39}', "field 'score' is 1e+39; accepted: a number (FP32)"),
    ],
)
async def test_other_json_is_refused(ask: Ask, text: str | bytes, problem: str) -> None:
    model = await load(ANSWER)

    with pytest.raises(InvalidInput) as caught:
        await ask(model, json=[text])

    assert str(caught.value).startswith("model 'fields': tensor 'json': ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("value", [2**31, 1.5, 1e3, 10**30])
async def test_an_integer_must_fit(ask: Ask, value: float) -> None:
    model = await load({"count": "INT32"})

    with pytest.raises(InvalidInput, match=r"accepted: an integer \(INT32\)"):
        await ask(model, json=[json.dumps({"count": value})])


async def test_errors_stay_short(ask: Ask) -> None:
    model = await load({"score": "FP32"})

    with pytest.raises(InvalidInput) as caught:
        await ask(model, json=[json.dumps({"score": "x" * 10_000})])

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("outputs", "shape", "extra", "problem"),
    [
        ({}, (-1, 1), {}, "no outputs are declared"),
        ({"answer": "UINT8"}, (-1, 1), {}, "declared output 'answer UINT8 [-1, 1]'"),
        ({"answer": "BYTES"}, (-1, 2), {}, "declared output 'answer BYTES [-1, 2]'"),
        (ANSWER, (-1, 1), {"fields": {"anser": "x"}}, "setting 'fields' names 'anser'"),
    ],
)
async def test_declarations_that_cannot_be_served(
    outputs: dict[str, str], shape: tuple[int, ...], extra: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(outputs, shape, **extra)

    assert problem in str(caught.value)
