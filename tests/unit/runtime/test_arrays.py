"""Tasks that compute on arrays: rows of several requests at once, or whole tensors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings

from infergraph.errors import ConfigurationError, InvalidInput, StageFailure
from infergraph.request import RequestContext
from infergraph.runtime import Arrays, Item, Runtime
from infergraph.v2 import Message, Tensor
from tests.unit.runtime.workbench import Doubler, load, settle

WHOLE = {"inputs": {"x": ("INT64", [-1])}, "outputs": {"y": ("INT64", [-1])}, "max_batch_size": 0}


class ArrayDoubler(Runtime):
    """Doubles arrays in its thread, held until `released`; refuses negative numbers."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.came: list[Arrays] = []
        self.entered = threading.Event()
        self.released = threading.Event()

    def predict_arrays(self, arrays: Arrays, parameters: Any) -> Arrays:
        self.entered.set()
        assert self.released.wait(timeout=60)
        self.came.append(arrays)
        if (arrays["x"] < 0).any():
            raise InvalidInput("tensor 'x' is negative; accepted: from 0")
        return {"y": 2 * arrays["x"]}

    @property
    def batches(self) -> list[list[int]]:
        return [arrays["x"].ravel().tolist() for arrays in self.came]


class Free(ArrayDoubler):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.released.set()


def message(*numbers: int) -> Message:
    return Message([Tensor.of("x", np.array(numbers).reshape(-1, 1))])


async def doubled(model: Runtime, sent: Message) -> Any:
    answer = await model.infer(sent, RequestContext())
    return answer.tensors[0].data.tolist()


async def test_requests_run_together_as_one_array() -> None:
    model = await load(ArrayDoubler, max_batch_size=8)
    first = asyncio.ensure_future(doubled(model, message(0)))
    await asyncio.to_thread(model.entered.wait, 60)
    others = [
        asyncio.ensure_future(doubled(model, message(*numbers))) for numbers in ([1, 2], [3], [4])
    ]
    await settle()
    model.released.set()

    assert await first == [[0]]
    assert await asyncio.gather(*others) == [[[2], [4]], [[6]], [[8]]]
    assert model.batches == [[0], [1, 2, 3, 4]]


async def test_a_lone_requests_arrays_are_not_copied() -> None:
    model = await load(Free)
    sent = message(1, 2)

    await model.infer(sent, RequestContext())

    assert model.came[0]["x"] is sent.tensors[0].data


async def test_a_request_larger_than_a_batch_is_computed_in_blocks_of_rows() -> None:
    model = await load(Free, max_batch_size=4)

    answer = await model.infer(message(*range(10)), RequestContext(trace=True))

    assert answer.tensors[0].data.tolist() == [[2 * number] for number in range(10)]
    assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert answer.trace is not None
    assert answer.trace["batch_size"] == 4


async def test_a_request_that_cannot_be_answered_takes_nobody_with_it() -> None:
    model = await load(ArrayDoubler)
    first = asyncio.ensure_future(doubled(model, message(0)))
    await asyncio.to_thread(model.entered.wait, 60)
    sent = [asyncio.ensure_future(doubled(model, message(number))) for number in (1, -2, 3)]
    await settle()
    model.released.set()
    one, bad, three = await asyncio.gather(*sent, return_exceptions=True)

    assert await first == [[0]]
    assert (one, three) == ([[2]], [[6]])
    assert isinstance(bad, InvalidInput)
    assert str(bad) == "model 'model': tensor 'x' is negative; accepted: from 0"


async def test_of_a_large_request_the_rows_that_failed_are_named() -> None:
    model = await load(Free, max_batch_size=4)

    with pytest.raises(InvalidInput) as caught:
        await model.infer(message(*range(9), -1), RequestContext())
    assert str(caught.value) == (
        "model 'model': rows from 8: tensor 'x' is negative; accepted: from 0"
    )


async def test_an_output_without_a_row_for_each_row() -> None:
    class Short(Free):
        def predict_arrays(self, arrays: Arrays, parameters: Any) -> Arrays:
            return {"y": arrays["x"][:1]}

    model = await load(Short)

    with pytest.raises(StageFailure) as caught:
        await model.infer(message(1, 2), RequestContext())
    assert str(caught.value) == (
        "model 'model': the model gave output 'y' of shape [1, 1] for 2 rows"
    )


async def test_arrays_have_no_limit_of_items_but_the_queues() -> None:
    model = await load(Free, max_items=2, max_queue_size=8)

    assert await doubled(model, message(1, 2, 3)) == [[2], [4], [6]]
    with pytest.raises(InvalidInput, match="accepted: at most 4"):
        await model.infer(message(*range(5)), RequestContext())


class InlineArrays(Free):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.threads: set[str] = set()

    @property
    def blocking(self) -> bool:
        return False

    def predict_arrays(self, arrays: Arrays, parameters: Any) -> Arrays:
        self.threads.add(threading.current_thread().name)
        return super().predict_arrays(arrays, parameters)


@pytest.mark.parametrize(("rows", "on_the_loop"), [(100_000, True), (200_000, False)])
async def test_arrays_are_computed_on_the_loop_up_to_a_size(rows: int, on_the_loop: bool) -> None:
    model = await load(InlineArrays, max_batch_size=4, max_items=4, max_queue_size=4)

    answer = await doubled(model, message(*range(rows)))

    assert answer[-1] == [2 * (rows - 1)]
    # In one piece: nothing has to be put together.
    assert len(model.came) == 1
    assert (model.threads == {threading.current_thread().name}) is on_the_loop


# Whole tensors


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("kind", [Free, InlineArrays])
async def test_whole_tensors_may_have_any_shape(kind: type[Free], shape: tuple[int, ...]) -> None:
    declared = {"x": ("INT64", [-1] * len(shape))}
    model = await load(kind, inputs=declared, outputs={"y": declared["x"]}, max_batch_size=0)
    sent = np.ones(shape, np.int64)

    answer = await model.infer(Message([Tensor.of("x", sent)]), RequestContext(trace=True))

    assert answer.tensors[0].shape == shape
    assert answer.tensors[0].data.tolist() == (2 * sent).tolist()
    assert model.came[0]["x"] is sent
    assert answer.trace is not None
    assert answer.trace["batch_size"] == 1


async def test_requests_of_whole_tensors_run_by_themselves() -> None:
    model = await load(ArrayDoubler, **WHOLE)
    sent = [Message([Tensor.of("x", np.array(values))]) for values in ([1], [2, 3], [4])]
    first = asyncio.ensure_future(doubled(model, sent[0]))
    await asyncio.to_thread(model.entered.wait, 60)
    others = [asyncio.ensure_future(doubled(model, each)) for each in sent[1:]]
    await settle()
    model.released.set()

    assert [await first, *await asyncio.gather(*others)] == [[2], [4, 6], [8]]
    assert model.batches == [[1], [2, 3], [4]]


async def test_whole_tensors_of_different_first_sizes() -> None:
    inputs = {"x": ("INT64", [-1]), "choice": ("BYTES", [1])}
    model = await load(Free, **{**WHOLE, "inputs": inputs})
    sent = [Tensor.of("x", np.array([1, 2, 3, 4])), Tensor.of_bytes("choice", [b"a"], [1])]

    assert await doubled(model, Message(sent)) == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor.of("x", np.zeros((1, 1), np.int64)), "has shape [1, 1]; accepted: [-1]"),
        (Tensor.of("x", np.zeros(1)), "has datatype FP64; accepted: INT64"),
        (Tensor.of("z", np.zeros(1)), "no input tensor 'z'"),
    ],
)
async def test_whole_tensors_are_checked_against_their_declaration(
    tensor: Tensor, text: str
) -> None:
    model = await load(Free, **WHOLE)

    with pytest.raises(InvalidInput) as caught:
        await model.infer(Message([tensor]), RequestContext())
    assert text in str(caught.value)
    assert model.came == []


async def test_a_task_of_items_needs_a_batch_axis() -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(Doubler, max_batch_size=0)

    assert str(caught.value) == (
        "model 'model': setting 'max_batch_size' = 0, for models without a batch axis: this one "
        "takes items; accepted: 1 or more"
    )


# Sharing


async def test_a_step_that_writes_into_its_inputs_fails_and_changes_nothing() -> None:
    class Writing(Runtime):
        def predict_arrays(self, arrays: Arrays, parameters: Any) -> Arrays:
            arrays["y"][...] = 0
            return arrays

    class WritingItems(Runtime):
        def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[dict[str, Any]]:
            for item in items:
                item["y"][...] = 0
            return [dict(item) for item in items]

    tensors = {"y": ("INT64", [-1, 1])}
    first = await load(Free, name="first")
    answer = await first.infer(message(1, 2), RequestContext())

    for kind in (Writing, WritingItems):
        sibling = await load(kind, name="sibling", inputs=tensors, outputs=tensors)
        with pytest.raises(StageFailure, match="it failed with ValueError"):
            await sibling.infer(Message(answer.tensors), RequestContext())
    assert answer.tensors[0].data.tolist() == [[2], [4]]
