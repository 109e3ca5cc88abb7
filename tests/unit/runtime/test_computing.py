"""What surrounds a task's computing: its threads, and the check that its numbers are numbers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from infergraph import devices
from infergraph.errors import InfergraphError, StageFailure
from infergraph.machine import Sharing
from infergraph.request import RequestContext
from infergraph.runtime import Arrays, Item, Outputs, Runtime
from infergraph.v2 import Message, Tensor
from tests.unit.runtime.workbench import load

FLOATS = {"x": ("FP32", [-1, 1])}


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Six threads to share, and the test's own thread left as it was."""
    sharing, before = Sharing(6), torch.get_num_threads()
    monkeypatch.setattr(devices, "core_sharing", lambda: sharing)
    yield
    torch.set_num_threads(before)


class Counting(Runtime[Item, None, dict[str, int]]):
    """Answers with the number of threads that torch has where each part of it runs."""

    def setup(self) -> dict[str, int]:
        return {"setup": torch.get_num_threads()}

    def prepare(self, item: Item) -> Item:
        self.model["prepare"] = torch.get_num_threads()
        return item

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        self.model["batch"] = torch.get_num_threads()
        return [{"x": item["x"]} for item in items]

    def stream(self, item: Item, parameters: Any) -> Iterator[Outputs]:
        for step in ("first", "second"):
            self.model[step] = torch.get_num_threads()
            yield {"x": item["x"]}


def message(*values: float) -> Message:
    return Message([Tensor.of("x", np.array([[value] for value in values], np.float32))])


async def counting(name: str, **settings: Any) -> Counting:
    return await load(Counting, name=name, inputs=FLOATS, outputs=FLOATS, **settings)


async def ask(model: Runtime, *values: float) -> list[float]:
    answer = await model.infer(message(*values), RequestContext())
    numbers: list[float] = answer.tensors[0].data.ravel().tolist()
    return numbers


async def test_threads_of_one_model_are_not_those_of_another() -> None:
    one, other = await counting("one", threads=2), await counting("other")

    await asyncio.gather(ask(one, 1), ask(other, 1))
    await ask(one, 1)

    assert one.model == {"setup": 2, "prepare": 1, "batch": 2}
    assert (other.model["setup"], other.model["prepare"]) == (6, 1)
    # Alone or beside the other: never what the other one set.
    assert other.model["batch"] in (6, 3)


async def test_what_computes_on_the_event_loop_has_threads_of_its_own_too() -> None:
    class Inline(Counting):
        @property
        def blocking(self) -> bool:
            return False

    model = await load(Inline, name="inline", inputs=FLOATS, outputs=FLOATS, threads=4)
    torch.set_num_threads(1)

    await ask(model, 1)

    assert model.model["batch"] == 4


async def test_the_threads_of_a_model_that_computes_are_not_given_twice() -> None:
    inside, leave = threading.Event(), threading.Event()

    class Held(Counting):
        def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
            inside.set()
            assert leave.wait(60)
            return super().predict_batch(items, parameters)

    held = await load(Held, name="held", inputs=FLOATS, outputs=FLOATS)
    beside = await counting("beside")
    waiting = asyncio.ensure_future(ask(held, 1))
    await asyncio.to_thread(inside.wait, 60)

    await ask(beside, 1)
    shared = beside.model["batch"]
    leave.set()
    await waiting
    await ask(beside, 1)

    assert (shared, beside.model["batch"]) == (3, 6)


async def test_each_step_of_a_stream_has_the_threads_of_its_moment() -> None:
    model = await counting("steps")
    inside, leave = threading.Event(), threading.Event()

    def compute_too() -> None:
        with model.placement.computing():
            inside.set()
            assert leave.wait(60)

    other = threading.Thread(target=compute_too)
    async for _ in model.infer_stream(message(1), RequestContext()):
        if not inside.is_set():
            other.start()
            await asyncio.to_thread(inside.wait, 60)
    leave.set()
    other.join()

    assert (model.model["first"], model.model["second"]) == (6, 3)


class Halves(Runtime):
    """Half of each number, computed as it is said; 13 is none."""

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        values = [float(item["x"][0]) for item in items]
        return [{"x": np.nan if value == 13 else value / 2} for value in values]


class InlineHalves(Halves):
    placed = False

    @property
    def blocking(self) -> bool:
        return False


class ArrayHalves(Runtime):
    def predict_arrays(self, arrays: Arrays, parameters: Any) -> Arrays:
        return {"x": np.where(arrays["x"] == 13, np.inf, arrays["x"] / 2)}


class StreamedHalves(Halves):
    def stream(self, item: Item, parameters: Any) -> Iterator[Outputs]:
        yield {"x": 1.0}
        yield from self.predict_batch([item], parameters)  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Halves, InlineHalves, ArrayHalves])
async def test_only_requests_fail_whose_answers_are_no_numbers(kind: type[Runtime]) -> None:
    model = await load(kind, name="halves", inputs=FLOATS, outputs=FLOATS)

    answers = await asyncio.gather(
        ask(model, 4), ask(model, 6, 13, 13), ask(model, 8), return_exceptions=True
    )

    assert (answers[0], answers[2]) == ([2], [4])
    assert isinstance(answers[1], StageFailure)
    assert str(answers[1]) == (
        "model 'halves': the model gave output 'x' with NaN or infinity in row 1"
    )


async def test_a_part_of_a_stream_that_is_no_number_ends_it() -> None:
    model = await load(StreamedHalves, name="halves", inputs=FLOATS, outputs=FLOATS)
    parts = model.infer_stream(message(13), RequestContext())

    assert (await anext(parts)).tensors[0].data.item() == 1
    with pytest.raises(StageFailure, match="output 'x' with NaN or infinity in row 0"):
        await anext(parts)


async def test_a_task_that_hands_on_what_came_may_hand_on_anything() -> None:
    class HandedOn(ArrayHalves):
        finite = False

    model = await load(HandedOn, name="halves", inputs=FLOATS, outputs=FLOATS)

    assert await ask(model, 13, 4) == [np.inf, 2]
