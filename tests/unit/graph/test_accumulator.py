"""`batch.size`: a step that gathers items over several requests."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from infergraph.errors import InvalidInput
from infergraph.graph.accumulator import Accumulator
from infergraph.v2 import Message, Tensor
from tests.unit.graph.graphs import CONTEXT, Models, executor, message, run, tensor, values


def test_gathers_until_the_first_tensor_has_enough_items() -> None:
    accumulator = Accumulator("drift", 3)
    assert accumulator.add(Message([tensor("x", 1), tensor("y", 10)], "one")) is None
    assert accumulator.gathered() == 1
    merged = accumulator.add(Message([tensor("y", 20, 30), tensor("x", 2, 3)], "two", {"k": 2}))
    assert merged is not None
    # The first message's order, the last one's id and parameters.
    assert values(merged) == [("x", [1, 2, 3]), ("y", [10, 20, 30])]
    assert (merged.id, merged.parameters) == ("two", {"k": 2})
    assert accumulator.gathered() == 0


def test_a_request_that_is_enough_by_itself_passes_uncopied() -> None:
    whole = Message([tensor("x", 1, 2, 3, 4)])
    assert Accumulator("drift", 3).add(whole) is whole


def test_repeated_names_are_merged_one_by_one() -> None:
    accumulator = Accumulator("drift", 2)
    accumulator.add(Message([tensor("x", 1), tensor("x", 2)]))
    merged = accumulator.add(Message([tensor("x", 3), tensor("x", 4)]))
    assert merged is not None
    assert values(merged) == [("x", [1, 3]), ("x", [2, 4])]


@pytest.mark.parametrize(
    "other",
    [
        Tensor("y", "FP64", np.zeros((1, 1))),
        Tensor("x", "FP32", np.zeros((1, 1), np.float32)),
        Tensor("x", "FP64", np.zeros((1, 2))),
        Tensor("x", "FP64", np.zeros((1,))),
    ],
    ids=["name", "datatype", "shape", "rank"],
)
def test_what_differs_is_never_mixed_and_never_lost(other: Tensor) -> None:
    accumulator = Accumulator("drift", 2)
    assert accumulator.add(Message([tensor("x", 1)])) is None
    assert accumulator.add(Message([other])) is None
    merged = accumulator.add(Message([tensor("x", 2)]))
    assert merged is not None
    assert values(merged) == [("x", [1, 2])]
    merged = accumulator.add(Message([other]))
    assert merged is not None
    assert merged.tensors[0].shape == (2, *other.shape[1:])


def test_kinds_are_bounded_and_the_longest_untouched_goes_first() -> None:
    accumulator = Accumulator("drift", 2)
    for width in range(65):
        accumulator.add(Message([Tensor("x", "FP64", np.zeros((1, width)))]))
    assert accumulator.add(Message([Tensor("x", "FP64", np.zeros((1, 0)))])) is None
    assert accumulator.add(Message([Tensor("x", "FP64", np.zeros((1, 64)))])) is not None


@pytest.mark.parametrize(
    ("tensors", "text"),
    [([], "no tensors"), ([Tensor("x", "FP64", np.array(1.0))], r"tensor 'x' has shape \[\]")],
)
def test_what_is_no_batch_is_refused(tensors: list[Tensor], text: str) -> None:
    with pytest.raises(InvalidInput, match=f"step 'drift' batches: .*{text}"):
        Accumulator("drift", 2).add(Message(tensors))


async def test_off_the_output_path_every_caller_is_answered() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: drift
      batch: {size: 3}
    - name: alert
      inputs: [drift]
    output: {steps: [a]}
    """)
    models = Models({"a": {"y": 1}, "drift": {"score": 5}, "alert": {}})
    for value in range(7):
        assert values(await run(graph, models, message(x=value))) == [("y", [1])]
    drift = [request for name, request in models.calls if name == "drift"]
    assert drift == [[("x", [0, 1, 2])], [("x", [3, 4, 5])]]
    assert models.called.count("alert") == 2


async def test_on_the_output_path_the_last_caller_is_answered() -> None:
    graph = executor("steps: [{name: a, batch: {size: 2}}]\noutput: {steps: [a]}")
    models = Models({"a": {"y": 1}})
    with pytest.raises(
        InvalidInput, match="step 'a' did not fire: it gathers batches of 2 and has 1"
    ):
        await run(graph, models)
    assert values(await run(graph, models)) == [("y", [1])]


async def test_concurrent_requests_share_the_accumulation() -> None:
    graph = executor("""
    steps: [{name: a}, {name: drift, batch: {size: 4}}]
    output: {steps: [a]}
    """)
    models = Models({"a": {"y": 1}, "drift": {}})
    await asyncio.gather(*(graph.execute(message(x=i), CONTEXT, models) for i in range(8)))
    drift = [request[0][1] for name, request in models.calls if name == "drift"]
    assert sorted(drift[0] + drift[1]) == list(range(8))
    assert [len(one) for one in drift] == [4, 4]


@pytest.mark.parametrize("size", [0, 1])
async def test_sizes_up_to_one_do_not_batch(size: int) -> None:
    graph = executor(f"steps: [{{name: a, batch: {{size: {size}}}}}]\noutput: {{steps: [a]}}")
    assert values(await run(graph, Models({"a": {"y": 1}}))) == [("y", [1])]


async def test_two_executors_gather_apart() -> None:
    spec = "steps: [{name: a}, {name: drift, batch: {size: 2}}]\noutput: {steps: [a]}"
    models = Models({"a": {"y": 1}, "drift": {}})
    await run(executor(spec), models)
    await run(executor(spec), models)
    assert "drift" not in models.called
