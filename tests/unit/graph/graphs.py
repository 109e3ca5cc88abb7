"""Pipelines and models for the tests of the graph package."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np

from infergraph.declaration import ModelDeclaration
from infergraph.graph import GraphExecutor, parse_pipeline
from infergraph.request import RequestContext
from infergraph.tensors import TensorSpec
from infergraph.v2 import Message, Tensor

CONTEXT = RequestContext()

Answer = Mapping[str, float] | Callable[[Message], Mapping[str, float]]


def resource(spec: str, name: str = "p", annotations: str = "") -> str:
    """The text of a pipeline file with this spec."""
    head = f"apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\nmetadata:\n  name: {name}\n"
    if annotations:
        head += (
            "  annotations:\n"
            + textwrap.indent(textwrap.dedent(annotations).strip("\n"), "    ")
            + "\n"
        )
    return head + "spec:\n" + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n"


def executor(spec: str, name: str = "p", annotations: str = "") -> GraphExecutor:
    return GraphExecutor(parse_pipeline(resource(spec, name, annotations), "p.yaml"))


def tensor(name: str, *values: float) -> Tensor:
    """FP64 [len(values), 1]."""
    return Tensor(name, "FP64", np.array(values, dtype=np.float64).reshape(-1, 1))


def message(id: str = "request", /, **values: float) -> Message:
    """One tensor of one item per keyword."""
    return Message([tensor(name, value) for name, value in values.items()], id)


def values(answer: Message) -> list[tuple[str, list[float]]]:
    """Names and values of a message's tensors, in order."""
    return [(one.name, one.data.ravel().tolist()) for one in answer.tensors]


class Models:
    """Models that answer what they are told to, and remember what they were asked.

    A model in `held` begins and then waits for `release`.
    """

    def __init__(self, answers: Mapping[str, Answer | Exception], held: Sequence[str] = ()) -> None:
        self._answers = answers
        self._gates = {name: asyncio.Event() for name in held}
        self._begun: dict[str, asyncio.Event] = {}
        self.calls: list[tuple[str, list[tuple[str, list[float]]]]] = []
        self.requests: list[Message] = []
        self.items: list[int | None] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []

    @property
    def called(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def __call__(
        self, step: str, request: Message, context: RequestContext, item: int | None
    ) -> Message:
        assert context is CONTEXT
        self.calls.append((step, values(request)))
        self.requests.append(request)
        self.items.append(item)
        self.begun(step).set()
        if step in self._gates:
            try:
                await self._gates[step].wait()
            except asyncio.CancelledError:
                self.cancelled.append(step)
                raise
        self.finished.append(step)
        answer = self._answers[step]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        return Message(
            [tensor(name, value) for name, value in answer.items()],
            f"{request.id}/{step}",
            {"from": step},
        )

    def begun(self, name: str) -> asyncio.Event:
        return self._begun.setdefault(name, asyncio.Event())

    def release(self, name: str) -> None:
        self._gates[name].set()


async def until_idle() -> None:
    """Lets every task run until it waits for something else than its turn."""
    for _ in range(50):
        await asyncio.sleep(0)


def other_tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


def begin(graph: GraphExecutor, models: Models) -> asyncio.Task[Message]:
    return asyncio.create_task(graph.execute(message(x=1), CONTEXT, models))


async def run(graph: GraphExecutor, models: Models, request: Message | None = None) -> Message:
    try:
        return await graph.execute(request or message(x=1), CONTEXT, models)
    finally:
        assert not other_tasks()


async def failure(awaitable: Awaitable[object]) -> BaseException:
    """The error that an awaitable raises."""
    try:
        await awaitable
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def specs(text: str) -> tuple[TensorSpec, ...]:
    """Specs from ``name DATATYPE 1,2`` separated by semicolons; a trailing ``?`` is optional."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(";"))):
        name, datatype, shape = one.split()
        sizes = tuple(int(size) for size in shape.split(","))
        found.append(TensorSpec(name.rstrip("?"), datatype, sizes, name.endswith("?")))
    return tuple(found)


def catalog(**models: tuple[str, str]) -> dict[str, ModelDeclaration]:
    """A catalog from name to inputs and outputs; underscores in names stand for hyphens."""
    return {
        (name := key.replace("_", "-")): ModelDeclaration(name, specs(inputs), specs(outputs))
        for key, (inputs, outputs) in models.items()
    }
