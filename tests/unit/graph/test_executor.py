"""What reaches a step and the output, when the graph's conditions hold and when they do not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.graph import GraphExecutor, Pipeline
from infergraph.v2 import Message, Tensor
from tests.unit.graph.graphs import (
    CONTEXT,
    Models,
    executor,
    message,
    run,
    tensor,
    until_idle,
    values,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")

CHAIN = """
steps:
- name: a
- name: b
  inputs: [a]
output: {steps: [b]}
"""


async def test_a_chain_hands_answers_on() -> None:
    models = Models({"a": lambda m: {"y": m.tensors[0].data[0, 0] + 1}, "b": {"z": 5}})
    answer = await run(executor(CHAIN), models, message(x=1))
    assert models.calls == [("a", [("x", [1])]), ("b", [("y", [2])])]
    assert values(answer) == [("z", [5])]
    assert (answer.id, answer.parameters) == ("request/a/b", {"from": "b"})


async def test_arrays_are_handed_on_uncopied() -> None:
    models = Models({"a": {"y": 1}, "b": {"z": 1}})
    request = message(x=1)
    await run(executor(CHAIN), models, request)
    assert np.shares_memory(models.requests[0].tensors[0].data, request.tensors[0].data)


async def test_arrays_that_are_read_only_are_handed_on_as_they_are() -> None:
    models = Models({"a": {"y": 1}, "b": {"z": 1}})
    request = message(x=1)
    request.tensors[0].data.flags.writeable = False
    await run(executor(CHAIN), models, request)
    assert models.requests[0].tensors[0].data is request.tensors[0].data


SIBLINGS = """
steps:
- {name: first}
- {name: left, inputs: [first.outputs.y]}
- {name: right, inputs: [first.outputs.y]}
output: {steps: [left, right]}
"""


@pytest.mark.parametrize("greedy", ["first", "left", "right"])
@pytest.mark.parametrize("annotation", ["", 'infergraph.io/per-item: "true"'])
async def test_a_step_cannot_change_what_others_are_sent(greedy: str, annotation: str) -> None:
    seen: dict[str, float] = {}

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        data = request.tensors[0].data
        if step == greedy:
            with pytest.raises(ValueError, match="read-only"):
                data[0, 0] = -1
        await until_idle()
        seen[step] = float(data[0, 0])
        return Message([tensor("y", 5)])

    request = message(x=1)
    answer = await executor(SIBLINGS, annotations=annotation).execute(request, CONTEXT, infer)
    assert seen == {"first": 1, "left": 5, "right": 5}
    assert values(answer) == [("y", [5]), ("y", [5])]
    # The caller's own array stays as writeable as it was.
    assert request.tensors[0].data.flags.writeable


async def test_what_a_batching_step_gathers_cannot_be_changed_either() -> None:
    graph = executor(
        """
        steps:
        - {name: a, batch: {size: 2}}
        - {name: b, inputs: [a.inputs.x]}
        """
    )

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        assert values(request) == [("x", [1, 2])]
        assert not request.tensors[0].data.flags.writeable
        return Message([tensor("y", 1)])

    for value in (1, 2):
        await graph.execute(message(x=value), CONTEXT, infer)


async def test_the_answer_is_the_callers_own() -> None:
    produced = Message([tensor("z", 1)], "id", {"k": 1})

    async def infer(*_: object) -> Message:
        return produced

    graph = executor("steps: [{name: a}]\noutput: {steps: [a]}")
    answer = await graph.execute(message(x=1), None, infer)  # type: ignore[arg-type]
    answer.tensors.append(tensor("more", 1))
    answer.parameters["more"] = True
    assert produced.names() == ["z"]
    assert produced.parameters == {"k": 1}


async def test_a_trace_is_not_sent_on_to_the_next_step() -> None:
    requests = []

    async def infer(step: str, request: Message, *_: object) -> Message:
        requests.append(request)
        return Message([tensor("y", 1)], trace={"model": step})

    await executor(CHAIN).execute(message(x=1), None, infer)  # type: ignore[arg-type]
    assert [request.trace for request in requests] == [None, None]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("", [("x", [1]), ("y", [2]), ("z", [3])]),
        ("inputs: [p]", [("x", [1]), ("y", [2]), ("z", [3])]),
        ("inputs: [p.inputs.z, p.inputs.x]", [("x", [1]), ("z", [3])]),
        ("inputs: [p, p.inputs.y]", [("y", [2])]),
        ("inputs: [p.inputs.y, p.inputs.gone]", [("y", [2])]),
    ],
    ids=["implicit", "name", "payload order", "named beats plain", "any of one source"],
)
async def test_tensors_of_one_source(inputs: str, expected: list[tuple[str, list[float]]]) -> None:
    graph = executor(f"steps:\n- name: a\n  {inputs}\noutput: {{steps: [a]}}")
    models = Models({"a": {"out": 0}})
    await run(graph, models, message(x=1, y=2, z=3))
    assert models.calls == [("a", expected)]


async def test_clashing_names_keep_both_in_order_of_first_mention() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
    - name: c
      inputs: [b.outputs.y, a, b.outputs.z]
    output: {steps: [c]}
    """)
    models = Models({"a": {"y": 1}, "b": {"y": 2, "z": 3}, "c": {"out": 0}})
    await run(graph, models)
    assert models.calls[-1] == ("c", [("y", [2]), ("z", [3]), ("y", [1])])
    # The leftmost source is b, wherever it finished.
    assert models.requests[-1].id == "request/b"
    assert models.requests[-1].parameters == {"from": "b"}


async def test_tensors_are_renamed_by_the_step_that_receives_and_by_the_output() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
      inputs: [a, p.inputs.x]
      tensorMap: {a.outputs.y: question, p.inputs.x: context, a.outputs.gone: nothing}
    - name: c
      inputs: [a]
    output:
      steps: [b, c]
      tensorMap: {c.outputs.r: r_of_c}
    """)
    models = Models({"a": {"y": 2, "k": 3}, "b": {"r": 4}, "c": {"r": 5}})
    answer = await run(graph, models)
    asked = dict(models.calls)
    assert asked["b"] == [("question", [2]), ("k", [3]), ("context", [1])]
    assert asked["c"] == [("y", [2]), ("k", [3])]
    assert values(answer) == [("r", [4]), ("r_of_c", [5])]


async def test_what_a_step_was_sent_is_a_source_too() -> None:
    graph = executor("""
    steps:
    - name: a
    - name: b
      inputs: [a, p.inputs.x]
      tensorMap: {a.outputs.y: q}
    - name: audit
      inputs: [b.inputs]
    - name: part
      inputs: [b.inputs.q]
    output: {steps: [b, audit, part]}
    """)
    models = Models({"a": {"y": 2}, "b": {"z": 1}, "audit": {"v": 1}, "part": {"w": 1}}, held=["b"])
    task = asyncio.create_task(graph.execute(message(x=1), CONTEXT, models))
    # It is there when the step fires, not when it has answered.
    await models.begun("audit").wait()
    models.release("b")
    answer = await task
    asked = dict(models.calls)
    assert asked["audit"] == [("q", [2]), ("x", [1])]
    assert asked["part"] == [("q", [2])]
    assert values(answer) == [("z", [1]), ("v", [1]), ("w", [1])]


@pytest.mark.parametrize(
    ("escalates", "expected", "called"),
    [
        (False, [("label", [1])], ["light"]),
        (True, [("label", [2])], ["light", "heavy"]),
    ],
)
async def test_the_cascade(
    escalates: bool, expected: list[tuple[str, list[float]]], called: list[str]
) -> None:
    graph = executor("""
    steps:
    - name: light
    - name: heavy
      inputs: [p.inputs.x]
      triggers: [light.outputs.escalate]
    output:
      steps: [light.outputs.accepted, heavy.outputs.label]
      stepsJoin: any
      tensorMap: {light.outputs.accepted: label}
    """)
    models = Models(
        {"light": {"escalate": 1} if escalates else {"accepted": 1}, "heavy": {"label": 2}}
    )
    assert values(await run(graph, models)) == expected
    assert models.called == called
    # A trigger's tensors are not passed on.
    assert all(request == [("x", [1])] for _, request in models.calls)


async def test_a_plain_reference_passes_an_empty_message() -> None:
    models = Models({"a": {}, "b": {"z": 1}})
    assert values(await run(executor(CHAIN), models)) == [("z", [1])]
    assert models.calls[-1] == ("b", [])


async def test_without_output_the_answer_is_empty_and_all_steps_are_done() -> None:
    models = Models({"a": {"y": 1}, "b": {"z": 1}})
    answer = await run(executor("steps: [{name: a}, {name: b}]"), models)
    assert (answer.tensors, answer.id) == ([], "request")
    assert sorted(models.finished) == ["a", "b"]


async def test_nothing_to_fire_is_an_error_that_says_why() -> None:
    graph = executor("""
    steps:
    - name: light
    - name: heavy
      inputs: [p.inputs.x]
      triggers: [light.outputs.escalate]
    output:
      steps: [light.outputs.accepted, heavy.outputs.label]
      stepsJoin: any
    """)
    with pytest.raises(InvalidInput) as caught:
        await run(graph, Models({"light": {"score": 1}, "heavy": {}}))
    assert str(caught.value) == (
        "pipeline 'p': nothing reached the output, which takes any of light.outputs.accepted and "
        "heavy.outputs.label: step 'light' answered with 'score', not 'accepted'; step 'heavy' "
        "did not fire: its triggers take light.outputs.escalate; step 'light' answered with "
        "'score', not 'escalate'"
    )


async def test_a_request_without_the_wanted_tensor_is_told_so() -> None:
    graph = executor("steps: [{name: a, inputs: [p.inputs.image]}]\noutput: {steps: [a]}")
    with pytest.raises(InvalidInput, match=r"the request brought 'x', not 'image'$"):
        await run(graph, Models({}))


async def test_a_skipped_chain_of_any_length_is_no_recursion() -> None:
    steps = "".join(
        f"- name: s{i}\n  inputs: [{f's{i - 1}' if i else 'p.inputs.gone'}]\n" for i in range(500)
    )
    graph = executor("steps:\n" + steps + "output: {steps: [s499]}")
    with pytest.raises(InvalidInput, match="and 493 more reasons"):
        await run(graph, Models({}))


async def test_the_executor_may_serve_many_requests_at_once() -> None:
    graph = executor(CHAIN)
    models = Models(
        {
            "a": lambda m: {"y": m.tensors[0].data[0, 0] * 2},
            "b": lambda m: {"z": m.tensors[0].data[0, 0] + 1},
        }
    )
    requests = (graph.execute(message(x=i), CONTEXT, models) for i in range(20))
    answers = await asyncio.gather(*requests)
    assert [values(answer) for answer in answers] == [[("z", [2 * i + 1])] for i in range(20)]


def test_a_pipeline_that_was_not_linted_fails_when_it_is_compiled() -> None:
    def pipeline(*steps: dict[str, object]) -> Pipeline:
        return Pipeline.model_validate({"metadata": {"name": "p"}, "spec": {"steps": list(steps)}})

    with pytest.raises(ConfigurationError, match=r"no source 'b\.outputs'"):
        GraphExecutor(pipeline({"name": "a", "inputs": ["b"]}))
    with pytest.raises(ConfigurationError, match="steps wait for each other: a -> a"):
        GraphExecutor(pipeline({"name": "a", "inputs": ["a"]}))
    with pytest.raises(ConfigurationError, match=r"'a\.b' is no reference"):
        GraphExecutor(pipeline({"name": "a", "inputs": ["a.b"]}))


@pytest.mark.parametrize(
    ("source", "fed"),
    [
        ({"externalInputs": ["q.outputs.x", "r"]}, "q.outputs.x, r"),
        ({"externalInputs": ["q"], "externalTriggers": ["r.step.s"]}, "q, r.step.s"),
    ],
)
def test_a_pipeline_that_others_feed_is_refused(source: dict[str, object], fed: str) -> None:
    spec = {"input": source, "steps": [{"name": "a"}]}
    pipeline = Pipeline.model_validate({"metadata": {"name": "p"}, "spec": spec})
    with pytest.raises(ConfigurationError) as caught:
        GraphExecutor(pipeline)
    assert str(caught.value).startswith(f"pipeline 'p': spec.input lets {fed} start it, which only")
    assert "remove spec.input, and send it requests" in str(caught.value)


async def test_tensors_of_any_datatype_pass() -> None:
    data = np.array([b"caf\xc3\xa9", b""], dtype=object).reshape(2, 1)
    seen = []

    async def infer(step: str, request: Message, *_: object) -> Message:
        seen.append(request.tensors[0])
        return request

    answer = await executor(CHAIN).execute(Message([Tensor("x", "BYTES", data)]), None, infer)  # type: ignore[arg-type]
    assert np.shares_memory(answer.tensors[0].data, data)
    assert [one.datatype for one in seen] == ["BYTES", "BYTES"]
