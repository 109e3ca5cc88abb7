"""Per-item execution: scatter, and gather in order."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from infergraph.errors import DeadlineExceeded, InvalidInput, Overloaded, StageFailure
from infergraph.graph import GraphExecutor
from infergraph.graph.scatter import gather, split
from infergraph.v2 import Message, Tensor
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    executor,
    failure,
    other_tasks,
    run,
    tensor,
    until_idle,
    values,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")

PER_ITEM = 'infergraph.io/per-item: "true"'


def per_item(spec: str) -> GraphExecutor:
    return executor(spec, annotations=PER_ITEM)


CASCADE = """
steps:
- name: light
- name: heavy
  inputs: [p.inputs.x]
  triggers: [light.outputs.escalate]
output:
  steps: [light.outputs.accepted, heavy.outputs.label]
  stepsJoin: any
"""


def light(request: Message) -> dict[str, float]:
    value = float(request.tensors[0].data[0, 0])
    return {"accepted": value} if value < 10 else {"escalate": value}


def heavy(request: Message) -> dict[str, float]:
    return {"label": float(request.tensors[0].data[0, 0]) * 2}


async def test_conditions_hold_per_item() -> None:
    models = Models({"light": light, "heavy": heavy})
    answer = await run(per_item(CASCADE), models, Message([tensor("x", 1, 20, 3, 40)], "id"))
    assert values(answer) == [
        ("accepted", [1, 3]),
        ("accepted_item", [0, 2]),
        ("label", [40, 80]),
        ("label_item", [1, 3]),
    ]
    item = answer.tensors[1]
    assert (item.datatype, item.data.dtype, item.shape) == ("INT64", np.int64, (2, 1))
    assert sorted(zip(models.items, models.called, strict=True)) == [
        (0, "light"),
        (1, "heavy"),
        (1, "light"),
        (2, "light"),
        (3, "heavy"),
        (3, "light"),
    ]


async def test_without_the_annotation_items_have_no_number() -> None:
    models = Models({"a": {"y": 1}})
    await run(executor("steps: [{name: a}]\noutput: {steps: [a]}"), models)
    assert models.items == [None]


async def test_items_run_at_once_and_are_gathered_in_order() -> None:
    arrived: list[int | None] = []
    gates = [asyncio.Event() for _ in range(3)]

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        assert item is not None
        await gates[item].wait()
        arrived.append(item)
        return Message(request.tensors, f"answer {item}", {"item": item})

    graph = per_item("steps: [{name: a}]\noutput: {steps: [a]}")
    task = asyncio.create_task(graph.execute(Message([tensor("x", 5, 6, 7)]), CONTEXT, infer))
    for item in (2, 0, 1):
        await until_idle()
        gates[item].set()
    answer = await task
    assert arrived == [2, 0, 1]
    assert values(answer) == [("x", [5, 6, 7])]
    assert (answer.id, answer.parameters) == ("answer 0", {"item": 0})


async def test_a_single_item_is_gathered_like_many() -> None:
    models = Models({"light": light, "heavy": heavy})
    answer = await run(per_item(CASCADE), models, Message([tensor("x", 20)]))
    assert values(answer) == [("label", [40])]
    with pytest.raises(InvalidInput, match=r"^item 0: pipeline 'p': nothing reached the output"):
        await run(per_item(CASCADE), Models({"light": {}}), Message([tensor("x", 20)]))


ONE_STEP = "steps: [{name: a}]\noutput: {steps: [a]}"


async def test_a_failing_item_fails_alone() -> None:
    def odd(request: Message) -> dict[str, float]:
        value = float(request.tensors[0].data[0, 0])
        if value % 2 == 0:
            raise Overloaded("queue full") if value == 4 else InvalidInput(f"{value:.0f} is even")
        return {"y": value * 10}

    answer = await run(per_item(ONE_STEP), Models({"a": odd}), Message([tensor("x", 1, 2, 3, 4)]))
    assert values(answer) == [
        ("y", [10, 30]),
        ("y_item", [0, 2]),
        ("error", [b"2 is even", b"queue full"]),
        ("error_status", [400, 503]),
        ("error_item", [1, 3]),
    ]
    assert [each.shape for each in answer.tensors] == [(2, 1)] * 5
    assert [each.datatype for each in answer.tensors[2:]] == ["BYTES", "INT64", "INT64"]


async def test_when_every_item_fails_the_request_fails_with_the_first_error() -> None:
    def refuse(request: Message) -> dict[str, float]:
        raise InvalidInput(f"{request.tensors[0].data[0, 0]:.0f} is refused")

    error = await failure(
        run(per_item(ONE_STEP), Models({"a": refuse}), Message([tensor("x", 7, 8)]))
    )
    assert isinstance(error, InvalidInput)
    assert str(error) == "item 0: 7 is refused"


async def test_an_item_that_fires_nothing_fails_alone() -> None:
    models = Models({"light": lambda request: light(request) if light(request) else {}})
    graph = per_item(
        """
        steps: [{name: light}]
        output: {steps: [light.outputs.accepted]}
        """
    )
    answer = await run(graph, models, Message([tensor("x", 1, 20)]))
    assert values(answer)[0:2] == [("accepted", [1]), ("accepted_item", [0])]
    (name, texts), status, item = values(answer)[2:]
    assert name == "error"
    assert texts[0].startswith(b"pipeline 'p': nothing reached the output")
    assert (status, item) == (("error_status", [400]), ("error_item", [1]))


@pytest.mark.parametrize("error", [DeadlineExceeded("out of time"), RuntimeError("a bug")])
async def test_a_deadline_or_a_bug_ends_the_whole_request(error: Exception) -> None:
    cancelled = []

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        if item == 1:
            raise error
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(item)
        raise AssertionError

    message = Message([tensor("x", 1, 2, 3)])
    caught = await failure(per_item(ONE_STEP).execute(message, CONTEXT, infer))
    assert type(caught) is type(error)
    assert str(error) in str(caught)
    assert sorted(cancelled) == [0, 2]  # type: ignore[type-var]
    assert not other_tasks()


async def test_a_large_batch_runs_a_part_at_a_time() -> None:
    running = most = 0

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await until_idle()
        running -= 1
        return request

    message = Message([tensor("x", *range(150))])
    answer = await per_item(ONE_STEP).execute(message, CONTEXT, infer)
    assert values(answer) == [("x", list(range(150)))]
    assert most == 64


async def test_cancelling_the_request_cancels_all_items() -> None:
    models = Models({}, held=["a"])
    graph = per_item("steps: [{name: a}]\noutput: {steps: [a]}")
    task = asyncio.create_task(graph.execute(Message([tensor("x", 1, 2)]), CONTEXT, models))
    await models.begun("a").wait()
    await until_idle()
    task.cancel()
    assert isinstance(await failure(task), asyncio.CancelledError)
    assert models.cancelled == ["a", "a"]
    assert not other_tasks()


async def test_an_item_whose_call_is_cancelled_from_outside_fails() -> None:
    async def infer(*_: object) -> Message:
        raise asyncio.CancelledError

    graph = per_item("steps: [{name: a}]\noutput: {steps: [a]}")
    error = await failure(graph.execute(Message([tensor("x", 1, 2)]), CONTEXT, infer))
    assert isinstance(error, StageFailure)
    assert str(error) == "item 0: the call was cancelled by its stage"


def test_split_makes_batches_of_one_that_share_the_arrays() -> None:
    image = np.arange(12.0).reshape(2, 2, 3)
    items = split(Message([Tensor("image", "FP64", image), tensor("x", 7, 8)], "id", {"k": 1}))
    assert [one.tensors[0].shape for one in items] == [(1, 2, 3), (1, 2, 3)]
    assert [one.tensors[1].data.tolist() for one in items] == [[[7]], [[8]]]
    assert all(np.shares_memory(one.tensors[0].data, image) for one in items)
    assert [(one.id, one.parameters) for one in items] == [("id", {"k": 1})] * 2


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([], "no input tensors"),
        ([Tensor("x", "FP64", np.array(1.0))], r"tensor 'x' has shape \[\]"),
        ([Tensor("x", "FP64", np.zeros((0, 2)))], r"tensor 'x' has shape \[0, 2\]"),
        ([tensor("x", 1, 2), tensor("y", 1)], "numbers of items: 'x' 2, 'y' 1"),
    ],
)
def test_split_refuses_what_is_no_batch(tensors: list[Tensor], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        split(Message(tensors))


def test_gather_keeps_the_order_of_first_appearance() -> None:
    answer = gather(
        [
            Message([tensor("b", 1)]),
            Message([tensor("a", 2), tensor("b", 3)]),
            Message([tensor("c", 4), tensor("a", 5)]),
        ]
    )
    assert values(answer) == [
        ("b", [1, 3]),
        ("b_item", [0, 1]),
        ("a", [2, 5]),
        ("a_item", [1, 2]),
        ("c", [4]),
        ("c_item", [2]),
    ]


def test_gather_tells_the_item_of_each_of_several_rows() -> None:
    answer = gather([Message([tensor("box", 1, 2, 3)]), Message([tensor("box", 4)])])
    assert values(answer) == [("box", [1, 2, 3, 4]), ("box_item", [0, 0, 0, 1])]


def test_gather_counts_rows_and_not_only_tensors() -> None:
    none = Tensor("box", "FP64", np.zeros((0, 1)))
    answer = gather([Message([none]), Message([tensor("box", 1, 2)])])
    assert values(answer) == [("box", [1, 2]), ("box_item", [1, 1])]


def test_gather_keeps_both_of_two_clashing_names() -> None:
    pair = [Message([tensor("y", n), tensor("y", n + 10)]) for n in (1, 2)]
    assert values(gather(pair)) == [("y", [1, 2]), ("y", [11, 12])]


def test_gather_concatenates_bytes() -> None:
    answers = [Message([Tensor.of_bytes("text", [text])]) for text in (b"one", b"two")]
    joined = gather(answers).tensors[0]
    assert (joined.datatype, joined.data.tolist()) == ("BYTES", [[b"one"], [b"two"]])


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (np.zeros((1, 3)), r"'boxes' is FP64 \[1, 2\] for item 0 and FP64 \[1, 3\] for item 1"),
        (np.zeros((1, 2), np.float32), r"FP64 \[1, 2\] for item 0 and FP32 \[1, 2\] for item 1"),
        (np.array(0.0), r"tensor 'boxes' of item 1 has shape \[\]"),
    ],
    ids=["shape", "datatype", "scalar"],
)
def test_gather_refuses_rows_that_do_not_fit(other: np.ndarray, text: str) -> None:
    first = Tensor("boxes", "FP64", np.zeros((1, 2)))
    with pytest.raises(StageFailure, match=text):
        gather([Message([first]), Message([Tensor.of("boxes", other)])])
