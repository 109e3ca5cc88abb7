from __future__ import annotations

import time

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput, StageFailure
from infergraph.request import RequestContext
from infergraph.v2 import Message, Tensor

from .conftest import Ask, Serve


async def test_every_input_comes_back(serve: Serve, ask: Ask) -> None:
    echo = await serve("echo")
    numbers = np.arange(12, dtype=np.float32).reshape(2, 2, 3)

    answer = await ask(echo, text=["hello", "wörld"], numbers=numbers)

    assert answer == {"text": ["hello", "wörld"], "numbers": numbers.tolist()}


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64"])
async def test_datatypes_are_kept(datatype: str, serve: Serve) -> None:
    from infergraph.v2 import NUMPY_DTYPES

    echo = await serve("echo")
    data = np.array([[0, 1], [1, 0], [1, 1]]).astype(NUMPY_DTYPES[datatype])

    answer = await echo.infer(Message([Tensor.of("x", data)]), RequestContext())

    assert answer.tensors[0].datatype == datatype
    np.testing.assert_array_equal(answer.tensors[0].data, data)


async def test_several_texts_in_an_item(serve: Serve) -> None:
    echo = await serve("echo")
    labels = Tensor.of_bytes("labels", [b"a", b"b", b"c", b"d"], shape=[2, 2])

    answer = await echo.infer(Message([labels]), RequestContext())

    assert answer.tensors[0].data.tolist() == [[b"a", b"b"], [b"c", b"d"]]


async def test_a_lone_items_array_is_not_copied(serve: Serve) -> None:
    echo = await serve("echo")
    image = np.zeros((1, 3, 224, 224), np.float32)

    answer = await echo.infer(Message([Tensor.of("image", image)]), RequestContext())

    assert np.shares_memory(answer.tensors[0].data, image)


@pytest.mark.parametrize("settings", [{}, {"service_time_ms": 0.01}])
async def test_whole_tensors_come_back_as_they_came(
    settings: dict[str, float], serve: Serve
) -> None:
    echo = await serve("echo", max_batch_size=0, **settings)
    flat, scalar = np.arange(150_528, dtype=np.float32), np.array(3.5)
    choice = Tensor.of_bytes("choice", [b"a"], [1])

    answer = await echo.infer(
        Message([Tensor.of("flat", flat), Tensor.of("scalar", scalar), choice]), RequestContext()
    )

    assert [tensor.shape for tensor in answer.tensors] == [(150_528,), (), (1,)]
    assert np.shares_memory(answer.tensors[0].data, flat)
    assert answer.tensors[2].data.tolist() == [b"a"]


async def test_constants_beside_whole_tensors(serve: Serve) -> None:
    echo = await serve(
        "echo",
        max_batch_size=0,
        outputs={"label": {"value": "en"}, "boxes": {"value": [[1, 2, 3, 4]]}},
    )

    answer = await echo.infer(Message([Tensor.of("x", np.zeros(7))]), RequestContext())

    assert {tensor.name: tensor.data.tolist() for tensor in answer.tensors} == {
        "label": [b"en"],
        "boxes": [[1, 2, 3, 4]],
    }


async def test_numbers_of_one_dimension_make_no_items(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    echo = await serve("echo", declared={"inputs": declared, "outputs": declared})
    monkeypatch.setattr("infergraph.runtime.engine.split", None)
    numbers = np.arange(150_528, dtype=np.float32)

    answer = await echo.infer(Message([Tensor.of("x", numbers)]), RequestContext())

    assert answer.tensors[0].shape == (150_528,)
    assert np.shares_memory(answer.tensors[0].data, numbers)


async def test_constants_and_renamed_inputs(serve: Serve, ask: Ask) -> None:
    echo = await serve(
        "echo",
        outputs={
            "transcript": {"input": "text"},
            "label": {"value": "en"},
            "score": {"value": 0.5},
            "boxes": {"value": [[1, 2, 3, 4]]},
        },
    )

    answer = await ask(echo, text=["a", "b"])

    assert answer == {
        "transcript": ["a", "b"],
        "label": ["en", "en"],
        "score": [0.5, 0.5],
        "boxes": [[[1, 2, 3, 4]], [[1, 2, 3, 4]]],
    }


async def test_settings_as_seldon_hands_them_on(serve: Serve, ask: Ask) -> None:
    echo = await serve(
        "echo", outputs='{"label": {"value": "es"}}', service_time_ms="0.5", leave_out="[]"
    )

    assert echo.blocking
    assert await ask(echo, text=["a"]) == {"label": ["es"]}


async def test_outputs_left_out(serve: Serve, ask: Ask) -> None:
    echo = await serve("echo", leave_out=["b"])

    assert await ask(echo, a=["1"], b=["2"]) == {"a": ["1"]}


async def test_an_output_of_an_input_that_did_not_come(serve: Serve, ask: Ask) -> None:
    echo = await serve("echo", outputs={"y": {"input": "x"}})

    with pytest.raises(
        InvalidInput, match="no input tensor 'x', of which output 'y' is made; came: z"
    ):
        await ask(echo, z=["1"])


@pytest.mark.parametrize("settings", [{}, {"service_time_ms": 1}])
async def test_it_fails_as_told(settings: dict[str, float], serve: Serve, ask: Ask) -> None:
    echo = await serve("echo", fail="the disk is full", **settings)

    with pytest.raises(StageFailure, match="the disk is full"):
        await ask(echo, text=["a"])


@pytest.mark.parametrize("settings", [{}, {"service_time_ms": 1}])
async def test_one_item_fails_as_told(settings: dict[str, float], serve: Serve, ask: Ask) -> None:
    echo = await serve("echo", fail_on="boom", **settings)

    assert await ask(echo, text=["a"]) == {"text": ["a"]}
    with pytest.raises(InvalidInput, match=r"item 1.*'boom'"):
        await ask(echo, text=["a", "boom"])


async def test_it_serves_for_as_long_as_told(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    echo = await serve("echo", service_time_ms=20, service_time_per_item_ms=5)

    await ask(echo, text=["a", "b", "c"])

    assert echo.blocking
    assert sum(slept) == pytest.approx(0.035)


async def test_without_a_service_time_it_does_not_block(serve: Serve) -> None:
    assert not (await serve("echo")).blocking


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"service_time_ms": -1}, "setting 'service_time_ms' = -1"),
        ({"outputs": {"y": {}}}, "give either 'input'"),
        ({"outputs": {"y": {"input": "x", "value": 1}}}, "give either 'input'"),
        ({"outputs": {"y": {"from": "x"}}}, "outputs.y.from"),
    ],
)
async def test_wrong_settings_fail_at_load(
    settings: dict[str, object], text: str, serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match=text.replace("(", r"\(")):
        await serve("echo", **settings)
