"""Each join against each pattern of sources that are there."""

from __future__ import annotations

import asyncio
from itertools import permutations, product

import pytest

from infergraph.errors import InvalidInput
from infergraph.graph import GraphExecutor
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    executor,
    message,
    other_tasks,
    run,
    until_idle,
    values,
)

SOURCES = """
steps:
- name: a
- name: b
- name: c
"""
PATTERNS = list(product([True, False], repeat=3))
PAIRS = list(product([True, False], repeat=2))


def answers(pattern: tuple[bool, ...]) -> dict[str, dict[str, float]]:
    """Models a, b and c; those that are there answer `t`, the others something else."""
    return {
        name: {"t": number} if there else {"other": 0}
        for number, (name, there) in enumerate(zip("abc", pattern, strict=True), start=1)
    }


def expected(join: str, pattern: tuple[bool, ...], order: tuple[str, ...]) -> list[float] | None:
    """The values of `t` that pass, or None where the join fails."""
    there = [number for number, is_there in enumerate(pattern, start=1) if is_there]
    if join == "inner":
        return there if len(there) == 3 else None
    if join == "outer":
        return there or None
    first = [" abc".index(name) for name in order if " abc".index(name) in there][:1]
    return first or None  # type: ignore[return-value]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("order", list(permutations("abc")), ids="".join)
@pytest.mark.parametrize("join", ["inner", "any", "outer"])
async def test_data(join: str, order: tuple[str, ...], pattern: tuple[bool, ...]) -> None:
    graph = executor(
        SOURCES
        + f"""
- name: d
  inputs: [a.outputs.t, b.outputs.t, c.outputs.t]
  inputsJoinType: {join}
output: {{steps: [d]}}
"""
    )
    await check(graph, join, order, pattern, step="d")


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("order", list(permutations("abc")), ids="".join)
@pytest.mark.parametrize("join", ["inner", "any", "outer"])
async def test_output(join: str, order: tuple[str, ...], pattern: tuple[bool, ...]) -> None:
    graph = executor(
        SOURCES
        + f"""
output:
  steps: [a.outputs.t, b.outputs.t, c.outputs.t]
  stepsJoin: {join}
"""
    )
    await check(graph, join, order, pattern, step=None)


async def check(
    graph: GraphExecutor,
    join: str,
    order: tuple[str, ...],
    pattern: tuple[bool, ...],
    step: str | None,
) -> None:
    models = Models({**answers(pattern), "d": {"r": 0}}, held="abc")
    task = asyncio.create_task(graph.execute(message(x=1), CONTEXT, models))
    for name in order:
        await until_idle()
        models.release(name)
    wanted = expected(join, pattern, order)
    if wanted is None:
        with pytest.raises(InvalidInput):
            await task
        assert "d" not in models.called
        return
    answer = await task
    assert not other_tasks()
    if step is None:
        assert values(answer) == [("t", [value]) for value in wanted]
    else:
        assert [asked for name, asked in models.calls if name == step] == [
            [("t", [value]) for value in wanted]
        ]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("join", ["inner", "any", "outer"])
async def test_triggers(join: str, pattern: tuple[bool, ...]) -> None:
    graph = executor(
        SOURCES
        + f"""
- name: d
  inputs: [p.inputs.x]
  triggers: [a.outputs.t, b.outputs.t, c.outputs.t]
  triggersJoinType: {join}
- name: always
output:
  steps: [always, d]
  stepsJoin: outer
"""
    )
    models = Models({**answers(pattern), "d": {"r": 9}, "always": {"s": 0}})
    answer = await run(graph, models)
    fires = all(pattern) if join == "inner" else any(pattern)
    assert ("d" in models.called) == fires
    assert values(answer) == [("s", [0]), *([("r", [9])] if fires else [])]
    if fires:
        assert dict(models.calls)["d"] == [("x", [1])]


@pytest.mark.parametrize(("data", "trigger"), PAIRS)
async def test_data_and_triggers_are_joined_inner(data: bool, trigger: bool) -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
    - name: d
      inputs: [a.outputs.t]
      inputsJoinType: any
      triggers: [b.outputs.t]
      triggersJoinType: any
    output: {steps: [d]}
    """)
    models = Models({**answers((data, trigger, True)), "d": {"r": 1}})
    if data and trigger:
        assert values(await run(graph, models)) == [("r", [1])]
    else:
        with pytest.raises(InvalidInput):
            await run(graph, models)
        assert "d" not in models.called


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_several_tensors_of_one_trigger_are_any_of_these(one: bool, other: bool) -> None:
    graph = executor("""
    steps:
    - name: a
    - name: d
      inputs: [p.inputs.x]
      triggers: [a.outputs.one, a.outputs.other]
    - name: always
    output:
      steps: [d, always]
      stepsJoin: outer
    """)
    answer = {"one": 1} if one else {}
    answer |= {"other": 1} if other else {}
    models = Models({"a": answer, "d": {"r": 1}, "always": {"s": 1}})
    await run(graph, models)
    assert ("d" in models.called) == (one or other)
