"""The executor against the naive interpreter, on random graphs and random timings."""

from __future__ import annotations

import asyncio
import heapq
import json
from typing import Any

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from infergraph.errors import InvalidInput
from infergraph.graph import GraphExecutor, parse_pipeline
from infergraph.v2 import Message
from tests.unit.graph.graphs import CONTEXT, resource, tensor, until_idle
from tests.unit.graph.reference_interpreter import Ambiguous, Node, Tensors, interpret

TENSORS = ("t0", "t1", "t2")
JOINS = st.sampled_from(["inner", "any", "outer"])


class Graph:
    """A random graph: steps in an order that they can run in, and how its models behave."""

    def __init__(
        self,
        steps: dict[str, Node],
        output: Node,
        left_out: dict[str, frozenset[str]],
        order: list[int],
        request: Tensors,
    ) -> None:
        self.steps, self.output, self.left_out, self.request = steps, output, left_out, request
        # Sums of different powers of two differ, so no two steps answer at the same time.
        self.durations = {name: 2**place for name, place in zip(steps, order, strict=True)}

    def model(self, name: str, sent: Tensors) -> Tensors:
        """Every tensor that the step does not leave out; values that tell what it was sent."""
        base = 1 + sum((i + 1) * value for i, (_, value) in enumerate(sent))
        salt = 7 * list(self.steps).index(name)
        return [
            (one, (base * (i + 2) + salt) % 10007)
            for i, one in enumerate(TENSORS)
            if one not in self.left_out[name]
        ]

    @property
    def text(self) -> str:
        def references(some: list[tuple[str, str, str | None]]) -> list[str]:
            return [".".join(filter(None, one)) for one in some]

        def renames(node: Node) -> dict[str, str]:
            return {".".join(key): name for key, name in node.renames.items()}

        # In reverse, as the order in the file must not matter.
        steps = [
            {
                "name": name,
                "inputs": references(step.inputs),
                "inputsJoinType": step.join,
                "triggers": references(step.triggers),
                "triggersJoinType": step.triggers_join,
                "tensorMap": renames(step),
            }
            for name, step in reversed(self.steps.items())
        ]
        output = {
            "steps": references(self.output.inputs),
            "stepsJoin": self.output.join,
            "tensorMap": renames(self.output),
        }
        return resource(f"steps: {json.dumps(steps)}\noutput: {json.dumps(output)}")

    def __repr__(self) -> str:
        return f"{self.text}left out: {self.left_out}\ndurations: {self.durations}\n{self.request}"


@st.composite
def references(draw: Any, sources: list[tuple[str, str]]) -> list[tuple[str, str, str | None]]:
    one = st.tuples(st.sampled_from(sources), st.sampled_from([None, *TENSORS]))
    return [
        (source, port, name)
        for (source, port), name in draw(st.lists(one, min_size=1, max_size=4, unique=True))
    ]


@st.composite
def graphs(draw: Any) -> Graph:
    count = draw(st.integers(1, 7))
    sources = [("p", "inputs")]
    steps: dict[str, Node] = {}
    for index in range(count):
        steps[f"s{index}"] = draw(nodes(sources, with_triggers=True))
        sources += [(f"s{index}", "outputs"), (f"s{index}", "inputs")]
    output = draw(nodes(sources[1:], with_triggers=False))
    left_out = {name: draw(st.frozensets(st.sampled_from(TENSORS))) for name in steps}
    order = draw(st.permutations(range(count)))
    names = draw(st.lists(st.sampled_from(TENSORS), min_size=1, unique=True))
    return Graph(steps, output, left_out, order, [(name, i + 1) for i, name in enumerate(names)])


@st.composite
def nodes(draw: Any, sources: list[tuple[str, str]], with_triggers: bool) -> Node:
    inputs = draw(references(sources))
    renamed = st.tuples(st.sampled_from([(s, p) for s, p, _ in inputs]), st.sampled_from(TENSORS))
    new_names = st.sampled_from(["t0", "t1", "new"])
    return Node(
        inputs,
        draw(JOINS),
        draw(st.just([]) | references(sources)) if with_triggers else [],
        draw(JOINS),
        {
            (s, p, t): name
            for ((s, p), t), name in draw(st.dictionaries(renamed, new_names, max_size=2)).items()
        },
    )


class Clock:
    """Steps take the time they are said to take, and no real time passes."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._now = 0
        self._due: list[tuple[int, str, asyncio.Future[None]]] = []
        self.sent: dict[str, Tensors] = {}
        self.finished: set[str] = set()
        self.cancelled: set[str] = set()

    async def infer(self, step: str, request: Message, *_: object) -> Message:
        assert step not in self.sent, "a step fires at most once"
        sent = [(one.name, float(one.data[0, 0])) for one in request.tensors]
        self.sent[step] = sent
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._due, (self._now + self._graph.durations[step], step, done))
        try:
            await done
        except asyncio.CancelledError:
            self.cancelled.add(step)
            raise
        self.finished.add(step)
        return Message([tensor(*one) for one in self._graph.model(step, sent)])

    async def drive(self, task: asyncio.Task[Message]) -> None:
        await until_idle()
        while not task.done():
            assert self._due, "the request waits although no step runs"
            self._now, _, done = heapq.heappop(self._due)
            if not done.done():
                done.set_result(None)
            await until_idle()


def off_path(graph: Graph) -> set[str]:
    """Steps from which nothing leads to the output."""
    todo, on_path = [graph.output], set()
    for node in todo:
        for source, _, _ in (*node.inputs, *node.triggers):
            if source != "p" and source not in on_path:
                on_path.add(source)
                todo.append(graph.steps[source])
    return set(graph.steps) - on_path


async def check(graph: Graph) -> None:
    models = {name: (lambda sent, name=name: graph.model(name, sent)) for name in graph.steps}
    try:
        expected = interpret(graph.steps, graph.output, graph.request, models, graph.durations)
    except Ambiguous:
        reject()
    executor = GraphExecutor(parse_pipeline(graph.text, "p.yaml"))
    clock = Clock(graph)
    request = Message([tensor(*one) for one in graph.request])
    task = asyncio.create_task(executor.execute(request, CONTEXT, clock.infer))
    await clock.drive(task)
    try:
        answer = task.result()
    except InvalidInput:
        assert expected.answer is None
    else:
        got = [(one.name, float(one.data[0, 0])) for one in answer.tensors]
        assert got == expected.answer
        # All that fires off the path is awaited.
        assert clock.finished >= off_path(graph) & set(expected.sent)
    # What was not spared was sent just what it should be.
    assert clock.sent.items() <= expected.sent.items()
    assert clock.finished | clock.cancelled == set(clock.sent)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_executor_agrees_with_the_naive_interpreter(graph: Graph) -> None:
    asyncio.run(check(graph))
