"""Steps that run at once: who waits for whom, and who is spared."""

from __future__ import annotations

import asyncio

import pytest

from infergraph.v2 import Message
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    begin,
    executor,
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


async def test_a_source_of_a_step_that_will_not_fire_is_cancelled_at_once() -> None:
    graph = executor("""
    steps:
    - name: condition
    - name: wasted
    - name: both
      inputs: [condition.outputs.yes, wasted]
    - name: slow
    output:
      steps: [slow, both]
      stepsJoin: outer
    """)
    models = Models(
        {"condition": {"no": 1}, "slow": {"y": 1}}, held=["condition", "wasted", "slow"]
    )
    task = begin(graph, models)
    await models.begun("slow").wait()
    models.release("condition")
    await until_idle()
    assert models.cancelled == ["wasted"]
    models.release("slow")
    assert values(await task) == [("y", [1])]


async def test_a_loser_is_cancelled_even_while_the_winner_waits_for_a_trigger() -> None:
    graph = executor("""
    steps:
    - name: fast
    - name: slow
    - name: gate
    - name: after
      inputs: [fast, slow]
      inputsJoinType: any
      triggers: [gate]
    output: {steps: [after]}
    """)
    models = Models(
        {"fast": {"y": 1}, "gate": {}, "after": {"r": 2}}, held=["fast", "slow", "gate"]
    )
    task = begin(graph, models)
    await models.begun("gate").wait()
    models.release("fast")
    await until_idle()
    assert models.cancelled == ["slow"]
    models.release("gate")
    assert values(await task) == [("r", [2])]
    assert models.calls[-1] == ("after", [("y", [1])])


async def test_a_step_is_needed_for_what_it_is_sent_as_well() -> None:
    """`late` itself lost, but the output still waits for its request."""
    graph = executor("""
    steps:
    - name: fast
    - name: slow
    - name: late
      inputs: [slow]
    - name: either
      inputs: [fast, late]
      inputsJoinType: any
    output: {steps: [either, late.inputs]}
    """)
    models = Models(
        {"fast": {"y": 1}, "slow": {"z": 2}, "either": {"r": 3}, "late": {}}, held=["fast", "slow"]
    )
    task = begin(graph, models)
    await models.begun("slow").wait()
    models.release("fast")
    await models.begun("either").wait()
    await until_idle()
    assert models.cancelled == []
    models.release("slow")
    assert values(await task) == [("r", [3]), ("z", [2])]


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
