from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Word:
    """A text, and who follows it."""

    text: str
    give: Callable[[Outputs], None] | None = None


class Speller(Runtime[Word]):
    """Gives a text letter by letter; `gate` holds back all but the first step.

    Attributes:
        held: Set once a step was held back, if only for a moment.
        prepared: Released for each item that is queued.
        steps: The letters of each step, of all texts.
        dropped: Texts that were given up.
        threads: The names of those that computed.
    """

    text_inputs = frozenset({"text"})

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.steps: list[str] = []
        self.dropped: list[str] = []
        self.threads: set[str] = set()
        self.held, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self.prepared = asyncio.Semaphore(0)

    def prepare(self, item: Item) -> Word:
        return Word(item["text"])

    def length(self, item: Word) -> int:
        # Asked on the loop, right before an item is queued.
        self.prepared.release()
        return 0

    def followed(self, item: Word, give: Callable[[Outputs], None]) -> Word:
        return replace(item, give=give)

    def running(self, parameters: None) -> Spelling:
        return Spelling(self)


class Spelling:
    def __init__(self, speller: Speller) -> None:
        self._speller = speller
        self._words: dict[int, tuple[Word, int]] = {}

    def add(self, number: int, item: Word, parameters: None) -> None:
        self._words[number] = (item, 0)

    def drop(self, number: int) -> None:
        self._speller.dropped.append(self._words.pop(number)[0].text)

    def step(self) -> Iterator[tuple[int, Outputs | None]]:
        speller = self._speller
        if speller.steps:
            speller.held.set()
            assert speller.gate.wait(timeout=60)
        speller.threads.add(threading.current_thread().name)
        speller.steps.append("".join(word.text[place] for word, place in self._words.values()))
        if "!" in speller.steps[-1]:
            raise ValueError("secret")
        ended: list[tuple[int, Outputs | None]] = []
        for number, (word, place) in list(self._words.items()):
            self._words[number] = (word, place + 1)
            if place + 1 < len(word.text):
                if word.give is not None and word.text[place] != ".":
                    word.give({"text": word.text[place]})
                continue
            del self._words[number]
            if word.give is None:
                ended.append((number, {"text": word.text}))
            else:
                # A full stop at the end is not said.
                last = word.text[place]
                ended.append((number, None if last == "." else {"text": last}))
        return iter(ended)


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


async def test_a_last_part_of_nothing_is_not_given() -> None:
    assert await parts(await speller(), text("ab.")) == [[b"a"], [b"b"]]


async def test_streams_and_other_requests_are_computed_together() -> None:
    model = await speller()
    model.gate.clear()
    stream = model.infer_stream(text("abcde"), RequestContext())
    first = await anext(stream)
    assert await asyncio.to_thread(model.held.wait, 60)
    others = [
        asyncio.ensure_future(parts(model, text("vwx"))),
        asyncio.ensure_future(model.infer(text("yz"), RequestContext())),
    ]
    for _ in range(3):
        await model.prepared.acquire()
    await settle()
    model.gate.set()

    assert (await others[1]).tensors[0].data.tolist() == [[b"yz"]]
    assert await others[0] == [[b"v"], [b"w"], [b"x"]]
    rest = [each.tensors[0].data.item() async for each in stream]
    assert [first.tensors[0].data.item(), *rest] == [b"a", b"b", b"c", b"d", b"e"]
    assert list(map(sorted, model.steps)) == [["a"], ["b"], [*"cvy"], [*"dwz"], [*"ex"]]


async def test_a_slow_consumer_holds_nobody_up() -> None:
    model = await speller()
    stream = model.infer_stream(text("abc"), RequestContext())
    await anext(stream)

    answer = await model.infer(text("other"), RequestContext())

    assert answer.tensors[0].data.tolist() == [[b"other"]]
    assert [each.tensors[0].data.tolist() async for each in stream] == [[[b"b"]], [[b"c"]]]


@pytest.mark.parametrize("count", [2, 3])
async def test_a_stream_is_of_one_item(count: int) -> None:
    model = await speller()

    with pytest.raises(InvalidInput) as caught:
        await parts(model, text(*["a"] * count))
    assert str(caught.value) == (
        f"model 'speller': the request holds {count} items; accepted for a stream: 1"
    )
    assert model.steps == []


async def test_a_consumer_that_goes_away_ends_the_generation() -> None:
    model = await speller()
    model.gate.clear()
    stream = model.infer_stream(text("abcdef"), RequestContext())
    await anext(stream)

    await stream.aclose()
    model.gate.set()

    assert (await model.infer(text("b"), RequestContext())).tensors[0].data.tolist() == [[b"b"]]
    assert model.dropped == ["abcdef"]
    assert "c" not in "".join(model.steps)


async def test_a_deadline_ends_the_generation() -> None:
    model = await speller()
    model.gate.clear()
    deadline = SetDeadline()
    stream = model.infer_stream(text("abcdef"), RequestContext(deadline=deadline))
    await anext(stream)
    deadline.set(0)
    model.gate.set()

    with pytest.raises(DeadlineExceeded, match="model 'speller': the deadline of 250 ms passed"):
        _ = [part async for part in stream]
    assert "c" not in "".join(model.steps)


async def test_a_failure_in_the_middle_comes_after_the_parts_before_it() -> None:
    model = await speller()
    stream = model.infer_stream(text("a!b"), RequestContext())
    await anext(stream)

    with pytest.raises(StageFailure) as caught:
        await anext(stream)
    assert str(caught.value) == (
        "model 'speller': it failed with ValueError; the server's log has the details"
    )


async def test_a_part_that_is_not_as_declared() -> None:
    class Wrong(Speller):
        def followed(self, item: Word, give: Callable[[Outputs], None]) -> Word:
            return replace(item, give=lambda part: give({"words": "a"}))

    model = await load(Wrong, inputs=TEXT, outputs=TEXT)

    with pytest.raises(StageFailure, match=r"the model gave outputs \['words'\]; declared"):
        await parts(model, text("ab"))


async def test_an_item_that_cannot_be_prepared_is_refused_before_the_stream() -> None:
    class Preparing(Speller):
        def prepare(self, item: Item) -> Word:
            raise InvalidInput("no text")

    model = await load(Preparing, inputs=TEXT, outputs=TEXT, max_queue_size=1)

    # More often than the queue has places.
    for _ in range(3):
        with pytest.raises(InvalidInput, match="model 'model': no text"):
            await parts(model, text("a"))


async def test_unloading_lets_a_stream_end_that_runs() -> None:
    model = await speller(drain_seconds=0)
    model.gate.clear()
    stream = model.infer_stream(text("abc"), RequestContext())
    await anext(stream)
    unloaded = asyncio.ensure_future(model.unload())
    await settle()
    assert not unloaded.done()
    model.gate.set()

    assert await unloaded is True
    assert [each.tensors[0].data.item() async for each in stream] == [b"b", b"c"]
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await parts(model, text("a"))
