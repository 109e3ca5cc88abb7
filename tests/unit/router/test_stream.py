"""Answers in parts, as the last step of a pipeline gives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from infergraph import registry
from infergraph.errors import DeadlineExceeded, Overloaded, StageFailure, StageUnavailable
from infergraph.request import Deadline, RequestContext
from infergraph.router import PipelineRouter
from infergraph.v2 import Message, Tensor
from tests.unit.router.world import CHAIN, Answer, Model, mapping, request, values

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]


class Counting:
    """A model that answers in parts: 0, 1, 2, ..., each `x` and a `side`."""

    name = "negate"

    def __init__(self, parts: int, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = asyncio.Event()
        self.context: RequestContext | None = None
        self._parts = parts
        self._error = error

    async def infer(self, message: Message, context: RequestContext) -> Message:
        return Message([Tensor.of("x", np.array([[self._parts]]))])

    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncGenerator[Message, None]:
        self.context = context
        try:
            for part in range(self._parts):
                self.given += 1
                tensors = [Tensor.of("x", np.array([[part]])), Tensor.of("side", np.zeros((1, 1)))]
                yield Message(tensors, "a model's own", {"part": part})
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()


@pytest.fixture
def counting() -> Iterator[Callable[..., Counting]]:
    models: list[Counting] = []

    def make(parts: int = 3, error: Exception | None = None) -> Counting:
        models.append(Counting(parts, error))
        registry.register(models[-1])
        return models[-1]

    yield make
    for model in models:
        registry.unregister(model)


@pytest.fixture
def double(serve: Serve) -> Model:
    return serve("double", mapping(lambda data: data * 2))


async def parts_of(router: PipelineRouter, **context: Any) -> list[Message]:
    return [part async for part in router.infer_stream(request(1), RequestContext(**context))]


async def test_parts_come_as_the_last_step_gives_them(
    double: Model, counting: Callable[..., Counting], loaded: Load
) -> None:
    model = counting(3)
    router = await loaded("chain", CHAIN)
    seen = []
    async for part in router.infer_stream(request(1), RequestContext()):
        seen.append(values(part))
        assert (part.id, part.parameters) == ("7", {"part": len(seen) - 1})
        # The step is not ahead of who reads.
        assert model.given == len(seen)
    # Of the step's tensors, those that the output takes.
    assert seen == [{"x": [0]}, {"x": [1]}, {"x": [2]}]
    assert model.closed.is_set()
    assert len(double.messages) == 1


async def test_renamed_tensors_of_the_output(
    double: Model, counting: Callable[..., Counting], loaded: Load
) -> None:
    counting(2)
    renamed = CHAIN + "    tensorMap: {negate.outputs.x: y}\n"
    assert [values(part) for part in await parts_of(await loaded("chain", renamed))] == [
        {"y": [0]},
        {"y": [1]},
    ]


async def test_a_pipeline_as_the_last_step(
    serve: Serve, double: Model, counting: Callable[..., Counting], loaded: Load
) -> None:
    counting(2)
    await loaded("chain", CHAIN)
    serve("first", mapping(lambda data: data))
    outer = CHAIN.replace("chain", "outer").replace("double", "first").replace("negate", "chain")
    assert [values(part) for part in await parts_of(await loaded("outer", outer))] == [
        {"x": [0]},
        {"x": [1]},
    ]


OTHER_READER = CHAIN.replace(
    "  output:", "  - name: other\n    inputs: [negate.outputs.x]\n  output:"
)
PER_ITEM = CHAIN.replace(
    "  name: chain", '  name: chain\n  annotations: {infergraph.io/per-item: "true"}'
)
TWO = CHAIN.replace("[negate.outputs.x]", "[negate.outputs.x, double.outputs.x]")


@pytest.mark.parametrize(
    ("text", "extra"),
    [(OTHER_READER, {}), (PER_ITEM, {}), (TWO, {}), (CHAIN, {"trace": True})],
    ids=["another reader", "per item", "two steps", "trace"],
)
async def test_elsewhere_the_answer_comes_in_one_part(
    serve: Serve,
    double: Model,
    counting: Callable[..., Counting],
    loaded: Load,
    text: str,
    extra: dict[str, Any],
) -> None:
    model = counting(3)
    serve("other", mapping(lambda data: data))
    (whole,) = await parts_of(await loaded("chain", text), **extra)
    assert whole.tensors[0].data.tolist() == [[3]]
    assert model.given == 0
    assert (whole.trace is not None) is bool(extra)


async def test_a_model_without_parts_gives_one(chain: PipelineRouter) -> None:
    assert [values(part) for part in await parts_of(chain)] == [{"x": [-2]}]


@pytest.mark.parametrize(
    ("error", "kind"), [(Overloaded("full"), Overloaded), (ValueError("a bug"), StageFailure)]
)
async def test_an_error_comes_behind_the_parts(
    double: Model,
    counting: Callable[..., Counting],
    loaded: Load,
    error: Exception,
    kind: type[Exception],
) -> None:
    counting(2, error)
    router = await loaded("chain", CHAIN)
    parts = router.infer_stream(request(1), RequestContext())
    assert [values(await anext(parts)) for _ in range(2)] == [{"x": [0]}, {"x": [1]}]
    with pytest.raises(kind, match="pipeline 'chain', step 'negate'"):
        await anext(parts)


@pytest.mark.parametrize(("parts", "told"), [(0, [0, 1, 2]), (2, [0, 1])])
async def test_a_new_instance_takes_over_only_where_no_part_was_told(
    double: Model,
    counting: Callable[..., Counting],
    loaded: Load,
    parts: int,
    told: list[int],
) -> None:
    router = await loaded("chain", CHAIN)

    class Replaced(Counting):
        """A model that is loaded anew while it answers, and then gives up."""

        async def infer_stream(
            self, message: Message, context: RequestContext
        ) -> AsyncGenerator[Message, None]:
            async for part in super().infer_stream(message, context):
                yield part
            counting(3)
            raise StageUnavailable("it is being unloaded")

    registry.register(Replaced(parts))
    seen = []
    stream = router.infer_stream(request(1), RequestContext())
    for _ in told:
        seen.append(values(await anext(stream))["x"][0])
    assert seen == told
    end = StageUnavailable if parts else StopAsyncIteration
    with pytest.raises(end):
        await anext(stream)


async def test_who_stops_reading_ends_the_steps(
    double: Model, counting: Callable[..., Counting], loaded: Load
) -> None:
    model = counting(1000)
    router = await loaded("chain", CHAIN)
    parts = router.infer_stream(request(1), RequestContext())
    assert values(await anext(parts)) == {"x": [0]}
    await parts.aclose()
    assert model.closed.is_set()
    assert model.given == 1
    assert len(asyncio.all_tasks()) == 1


async def test_the_deadline_holds_for_all_parts(
    double: Model, counting: Callable[..., Counting], loaded: Load
) -> None:
    model = counting(1000)
    router = await loaded("chain", CHAIN)
    deadline = Deadline.after_ms(30)
    parts = router.infer_stream(request(1), RequestContext(deadline))
    await anext(parts)
    # A reader who is slower than the deadline.
    await model.closed.wait()
    with pytest.raises(DeadlineExceeded, match="while these steps ran: 'negate'"):
        await anext(parts)
    assert model.context is not None
    assert model.context.deadline is deadline
    assert model.given == 1
