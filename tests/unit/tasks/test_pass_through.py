from __future__ import annotations

from typing import Any

import pytest

from infergraph.errors import ConfigurationError, InvalidInput

from .conftest import Ask, Serve

TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1, 1]}
BOXES = {"name": "boxes", "datatype": "FP32", "shape": [-1, 4]}


async def test_items_come_back_as_they_went(serve: Serve, ask: Ask) -> None:
    runtime = await serve("english-text")
    texts = ["a", "", "wörld", "x" * 100_000]

    assert (await ask(runtime, text=texts))["text"] == texts
    assert not runtime.blocking


async def test_other_tensors_are_refused(serve: Serve, ask: Ask) -> None:
    runtime = await serve("english-text")

    with pytest.raises(InvalidInput, match="no input tensor 'label'"):
        await ask(runtime, label=["a"])


@pytest.mark.parametrize(
    ("inputs", "outputs", "optional", "text"),
    [
        ([TEXT], [], {}, "tensor 'text' is declared as input text BYTES [-1, 1] and as output not"),
        ([TEXT], [TEXT, BOXES], {}, "tensor 'boxes' is declared as input not at all and as output"),
        (
            [TEXT, BOXES],
            [TEXT, {**BOXES, "datatype": "FP64"}],
            {},
            "as input boxes FP32 [-1, 4] and as output boxes FP64 [-1, 4]",
        ),
        ([TEXT], [{**TEXT, "shape": [-1]}], {}, "text BYTES [-1, 1] and as output text BYTES [-1]"),
        ([TEXT], [TEXT], {"optional_inputs": ["text"]}, "optional as both or as neither"),
    ],
)
async def test_declarations_must_agree(
    inputs: list[Any], outputs: list[Any], optional: dict[str, Any], text: str, serve: Serve
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve("english-text", declared={"inputs": inputs, "outputs": outputs}, **optional)

    assert text in str(caught.value)


async def test_an_optional_tensor_may_miss(serve: Serve, ask: Ask) -> None:
    runtime = await serve(
        "english-text",
        declared={"inputs": [TEXT, BOXES], "outputs": [TEXT, BOXES]},
        optional_inputs=["boxes"],
        optional_outputs=["boxes"],
    )

    assert await ask(runtime, text=["a"]) == {"text": ["a"]}
