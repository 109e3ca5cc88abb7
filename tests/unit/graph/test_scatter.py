"""Per-item execution: scatter, and gather in order."""

from __future__ import annotations

import asyncio
import re

import numpy as np
import pytest

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from infergraph.graph import GraphExecutor, parse_pipeline
from infergraph.graph.scatter import gather, item_of
from infergraph.v2 import Message, Tensor
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    executor,
    failure,
    message,
    other_tasks,
    resource,
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


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidInput, 400), (MalformedRequest, 422), (StageFailure, 500)]
)
async def test_an_item_at_fault_fails_alone(error: type[InfergraphError], status: int) -> None:
    def odd(request: Message) -> dict[str, float]:
        value = float(request.tensors[0].data[0, 0])
        if value % 2 == 0:
            raise error(f"{value:.0f} is even")
        return {"y": value * 10}

    answer = await run(per_item(ONE_STEP), Models({"a": odd}), Message([tensor("x", 1, 2, 3, 4)]))
    assert values(answer) == [
        ("y", [10, 30]),
        ("y_item", [0, 2]),
        ("error", [b"2 is even", b"4 is even"]),
        ("error_status", [status, status]),
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


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("out of time"),
        Overloaded("queue full"),
        StageUnavailable("it is being unloaded"),
        RuntimeError("a bug"),
    ],
)
async def test_what_is_no_fault_of_an_item_ends_the_whole_request(error: Exception) -> None:
    cancelled = []
    all_begun = asyncio.Event()

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        if item == 0:
            return request
        if item == 2:
            await all_begun.wait()
            raise error
        if item == 3:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(item)
        raise AssertionError

    message = Message([tensor("x", 1, 2, 3, 4)])
    caught = await failure(per_item(ONE_STEP).execute(message, CONTEXT, infer))
    assert type(caught) is type(error)
    told = "item 2 of 4, of which 1 had been answered: " if error.args != ("a bug",) else ""
    assert str(caught) == f"{told}{error}"
    assert sorted(cancelled) == [1, 3]  # type: ignore[type-var]
    assert not other_tasks()


async def test_of_several_overloaded_items_the_first_is_told() -> None:
    all_begun = asyncio.Event()

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        if item == 2:
            await all_begun.wait()
            raise Overloaded("full for item 2")
        if item == 3:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Overloaded(f"full for item {item}") from None
        raise AssertionError

    message = Message([tensor("x", 1, 2, 3, 4)])
    caught = await failure(per_item(ONE_STEP).execute(message, CONTEXT, infer))
    assert isinstance(caught, Overloaded)
    assert str(caught) == "item 0 of 4, of which 0 had been answered: full for item 0"


async def test_a_lone_item_that_meets_overload_is_overload() -> None:
    models = Models({"a": Overloaded("queue full")})
    error = await failure(run(per_item(ONE_STEP), models, message(x=1)))
    assert isinstance(error, Overloaded)
    assert str(error) == "item 0: queue full"


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


async def test_a_large_batch_is_a_few_tasks() -> None:
    most = 0

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        nonlocal most
        most = max(most, len(other_tasks()))
        return request

    answer = await per_item(ONE_STEP).execute(Message([tensor("x", *range(3000))]), CONTEXT, infer)
    assert values(answer) == [("x", list(range(3000)))]
    # One of the 64 workers is the task that counts.
    assert most == 64


async def test_items_are_cut_out_as_they_come() -> None:
    alive = most = 0

    class Counted(np.ndarray):
        def __array_finalize__(self, source: object) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        await until_idle()
        return Message([tensor("y", 0)])

    data = np.arange(3000.0).reshape(-1, 1).view(Counted)
    await per_item(ONE_STEP).execute(Message([Tensor("x", "FP64", data)]), CONTEXT, infer)
    assert most < 64 * 10


async def test_models_that_never_wait_let_others_run() -> None:
    """Such as a deadline's timer; here, a task that cancels the request."""
    done = 0

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        nonlocal done
        done += 1
        return request

    message = Message([tensor("x", *range(4000))])
    task = asyncio.create_task(per_item(ONE_STEP).execute(message, CONTEXT, infer))
    for _ in range(4):
        await asyncio.sleep(0)
    task.cancel()
    assert isinstance(await failure(task), asyncio.CancelledError)
    assert 0 < done <= 4 * 64
    assert not other_tasks()


async def test_too_many_items_are_refused_before_any_runs() -> None:
    models = Models({"a": {"y": 1}})
    graph = GraphExecutor(parse_pipeline(resource(ONE_STEP, annotations=PER_ITEM), "p.yaml"), 3)
    assert values(await run(graph, models, Message([tensor("x", 1, 2, 3)]))) == [("y", [1, 1, 1])]
    called = len(models.calls)
    error = await failure(run(graph, models, Message([tensor("x", 1, 2, 3, 4)])))
    assert isinstance(error, InvalidInput)
    assert str(error) == (
        "pipeline 'p': the request holds 4 items; accepted: at most 3 (setting 'max_items')"
    )
    assert len(models.calls) == called


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


def test_an_item_is_a_batch_of_one_that_shares_the_arrays() -> None:
    image = np.arange(12.0).reshape(2, 2, 3)
    batch = Message([Tensor("image", "FP64", image), tensor("x", 7, 8)], "id", {"k": 1})
    item = item_of(batch, 1)
    assert [one.data.tolist() for one in item.tensors] == [image[1:].tolist(), [[8]]]
    assert np.shares_memory(item.tensors[0].data, image)
    assert (item.id, item.parameters) == ("id", {"k": 1})


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([], "no input tensors"),
        ([Tensor("x", "FP64", np.array(1.0))], r"tensor 'x' has shape \[\]"),
        ([Tensor("x", "FP64", np.zeros((0, 2)))], r"tensor 'x' has shape \[0, 2\]"),
        ([tensor("x", 1, 2), tensor("y", 1)], "tensor 'y' holds 1 items and tensor 'x' 2"),
    ],
)
async def test_what_is_no_batch_is_refused_per_item_only(tensors: list[Tensor], text: str) -> None:
    models = Models({"a": {"y": 1}})
    request = Message(tensors)
    error = await failure(per_item(ONE_STEP).execute(request, CONTEXT, models))
    assert isinstance(error, InvalidInput)
    assert re.search(f"pipeline 'p': .*{text}", str(error))
    assert models.calls == []
    assert values(await executor(ONE_STEP).execute(request, CONTEXT, models)) == [("y", [1])]


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
