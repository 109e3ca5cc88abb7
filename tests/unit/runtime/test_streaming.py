from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings

from infergraph.errors import DeadlineExceeded, InvalidInput, StageFailure, StageUnavailable
from infergraph.request import RequestContext
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.v2 import Message, Tensor
from tests.unit.batching.workbench import SetDeadline
from tests.unit.runtime.workbench import Doubler, load, settle

TEXT = {"text": ("BYTES", [-1, 1])}


class Speller(Runtime):
    """Gives a text letter by letter; `gate` holds back all but the first letter."""

    text_inputs = frozenset({"text"})

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.given: list[str] = []
        self.threads: set[str] = set()
        self.closed = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return [{"text": item["text"]} for item in items]

    def stream(self, item: Item, parameters: Any) -> Iterator[Outputs]:
        try:
            for letter in item["text"]:
                if letter == "!":
                    raise ValueError("secret")
                if self.given:
                    assert self.gate.wait(timeout=60)
                self.threads.add(threading.current_thread().name)
                self.given.append(letter)
                yield {"text": letter}
        finally:
            self.closed.set()


async def speller(**settings: Any) -> Speller:
    return await load(Speller, name="speller", inputs=TEXT, outputs=TEXT, **settings)


def text(*texts: str) -> Message:
    return Message([Tensor.of_bytes("text", [each.encode() for each in texts])], "id-1")


async def parts(model: Runtime, message: Message, context: RequestContext | None = None) -> Any:
    answers = model.infer_stream(message, context or RequestContext())
    return [answer.tensors[0].data.ravel().tolist() async for answer in answers]


async def test_parts_of_an_answer_come_as_the_task_gives_them() -> None:
    model = await speller()

    answers = [each async for each in model.infer_stream(text("abc"), RequestContext(trace=True))]

    assert [each.tensors[0].data.tolist() for each in answers] == [[[b"a"]], [[b"b"]], [[b"c"]]]
    assert {each.id for each in answers} == {"id-1"}
    assert all(each.trace is not None and each.trace["model"] == "speller" for each in answers)
    assert all(name.startswith("infergraph-speller") for name in model.threads)


async def test_a_task_that_does_not_stream_answers_in_one_part() -> None:
    model = await load(Doubler)
    message = Message([Tensor.of("x", np.array([[1], [2]]))])

    assert await parts(model, message) == [[2, 4]]


async def test_other_requests_are_answered_between_the_parts() -> None:
    model = await speller()
    stream = model.infer_stream(text("abc"), RequestContext())
    await anext(stream)

    answer = await model.infer(text("other"), RequestContext())

    assert answer.tensors[0].data.tolist() == [[b"other"]]
    assert model.given == ["a"]
    assert [each.tensors[0].data.tolist() async for each in stream] == [[[b"b"]], [[b"c"]]]


@pytest.mark.parametrize("count", [2, 3])
async def test_a_stream_is_of_one_item(count: int) -> None:
    model = await speller()

    with pytest.raises(InvalidInput) as caught:
        await parts(model, text(*["a"] * count))
    assert str(caught.value) == (
        f"model 'speller': the request holds {count} items; accepted for a stream: 1"
    )
    assert model.given == []


async def test_a_consumer_that_goes_away_ends_the_generation() -> None:
    model = await speller()
    stream = model.infer_stream(text("abc"), RequestContext())
    await anext(stream)

    await stream.aclose()

    assert await asyncio.to_thread(model.closed.wait, 60)
    assert model.given == ["a"]
    assert (await model.infer(text("b"), RequestContext())).tensors[0].data.tolist() == [[b"b"]]


async def test_a_deadline_ends_the_generation() -> None:
    model = await speller()
    model.gate.clear()
    deadline = SetDeadline()
    stream = model.infer_stream(text("abc"), RequestContext(deadline=deadline))
    await anext(stream)
    deadline.set(0.005)

    with pytest.raises(DeadlineExceeded, match="model 'speller': the deadline of 250 ms passed"):
        await anext(stream)
    model.gate.set()

    assert await asyncio.to_thread(model.closed.wait, 60)
    assert "c" not in model.given


async def test_a_failure_in_the_middle_comes_after_the_parts_before_it() -> None:
    model = await speller()
    stream = model.infer_stream(text("a!"), RequestContext())
    await anext(stream)

    with pytest.raises(StageFailure) as caught:
        await anext(stream)
    assert str(caught.value) == (
        "model 'speller': it failed with ValueError; the server's log has the details"
    )


async def test_a_part_that_is_not_as_declared() -> None:
    class Wrong(Speller):
        def stream(self, item: Item, parameters: Any) -> Iterator[Outputs]:
            yield {"words": "a"}

    model = await load(Wrong, inputs=TEXT, outputs=TEXT)

    with pytest.raises(StageFailure, match=r"the model gave outputs \['words'\]; declared"):
        await parts(model, text("a"))


async def test_an_item_that_cannot_be_prepared_is_refused_before_the_stream() -> None:
    class Preparing(Speller):
        def prepare(self, item: Item) -> Item:
            raise InvalidInput("no text")

    model = await load(Preparing, inputs=TEXT, outputs=TEXT, max_queue_size=1)

    # More often than the queue has places.
    for _ in range(3):
        with pytest.raises(InvalidInput, match="model 'model': no text"):
            await parts(model, text("a"))


async def test_unloading_ends_streams_that_are_not_taken() -> None:
    model = await speller(drain_seconds=0)
    stream = model.infer_stream(text("abc"), RequestContext())
    await anext(stream)
    closed = model.closed

    assert await model.unload() is True

    assert closed.is_set()
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await anext(stream)
    await settle()
