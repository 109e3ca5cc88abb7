"""Cycles, which Seldon Core v2 allows from 2.7 on with `allowCycles`."""

from __future__ import annotations

import pytest

from infergraph.errors import InvalidInput, StageFailure
from infergraph.graph import GraphExecutor
from tests.unit.graph.graphs import Models, executor, message, run, values

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")


def counter(max_revisits: int = 20) -> GraphExecutor:
    """Counts to ten; the shape of the example in Seldon's documentation."""
    return executor(f"""
    allowCycles: true
    maxStepRevisits: {max_revisits}
    steps:
    - name: counter
      inputsJoinType: any
      inputs: [p.inputs, loop.outputs]
    - name: done
      inputs: [counter.outputs.n]
      triggers: [counter.outputs.stop]
    - name: loop
      inputs: [counter.outputs.n]
      triggers: [counter.outputs.continue]
    output: {{steps: [done]}}
    """)


def counting() -> Models:
    def count(request: object) -> dict[str, float]:
        n = request.tensors[0].data[0, 0] + 1  # type: ignore[attr-defined]
        return {"n": n, "continue" if n < 10 else "stop": 0}

    def same(request: object) -> dict[str, float]:
        return {"n": request.tensors[0].data[0, 0]}  # type: ignore[attr-defined]

    return Models({"counter": count, "loop": same, "done": same})


@pytest.mark.parametrize(("start", "rounds"), [(0, 10), (8, 2), (9, 1), (50, 1)])
async def test_a_loop_ends_when_the_output_is_reached(start: int, rounds: int) -> None:
    models = counting()
    answer = await run(counter(), models, message(n=start))
    assert values(answer) == [("n", [max(10, start + 1)])]
    assert models.called.count("counter") == rounds
    assert models.called.count("loop") == rounds - 1
    assert models.called.count("done") == 1


async def test_revisits_are_limited() -> None:
    models = counting()
    assert values(await run(counter(9), models, message(n=0))) == [("n", [10])]
    with pytest.raises(StageFailure, match="step 'counter' was to fire again after 8 revisits"):
        await run(counter(8), counting(), message(n=0))


async def test_a_loop_that_stops_without_an_answer_is_an_error() -> None:
    models = Models({"counter": {"n": 1}})
    with pytest.raises(InvalidInput, match="not 'stop'"):
        await run(counter(), models, message(n=0))


async def test_what_is_outside_of_the_loop_is_joined_in_every_round() -> None:
    graph = executor("""
    allowCycles: true
    maxStepRevisits: 5
    steps:
    - name: step
      inputs: [p.inputs.n, refine.outputs.n]
      inputsJoinType: any
    - name: refine
      inputs: [step.outputs.n, p.inputs.image]
      triggers: [step.outputs.again]
    - name: audit
      inputs: [step.outputs.n]
    output: {steps: [step.outputs.final]}
    """)

    def step(request: object) -> dict[str, float]:
        n = request.tensors[0].data[0, 0]  # type: ignore[attr-defined]
        return {"n": n, "again": 1} if n < 3 else {"n": n, "final": n}

    def refine(request: object) -> dict[str, float]:
        return {"n": request.tensors[0].data[0, 0] + 1}  # type: ignore[attr-defined]

    models = Models({"step": step, "refine": refine, "audit": {}})
    answer = await run(graph, models, message(n=1, image=7))
    assert values(answer) == [("final", [3])]
    refined = [request for name, request in models.calls if name == "refine"]
    assert refined == [[("n", [1]), ("image", [7])], [("n", [2]), ("image", [7])]]
    # Off the output's path, and awaited in every round.
    assert [r for name, r in models.calls if name == "audit"] == [[("n", [n])] for n in (1, 2, 3)]


async def test_a_loop_without_an_outer_source_is_left_out_of_an_outer_join() -> None:
    graph = executor("""
    allowCycles: true
    maxStepRevisits: 5
    steps:
    - name: plain
    - name: head
      inputs: [p.inputs.gone, tail]
      inputsJoinType: any
    - name: tail
      inputs: [head]
    output:
      steps: [plain, head]
      stepsJoin: outer
    """)
    models = Models({"plain": {"y": 1}})
    assert values(await run(graph, models)) == [("y", [1])]


async def test_two_loops_turn_independently() -> None:
    graph = executor("""
    allowCycles: true
    maxStepRevisits: 9
    steps:
    - name: a
      inputs: [p.inputs.x, a-again.outputs.x]
      inputsJoinType: any
    - name: a-again
      inputs: [a.outputs.more]
      tensorMap: {a.outputs.more: x}
    - name: b
      inputs: [p.inputs.y, b-again.outputs.y]
      inputsJoinType: any
    - name: b-again
      inputs: [b.outputs.more]
      tensorMap: {b.outputs.more: y}
    output: {steps: [a.outputs.end, b.outputs.end]}
    """)

    def until(limit: float) -> object:
        def model(request: object) -> dict[str, float]:
            n = request.tensors[0].data[0, 0]  # type: ignore[attr-defined]
            return {"more": n + 1} if n < limit else {"end": n}

        return model

    models = Models(
        {
            "a": until(2),  # type: ignore[dict-item]
            "b": until(5),  # type: ignore[dict-item]
            "a-again": lambda m: {"x": m.tensors[0].data[0, 0]},
            "b-again": lambda m: {"y": m.tensors[0].data[0, 0]},
        }
    )
    assert values(await run(graph, models, message(x=0, y=0))) == [("end", [2]), ("end", [5])]
    assert (models.called.count("a"), models.called.count("b")) == (3, 6)


async def test_what_fed_back_once_does_not_feed_back_again() -> None:
    """`d` stands outside of what `a` fires anew, so its message stays where it was."""
    graph = executor("""
    allowCycles: true
    maxStepRevisits: 9
    steps:
    - name: a
      inputs: [p.inputs.x, d.outputs.x]
      inputsJoinType: any
    - name: b
      inputs: [a.outputs.x]
    - name: c
      inputs: [p.inputs.x, b.outputs.x]
      inputsJoinType: any
    - name: d
      inputs: [c.outputs.x]
    output: {steps: [a.outputs.end]}
    """)
    models = Models({"a": {"x": 1}, "b": {}, "c": {"x": 1}, "d": {"x": 1}})
    with pytest.raises(InvalidInput, match="step 'a' answered with 'x', not 'end'"):
        await run(graph, models)
    assert [models.called.count(name) for name in "abcd"] == [2, 2, 1, 1]


async def test_an_any_inside_of_a_loop_does_not_fire_twice_with_the_same_message() -> None:
    graph = executor("""
    allowCycles: true
    maxStepRevisits: 9
    steps:
    - name: head
      inputs: [p.inputs.n, back.outputs.n]
      inputsJoinType: any
    - name: back
      inputs: [head.outputs.n]
      triggers: [head.outputs.again]
    - name: either
      inputs: [p.inputs.k, head.outputs.n]
      inputsJoinType: any
    output: {steps: [head.outputs.final]}
    """)

    def head(request: object) -> dict[str, float]:
        n = request.tensors[0].data[0, 0]  # type: ignore[attr-defined]
        return {"n": n, "again" if n < 2 else "final": n}

    models = Models({"head": head, "back": {"n": 2}, "either": {"r": 0}})
    answer = await run(graph, models, message(n=1, k=7))
    assert values(answer) == [("final", [2])]
    assert [r for name, r in models.calls if name == "either"] == [[("k", [7])], [("n", [2])]]
