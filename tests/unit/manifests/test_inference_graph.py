"""A pipeline as a graph of Seldon Core 1 answers as the router does, whatever tree it becomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from infergraph.declaration import ModelDeclaration
from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.graph import GraphExecutor, Pipeline, parse_pipeline
from infergraph.manifests.inference_graph import GraphNode, NoGraphError, plan_graph
from infergraph.node import ALL, NONE, join
from infergraph.request import RequestContext
from infergraph.tensors import TensorSpec
from infergraph.v2 import Message, Tensor

HEAD = "apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n"
STEPS = "  steps:\n"


def tensors(names: str) -> tuple[TensorSpec, ...]:
    """Specs of BYTES tensors; one whose name ends with `?` may be left out."""
    return tuple(
        TensorSpec(name.rstrip("?"), "BYTES", (-1, 1), optional=name.endswith("?"))
        for name in names.split()
    )


def model(name: str, inputs: str, outputs: str, runtime: str = "infergraph.x") -> ModelDeclaration:
    return ModelDeclaration(name, tensors(inputs), tensors(outputs), runtime)


CATALOG = {
    each.name: each
    for each in (
        model("p", "x z?", ""),
        model("one", "x", "y"),
        model("two", "y", "y"),
        model("three", "y x", "w"),
        model("fork", "x", "left? right? y"),
        model("l", "left", "y"),
        model("r", "right", "y"),
        model("sum", "a b", "y"),
        model("four", "x", "v"),
        model("theirs", "v", "y", "other.Runtime"),
        model("renaming", "q", "y", "other.Runtime"),
    )
}


def parsed(steps: str, output: str) -> Pipeline:
    return parse_pipeline(f"{HEAD}{STEPS}{steps}  output: {output}\n", "p.yaml")


def planned(steps: str, output: str) -> GraphNode:
    return plan_graph(parsed(steps, output), CATALOG)


@dataclass
class Run:
    """A graph's execution: a model's outputs say what it read.

    Attributes:
        gives: Step -> the outputs that its model gives.
        answer: What its model answers, where that is not all there is to say of it.
        computed: The steps whose models computed, in order.
        handed: Node -> the names that came to it.
    """

    gives: Mapping[str, str]
    answer: Callable[[str, Message], Message] | None = None
    computed: list[str] = field(default_factory=list)
    handed: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, root: GraphNode, **request: str) -> dict[str, str]:
        sent = [Tensor.of_bytes(name, [value.encode()]) for name, value in request.items()]
        answer = asyncio.run(self._predict(root, Message(sent)))
        return {each.name: each.data.item().decode() for each in answer.tensors}

    async def _predict(self, node: GraphNode, message: Message) -> Message:
        self.handed[node.name] = message.names()
        if node.kind == "MODEL":
            message = await self._infer(node, message)
        if node.children:
            message = await self._below(node, message)
        if node.kind == "OUTPUT_TRANSFORMER":
            message = await self._infer(node, message)
        return message

    async def _below(self, node: GraphNode, message: Message) -> Message:
        asked = node.children
        if "ROUTE" in node.methods:
            route = node.node.route(message, node.name)
            if route == NONE:
                return message
            asked = asked if route == ALL else (asked[route],)
        answers = [await self._predict(child, message) for child in asked]
        if node.kind == "COMBINER":
            return await self._infer(node, join(answers))
        if "AGGREGATE" in node.methods:
            return node.node.joined(join(answers), node.name)
        return answers[0]

    async def _infer(self, node: GraphNode, message: Message) -> Message:
        async def compute(taken: Message) -> Message:
            self.computed.append(node.name)
            if self.answer is not None:
                return self.answer(node.name, taken)
            read = "+".join(each.data.item().decode() for each in taken.tensors)
            outputs = self.gives[node.name].split()
            return Message([Tensor.of_bytes(o, [f"{node.name}({read})".encode()]) for o in outputs])

        return await node.node.infer(message, compute, node.name)


ONE = "  - {name: one, inputs: [p.inputs.x]}\n"
FORK = "  - {name: fork, inputs: [p.inputs.x]}\n"
SIDES = "  - {name: l, inputs: [fork.outputs.left]}\n  - {name: r, inputs: [fork.outputs.right]}\n"


def test_what_a_later_step_reads_is_handed_on_and_a_name_that_is_taken_has_its_step() -> None:
    root = planned(
        f"{ONE}  - {{name: two, inputs: [one.outputs.y]}}\n"
        "  - {name: three, inputs: [two.outputs.y, p.inputs.x]}\n",
        "{steps: [three.outputs.w, one.outputs.y], tensorMap: {one.outputs.y: first}}",
    )
    run = Run({"one": "y", "two": "y", "three": "w"})

    assert run(root, x="in") == {"w": "three(two(one(in))+in)", "first": "one(in)"}
    assert root.is_chain
    assert root.described() == "a chain of 3 nodes"
    assert run.handed == {"one": ["x"], "two": ["first", "x"], "three": ["y", "first", "x"]}


def test_a_request_is_held_to_the_inputs_of_the_pipeline() -> None:
    root = planned(ONE, "{steps: [one.outputs.y]}")
    run = Run({"one": "y"})

    with pytest.raises(InvalidInput, match="one: missing input tensor 'x'; the graph takes: x, z"):
        run(root)
    with pytest.raises(InvalidInput, match="one: no input tensor 'other'; the graph takes: x, z"):
        run(root, x="in", other="in")
    assert run.computed == []


def test_a_step_that_all_wait_for_is_above_them_and_one_that_waits_for_all_joins_them() -> None:
    root = planned(
        f"{ONE}  - {{name: fork, inputs: [p.inputs.x]}}\n"
        "  - {name: sum, inputs: [one.outputs.y, fork.outputs.y],"
        " tensorMap: {one.outputs.y: a, fork.outputs.y: b}}\n",
        "{steps: [sum.outputs.y]}",
    )
    run = Run({"one": "y", "fork": "y left", "sum": "y"})

    assert (root.name, root.kind, root.methods) == ("sum", "COMBINER", ())
    assert [child.name for child in root.children] == ["one", "fork"]
    assert run(root, x="in") == {"y": "sum(one(in)+fork(in))"}
    assert root.described() == "a graph of 3 nodes: sum joins"
    with pytest.raises(InvalidInput, match="one: no input tensor 'q'"):
        run(root, x="in", q="in")


@pytest.mark.parametrize(
    ("given", "answer", "computed"),
    [
        ("left", "l(fork(in))", ["fork", "l"]),
        ("right", "r(fork(in))", ["fork", "r"]),
    ],
)
def test_a_node_routes_to_the_branch_that_has_anything_to_do(
    given: str, answer: str, computed: list[str]
) -> None:
    root = planned(
        FORK + SIDES, "{steps: [l.outputs.y, r.outputs.y, fork.outputs.y], stepsJoin: outer,"
        " tensorMap: {l.outputs.y: left_y, r.outputs.y: right_y}}",
    )  # fmt: skip
    run = Run({"fork": f"y {given}", "l": "y", "r": "y"})

    assert root.methods == ("ROUTE", "AGGREGATE")
    found = run(root, x="in")

    assert found == {f"{given}_y": answer, "y": "fork(in)"}
    assert run.computed == computed
    assert run.handed.keys() == set(computed)


def test_all_branches_are_asked_or_none() -> None:
    root = planned(
        FORK + SIDES, "{steps: [l.outputs.y, r.outputs.y, fork.outputs.y], stepsJoin: outer,"
        " tensorMap: {l.outputs.y: left_y, r.outputs.y: right_y}}",
    )  # fmt: skip
    both = Run({"fork": "y left right", "l": "y", "r": "y"})
    none = Run({"fork": "y", "l": "y", "r": "y"})

    assert both(root, x="in").keys() == {"left_y", "right_y", "y"}
    assert none(root, x="in") == {"y": "fork(in)"}
    assert none.handed.keys() == {"fork"}


def test_a_branch_in_which_a_step_always_fires_is_always_asked() -> None:
    root = planned(
        f"{FORK}  - {{name: two, inputs: [fork.outputs.y]}}\n"
        "  - {name: three, inputs: [two.outputs.y], triggers: [fork.outputs.left]}\n"
        "  - {name: r, inputs: [fork.outputs.right]}\n",
        "{steps: [two.outputs.y, three.outputs.w, r.outputs.y], stepsJoin: outer,"
        " tensorMap: {r.outputs.y: right_y}}",
    )
    run = Run({"fork": "y", "two": "y", "three": "w", "r": "y"})

    assert root.node.branches == [[], ["right"]]
    assert run(root, x="in") == {"y": "two(fork(in))"}
    assert run.computed == ["fork", "two"]


CASCADE = (
    f"{FORK}  - {{name: one, inputs: [p.inputs.x], triggers: [fork.outputs.right]}}\n",
    "{steps: [fork.outputs.left, one.outputs.y], stepsJoin: any,"
    " tensorMap: {fork.outputs.left: y}}",
)


def test_a_request_is_handed_on_only_to_a_step_that_may_fire() -> None:
    root = planned(*CASCADE)
    sure, unsure = Run({"fork": "left", "one": "y"}), Run({"fork": "right", "one": "y"})

    assert sure(root, x="in") == {"y": "fork(in)"}
    assert sure.computed == ["fork"]
    assert unsure(root, x="in") == {"y": "one(in)"}
    assert unsure.handed["one"] == ["right", "x"]


def test_a_graph_of_which_nothing_answers_says_so() -> None:
    with pytest.raises(
        InvalidInput, match="one: nothing reached the output of the graph, which is y; came: noth"
    ):
        Run({"fork": "", "one": "y"})(planned(*CASCADE), x="in")


def test_any_of_several_branches_is_joined_by_the_step_that_takes_it() -> None:
    root = planned(
        f"{FORK}{SIDES}  - {{name: two, inputs: [l.outputs.y, r.outputs.y], inputsJoinType: any}}\n"
        "  - {name: three, inputs: [two.outputs.y, p.inputs.x]}\n",
        "{steps: [three.outputs.w]}",
    )

    assert root.name == "fork"
    (last,) = root.children
    assert (last.name, last.kind) == ("three", "OUTPUT_TRANSFORMER")
    (joining,) = last.children
    assert (joining.name, joining.kind, joining.methods) == ("two", "COMBINER", ("ROUTE",))
    for side, computed in (("left", "l"), ("right", "r")):
        run = Run({"fork": side, "l": "y", "r": "y", "two": "y", "three": "w"})
        assert run(root, x="in") == {"w": f"three(two({computed}(fork(in)))+in)"}
        assert run.computed == ["fork", computed, "two", "three"]


def test_branches_that_nothing_connects_are_below_the_first_of_them() -> None:
    root = planned(
        f"{ONE}  - {{name: fork, inputs: [p.inputs.x]}}\n",
        "{steps: [one.outputs.y, fork.outputs.y], tensorMap: {fork.outputs.y: v}}",
    )

    assert [each.name for each in root.walk()] == ["one", "fork"]
    assert Run({"one": "y", "fork": "y right"})(root, x="in") == {"y": "one(in)", "v": "fork(in)"}


def test_a_model_of_another_runtime_may_stand_in_a_chain_that_asks_nothing_of_it() -> None:
    steps = "  - {name: four, inputs: [p.inputs.x]}\n  - {name: theirs, inputs: [four.outputs.v]}\n"

    root = planned(steps, "{steps: [theirs.outputs.y]}")

    assert [each.name for each in root.walk()] == ["four", "theirs"]
    with pytest.raises(NoGraphError, match="'theirs' is of another runtime, which hands nothing"):
        planned(steps, "{steps: [theirs.outputs.y, four.outputs.v]}")
    with pytest.raises(NoGraphError, match="'theirs' is of another runtime, which renames nothing"):
        planned(steps, "{steps: [theirs.outputs.y], tensorMap: {theirs.outputs.y: z}}")


@pytest.mark.parametrize(
    ("steps", "output", "reason"),
    [
        (
            f"{ONE}  - {{name: two, inputs: [one.outputs.y], batch: {{size: 2}}}}\n",
            "{steps: [two.outputs.y]}",
            "step 'two' gathers a batch",
        ),
        (
            f"{ONE}  - {{name: three, inputs: [one.outputs.y, one.inputs.x]}}\n",
            "{steps: [three.outputs.w]}",
            "step 'three' reads what step 'one' was sent",
        ),
        (
            f"{ONE}  - {{name: three, inputs: [one.outputs.y, p.inputs.x]}}\n",
            "{steps: [three.outputs.w, one.outputs.y], tensorMap: {one.outputs.y: x}}",
            "the output 'x' has the name of an input that is still read",
        ),
        (
            f"{FORK}  - {{name: sum, inputs: [fork.outputs.left, fork.outputs.right],"
            " tensorMap: {fork.outputs.left: a, fork.outputs.right: b}}\n"
            "  - {name: three, inputs: [sum.outputs.y, fork], inputsJoinType: any}\n",
            "{steps: [three.outputs.w]}",
            "step 'three' takes any of sources that bring different tensors",
        ),
        (
            f"{FORK}{SIDES}  - {{name: two, inputs: [l.outputs.y]}}\n",
            "{steps: [l.outputs.y, r.outputs.y, two.outputs.y], stepsJoin: outer,"
            " tensorMap: {two.outputs.y: v}}",
            "a step reads what may be another's output 'y'",
        ),
        (
            f"{ONE}  - {{name: renaming, inputs: [one.outputs.y], tensorMap: "
            "{one.outputs.y: q}}\n",
            "{steps: [renaming.outputs.y, one.outputs.y], tensorMap: {one.outputs.y: first}}",
            "step 'renaming' is of another runtime, which hands nothing on",
        ),
    ],
)
def test_what_cannot_be_a_tree_is_told(steps: str, output: str, reason: str) -> None:
    with pytest.raises(NoGraphError) as raised:
        planned(steps, output)
    assert any(each.startswith(reason) for each in raised.value.reasons), raised.value.reasons


def test_a_step_that_is_a_pipeline_is_no_node() -> None:
    catalog = {**CATALOG, "one": ModelDeclaration("one", (), (), pipeline=Path("one.yaml"))}

    with pytest.raises(NoGraphError, match="step 'one' is a pipeline"):
        plan_graph(parsed(ONE, "{steps: [one.outputs.y]}"), catalog)


NAMES = ("t0", "t1", "t2")
Reference = tuple[str, str]
"""A step or the pipeline, and the name of a tensor there."""


@dataclass(frozen=True)
class Random:
    """A pipeline, what its models declare, and what they leave out of their answers."""

    text: str
    catalog: Mapping[str, ModelDeclaration]
    left_out: Mapping[str, frozenset[str]]
    request: tuple[str, ...]

    def answer(self, step: str, sent: Message) -> Message:
        """All outputs that a step does not leave out; values that tell what it was sent."""
        read = sorted((each.name, each.data.item().decode()) for each in sent.tensors)
        given = [name for name in NAMES if name not in self.left_out[step]]
        value = f"{step}{read}"
        return Message([Tensor.of_bytes(name, [f"{name}:{value}".encode()]) for name in given])


def written(references: list[Reference]) -> list[str]:
    return [f"{step}.{'inputs' if step == 'p' else 'outputs'}.{name}" for step, name in references]


@st.composite
def pipelines(draw: Any) -> Random:
    sources = ["p"]
    steps, catalog, left_out = [], {}, {}

    def some(known: list[str], least: int) -> list[str]:
        one = st.tuples(st.sampled_from(known), st.sampled_from(NAMES))
        return written(draw(st.lists(one, min_size=least, max_size=3, unique=True)))

    for number in range(draw(st.integers(1, 6))):
        name = f"s{number}"
        inputs = some(sources, 1)
        step = {
            "name": name,
            "inputs": inputs,
            "inputsJoinType": draw(st.sampled_from(["inner", "outer"])),
            "tensorMap": {each: f"i{place}" for place, each in enumerate(inputs)},
        }
        if draw(st.booleans()):
            step |= {
                "triggers": some(sources, 1),
                "triggersJoinType": draw(st.sampled_from(["inner", "any"])),
            }
        steps.append(step)
        left_out[name] = draw(st.frozensets(st.sampled_from(NAMES), max_size=2))
        marks = [f"{each}?" if each in left_out[name] else each for each in NAMES]
        catalog[name] = model(name, "", " ".join(marks))
        sources.append(name)
    ends = some(sources[1:], 1)
    output = {
        "steps": ends,
        "stepsJoin": draw(st.sampled_from(["inner", "outer"])),
        "tensorMap": {each: f"o{place}" for place, each in enumerate(ends)},
    }
    request = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    declared = [each if each in request else f"{each}?" for each in NAMES]
    catalog["p"] = model("p", " ".join(declared), "")
    text = f"{HEAD}  steps: {json.dumps(steps)}\n  output: {json.dumps(output)}\n"
    return Random(text, catalog, left_out, tuple(request))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(pipelines())
def test_a_tree_answers_as_the_router_does(random: Random) -> None:
    try:
        pipeline = parse_pipeline(random.text, "p.yaml")
        root = plan_graph(pipeline, random.catalog)
    except (ConfigurationError, NoGraphError):
        reject()
    request = {name: f"request.{name}" for name in random.request}

    async def infer(step: str, message: Message, *_: object) -> Message:
        return random.answer(step, message)

    async def routed() -> dict[str, str]:
        sent = [Tensor.of_bytes(name, [value.encode()]) for name, value in request.items()]
        answer = await GraphExecutor(pipeline).execute(Message(sent), RequestContext(), infer)
        return {each.name: each.data.item().decode() for each in answer.tensors}

    try:
        expected = asyncio.run(routed())
    except InvalidInput:
        with pytest.raises(InvalidInput):
            Run({}, random.answer)(root, **request)
        return
    run = Run({}, random.answer)
    assert run(root, **request) == expected
    assert len(set(run.computed)) == len(run.computed)
