"""Steps that run at once: who waits for whom, what is cancelled, and how errors end a request."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from infergraph.errors import InvalidInput, Overloaded, StageFailure
from infergraph.graph import GraphExecutor
from infergraph.tensors import Message

from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    executor,
    failure,
    message,
    other_tasks,
    until_idle,
    values,
)


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> Any:
    """No task outlives its request, and no exception goes unnoticed."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, details: complaints.append(details))
    yield
    assert not other_tasks()
    gc.collect()
    assert complaints == []


def begin(graph: GraphExecutor, models: Models) -> asyncio.Task[Message]:
    return asyncio.create_task(graph.execute(message(x=1), CONTEXT, models))


PARALLEL = """
steps:
- name: a
- name: b
- name: c
  inputs: [a, b]
output: {steps: [c]}
"""

RACE = """
steps:
- name: fast
- name: slow
- name: after-slow
  inputs: [slow]
output:
  steps: [fast, after-slow]
  stepsJoin: any
"""


async def test_independent_steps_run_at_once() -> None:
    models = Models({"a": {"y": 1}, "b": {"z": 2}, "c": {"r": 3}}, held=["a", "b"])
    task = begin(executor(PARALLEL), models)
    await models.begun("a").wait()
    await models.begun("b").wait()
    assert models.finished == []
    models.release("b")
    await until_idle()
    assert not models.begun("c").is_set()
    models.release("a")
    assert values(await task) == [("r", [3])]
    assert models.calls[-1] == ("c", [("y", [1]), ("z", [2])])


async def test_a_single_runnable_step_runs_in_the_callers_task() -> None:
    tasks = []

    async def infer(*_: object) -> Message:
        tasks.append(asyncio.current_task())
        return message(y=1)

    graph = executor("""
    steps:
    - name: a
    - name: b
      inputs: [a]
    output: {steps: [b]}
    """)
    await graph.execute(message(x=1), CONTEXT, infer)
    assert tasks == [asyncio.current_task()] * 2


async def test_any_fires_once_with_the_first_and_cancels_the_rest() -> None:
    graph = executor("""
    steps:
    - name: fast
    - name: slow
    - name: after
      inputs: [slow, fast]
      inputsJoinType: any
    output: {steps: [after]}
    """)
    models = Models({"fast": {"y": 1}, "after": {"r": 2}}, held=["fast", "slow"])
    task = begin(graph, models)
    await models.begun("slow").wait()
    models.release("fast")
    assert values(await task) == [("r", [2])]
    assert models.called.count("after") == 1
    assert models.calls[-1] == ("after", [("y", [1])])
    assert models.cancelled == ["slow"]


async def test_a_branch_that_lost_is_cancelled_and_what_follows_it_never_begins() -> None:
    models = Models({"fast": {"y": 1}}, held=["fast", "slow"])
    task = begin(executor(RACE), models)
    await models.begun("slow").wait()
    models.release("fast")
    assert values(await task) == [("y", [1])]
    assert models.cancelled == ["slow"]
    assert "after-slow" not in models.called


async def test_a_loser_that_the_answer_does_not_hang_on_is_awaited() -> None:
    graph = executor(RACE.replace("output:", "- name: log\n  inputs: [slow]\noutput:"))
    models = Models({"fast": {"y": 1}, "slow": {"z": 1}, "log": {}}, held=["slow", "log"])
    task = begin(graph, models)
    await models.begun("slow").wait()
    await until_idle()
    assert not task.done()
    models.release("slow")
    await models.begun("log").wait()
    await until_idle()
    assert not task.done()
    models.release("log")
    assert values(await task) == [("y", [1])]
    # The log needs `slow`; nothing needs what only the output would have taken.
    assert "after-slow" not in models.called
    assert models.cancelled == []


async def test_a_ready_step_that_the_output_no_longer_needs_is_dropped() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
      inputs: [a]
    output:
      steps: [a, b]
      stepsJoin: any
    """)
    models = Models({"a": {"y": 1}})
    assert values(await begin(graph, models)) == [("y", [1])]
    assert models.called == ["a"]


async def test_a_branch_of_an_inner_join_that_failed_is_cancelled() -> None:
    graph = executor("""
    steps:
    - name: condition
    - name: slow
    - name: both
      inputs: [condition.outputs.yes, slow]
    output:
      steps: [condition.outputs.no, both]
      stepsJoin: any
    """)
    models = Models({"condition": {"no": 1}}, held=["condition", "slow"])
    task = begin(graph, models)
    await models.begun("slow").wait()
    models.release("condition")
    assert values(await task) == [("no", [1])]
    assert models.cancelled == ["slow"]


async def test_outer_waits_until_every_source_is_decided() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
    - name: c
      inputs: [b.outputs.yes]
    output:
      steps: [a, c]
      stepsJoin: outer
    """)
    models = Models({"a": {"y": 1}, "b": {"no": 1}}, held=["b"])
    task = begin(graph, models)
    await models.begun("b").wait()
    await until_idle()
    assert "a" in models.finished
    assert not task.done()
    models.release("b")
    assert values(await task) == [("y", [1])]


async def test_steps_off_the_outputs_path_are_awaited() -> None:
    graph = executor("steps: [{name: a}, {name: drift}]\noutput: {steps: [a]}")
    models = Models({"a": {"y": 1}, "drift": {}}, held=["drift"])
    task = begin(graph, models)
    await models.begun("drift").wait()
    await until_idle()
    assert "a" in models.finished
    assert not task.done()
    models.release("drift")
    assert values(await task) == [("y", [1])]


@pytest.mark.parametrize("output", ["[c]", "[a]"], ids=["on the path", "off the path"])
async def test_a_failing_step_fails_the_request_with_its_own_error(output: str) -> None:
    graph = executor(PARALLEL.replace("output: {steps: [c]}", f"output: {{steps: {output}}}"))
    error = Overloaded("the queue is full")
    models = Models({"b": error}, held=["a"])
    assert await failure(begin(graph, models)) is error
    assert models.cancelled == ["a"]
    assert "c" not in models.called


async def test_a_failing_single_step_raises_its_own_error() -> None:
    error = ValueError("not one of ours")
    graph = executor("steps: [{name: a}]\noutput: {steps: [a]}")
    assert await failure(begin(graph, Models({"a": error}))) is error


async def test_the_first_of_several_errors_is_raised_and_the_others_are_not_lost_to_the_log() -> None:
    graph = executor("steps: [{name: a}, {name: b}, {name: c}]\noutput: {steps: [a, b, c]}")
    errors = {name: StageFailure(name) for name in "abc"}
    assert await failure(begin(graph, Models(errors))) is errors["a"]


async def test_an_error_while_being_cancelled_does_not_replace_the_first() -> None:
    first = StageFailure("first")

    async def infer(step: str, *_: object) -> Message:
        if step == "a":
            raise first
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while ending")

    graph = executor("steps: [{name: b}, {name: a}]\noutput: {steps: [a, b]}")
    assert await failure(graph.execute(message(x=1), CONTEXT, infer)) is first


async def test_a_step_that_ignores_its_cancellation_cannot_go_on() -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    called = []

    async def infer(step: str, *_: object) -> Message:
        called.append(step)
        if step == "fast":
            await begun.wait()
        if step == "slow":
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await released.wait()
        return message(y=1)

    task = asyncio.create_task(executor(RACE).execute(message(x=1), CONTEXT, infer))
    await until_idle()
    # Its work is still going on, so the request is not over.
    assert not task.done()
    released.set()
    assert values(await task) == [("y", [1])]
    assert called == ["fast", "slow"]


async def test_a_call_that_is_cancelled_from_outside_is_a_failure_of_its_step() -> None:
    async def infer(step: str, *_: object) -> Message:
        if step == "a":
            raise asyncio.CancelledError
        await asyncio.Event().wait()
        raise AssertionError

    error = await failure(executor(PARALLEL).execute(message(x=1), CONTEXT, infer))
    assert isinstance(error, StageFailure)
    assert str(error) == "step 'a': its call was cancelled"


@pytest.mark.parametrize("held", [["a", "b"], ["c"]], ids=["branches", "after the join"])
async def test_cancelling_a_request_cancels_its_steps_and_waits_for_them(held: list[str]) -> None:
    models = Models({"a": {"y": 1}, "b": {"z": 1}}, held=held)
    task = begin(executor(PARALLEL), models)
    for name in held:
        await models.begun(name).wait()
    task.cancel()
    assert isinstance(await failure(task), asyncio.CancelledError)
    assert sorted(models.cancelled) == held


async def test_cancelling_before_the_branches_began_leaves_nothing() -> None:
    models = Models({}, held=["a", "b"])
    task = begin(executor(PARALLEL), models)
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance(await failure(task), asyncio.CancelledError)


async def test_a_second_cancellation_still_waits_for_the_steps() -> None:
    ending, released = asyncio.Event(), asyncio.Event()

    async def infer(step: str, *_: object) -> Message:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
        raise AssertionError

    task = asyncio.create_task(executor(PARALLEL).execute(message(x=1), CONTEXT, infer))
    await until_idle()
    task.cancel()
    await ending.wait()
    task.cancel()
    await until_idle()
    assert not task.done()
    released.set()
    assert isinstance(await failure(task), asyncio.CancelledError)


async def test_nothing_to_fire_ends_a_request_at_once() -> None:
    graph = executor("""
    steps:
    - name: condition
    - name: slow
    - name: drift
    output:
      steps: [condition.outputs.yes, slow]
    """)
    models = Models({"condition": {"no": 1}}, held=["condition", "slow", "drift"])
    task = begin(graph, models)
    await models.begun("drift").wait()
    models.release("condition")
    error = await failure(task)
    assert isinstance(error, InvalidInput)
    assert "step 'condition' answered with 'no', not 'yes'" in str(error)
    assert sorted(models.cancelled) == ["drift", "slow"]


async def test_a_wide_and_deep_graph() -> None:
    width, depth = 8, 6
    steps = [
        f"- name: s{layer}-{i}\n"
        + (f"  inputs: [{', '.join(f's{layer - 1}-{j}' for j in range(width))}]\n" if layer else "")
        for layer in range(depth)
        for i in range(width)
    ]
    last = ", ".join(f"s{depth - 1}-{i}" for i in range(width))
    graph = executor("steps:\n" + "".join(steps) + f"output: {{steps: [{last}]}}")

    async def infer(step: str, request: Message, *_: object) -> Message:
        await asyncio.sleep(0)
        total = sum(float(one.data.sum()) for one in request.tensors)
        return message(y=total)

    answer = await graph.execute(message(x=1), CONTEXT, infer)
    assert values(answer) == [("y", [float(width ** (depth - 1))])] * width
