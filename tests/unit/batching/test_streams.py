"""Answers in parts: a generator's steps take turns with batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from infergraph.batching import Served, check_wanted
from infergraph.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from infergraph.request import Deadline
from tests.unit.batching.workbench import Bench, SetDeadline, answer, settle


class Words:
    """A generator of words that notes what became of it."""

    def __init__(self, *words: Any) -> None:
        self.words = words
        self.given: list[Any] = []
        self.closed = False

    def __call__(self) -> Iterator[Any]:
        try:
            for word in self.words:
                check_wanted()
                if isinstance(word, Exception):
                    raise word
                self.given.append(word)
                yield word
        finally:
            self.closed = True


Stream = AsyncGenerator[Served[Any], None]


def start(bench: Bench, words: Words, deadline: Deadline | None = None) -> Stream:
    return bench.batcher.stream(bench.batcher.admit(1), words(), deadline=deadline)


async def following(bench: Bench, stream: Stream) -> Any:
    """What the stream gives next, once the worker has computed it."""
    task = asyncio.ensure_future(anext(stream))
    await settle()
    await bench.run_batch()
    return (await task).results[0]


async def collected(stream: Stream) -> list[Any]:
    return [served.results[0] async for served in stream]


async def test_parts_come_one_by_one_and_only_when_they_are_taken(bench: Bench) -> None:
    words = Words("to", "be")
    stream = start(bench, words)

    assert await following(bench, stream) == "to"
    await settle()
    # A slow consumer does not make the generator run ahead, nor hold the worker.
    assert (words.given, bench.executor.held) == (["to"], 0)
    assert await following(bench, stream) == "be"
    with pytest.raises(StopAsyncIteration):
        await following(bench, stream)
    assert words.closed
    assert bench.batcher.waiting == 0
    assert bench.observed == []


async def test_batches_run_between_the_steps(bench: Bench) -> None:
    words = Words(*"abc")
    parts = asyncio.ensure_future(collected(start(bench, words)))
    await settle()
    request = await bench.request("x")
    await bench.run_batch()
    assert words.given == ["a"]
    await bench.run_batch()

    assert (await request).results == [answer("x")]
    assert words.given == ["a"]
    await bench.run_all()
    assert await parts == ["a", "b", "c"]


async def test_two_streams_take_turns(bench: Bench) -> None:
    first, second = Words(*"abc"), Words(*"xyz")
    tasks = [asyncio.ensure_future(collected(start(bench, words))) for words in (first, second)]
    await settle()
    for _ in range(4):
        await bench.run_batch()

    assert (first.given, second.given) == (["a", "b"], ["x", "y"])
    await bench.run_all()
    assert [await task for task in tasks] == [["a", "b", "c"], ["x", "y", "z"]]


async def test_a_consumer_that_goes_away_closes_the_generator(bench: Bench) -> None:
    words = Words(*"abc")
    stream = start(bench, words)
    await following(bench, stream)

    await stream.aclose()
    await bench.run_all()

    assert words.closed
    assert words.given == ["a"]
    assert bench.batcher.waiting == 0


async def test_a_consumer_that_is_cancelled_in_a_step_closes_the_generator(bench: Bench) -> None:
    words = Words(*"abc")
    task = asyncio.ensure_future(collected(start(bench, words)))
    await settle()
    assert bench.executor.held == 1
    task.cancel()
    await settle()
    await bench.run_all()

    assert task.cancelled()
    # The step met `check_wanted`, which ended it.
    assert (words.given, words.closed) == ([], True)
    assert bench.batcher.waiting == 0
    assert (await bench.request("next")).done() is False


async def test_a_deadline_that_passes_closes_the_generator(bench: Bench) -> None:
    words = Words(*"abc")
    deadline = SetDeadline()
    stream = start(bench, words, deadline)
    await following(bench, stream)
    deadline.set(0.005)

    with pytest.raises(DeadlineExceeded):
        await collected(stream)
    await bench.run_all()

    assert words.closed
    assert bench.batcher.waiting == 0


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (InvalidInput("too long"), InvalidInput, "too long"),
        (ValueError("secret"), StageFailure, "it failed with ValueError; the server's log has"),
    ],
)
async def test_a_step_that_fails_ends_the_stream(
    bench: Bench, error: Exception, kind: type[Exception], text: str
) -> None:
    words = Words("a", error, "c")
    stream = start(bench, words)
    assert await following(bench, stream) == "a"

    with pytest.raises(kind, match=text):
        await following(bench, stream)

    await bench.run_all()
    assert (words.given, words.closed) == (["a"], True)
    assert bench.batcher.waiting == 0


async def test_a_generator_that_fails_while_it_is_closed_takes_nobody_with_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def stubborn() -> Iterator[str]:
        try:
            yield "a"
        finally:
            raise ValueError("cannot end")

    stream = bench.batcher.stream(bench.batcher.admit(1), stubborn())
    await following(bench, stream)
    await stream.aclose()
    other = await bench.request("x")
    await bench.run_all()

    assert (await other).results == [answer("x")]
    assert "a stream failed while it was closed" in caplog.text


async def test_a_stream_holds_its_place_until_its_end() -> None:
    bench = Bench(max_queue_size=1)
    stream = start(bench, Words("a"))
    await following(bench, stream)

    with pytest.raises(Overloaded, match="1 of 1 items wait"):
        bench.batcher.admit(1)
    with pytest.raises(StopAsyncIteration):
        await following(bench, stream)
    bench.batcher.admit(1)


async def test_closing_ends_streams(bench: Bench) -> None:
    idle, waiting = Words(*"abc"), Words(*"xyz")
    stream = start(bench, idle)
    await following(bench, stream)
    other = asyncio.ensure_future(collected(start(bench, waiting)))
    await settle()

    bench.batcher.close("it is being unloaded")
    await bench.run_all()

    # Although its consumer has not come back yet.
    assert idle.closed
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await anext(stream)
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await other
    assert bench.batcher.waiting == 0


async def test_a_call_of_its_own_shares_no_batch(bench: Bench) -> None:
    await bench.request("busy")
    place = bench.batcher.admit(1)
    call = asyncio.ensure_future(bench.batcher.call(place, lambda: "done"))
    others = [await bench.request(item) for item in "ab"]
    await bench.run_all()

    assert (await call).results == ["done"]
    assert bench.batches == [["busy"], ["a", "b"]]
    assert all(task.done() for task in others)
    assert bench.batcher.waiting == 0
