"""How a request ends early: a step fails, the caller goes away, or no answer can come."""

from __future__ import annotations

import asyncio

import pytest

from infergraph.errors import InvalidInput, Overloaded, StageFailure
from infergraph.v2 import Message
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    begin,
    executor,
    failure,
    message,
    until_idle,
    values,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")

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


async def test_the_first_of_several_errors_is_raised_and_the_others_are_not_lost_to_the_log() -> (
    None
):
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


FRUITLESS = """
    steps:
    - name: condition
    - name: slow
    - name: drift
    output:
      steps: [condition.outputs.yes, slow]
    """


async def test_nothing_to_fire_ends_what_only_the_output_needed() -> None:
    models = Models(
        {"condition": {"no": 1}, "drift": {"y": 1}}, held=["condition", "slow", "drift"]
    )
    task = begin(executor(FRUITLESS), models)
    await models.begun("drift").wait()
    models.release("condition")
    await until_idle()
    assert models.cancelled == ["slow"]
    assert not task.done()
    models.release("drift")
    error = await failure(task)
    assert isinstance(error, InvalidInput)
    assert "step 'condition' answered with 'no', not 'yes'" in str(error)
    assert models.cancelled == ["slow"]


async def test_a_step_that_refuses_says_better_than_the_graph_why_there_is_no_answer() -> None:
    graph = executor("""
    steps:
    - name: sort
    - name: good
      inputs: [sort.outputs.good]
    - name: refuse
      inputs: [sort.outputs.bad]
    output:
      steps: [good]
    """)
    models = Models({"sort": {"bad": 1}, "refuse": Overloaded("this is bad")})
    error = await failure(begin(graph, models))
    assert isinstance(error, Overloaded)
    assert str(error) == "this is bad"
