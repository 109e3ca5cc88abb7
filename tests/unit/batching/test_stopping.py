from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infergraph.batching import BatchAbandoned, MicroBatcher, check_wanted
from infergraph.errors import DeadlineExceeded, InvalidInput, StageFailure
from tests.unit.batching.workbench import Bench, SetDeadline, answer, settle


class Steps:
    """Computes each item in three steps, and checks before each; the test may act in between."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.between: Any = lambda: None

    def __call__(self, items: list[Any]) -> Sequence[Any]:
        for step in range(3):
            check_wanted()
            self.done.append(step)
            self.between()
        return [answer(item) for item in items]


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def stopped(steps: Steps) -> Bench:
    return Bench(run=steps)


def test_outside_of_a_batch_nothing_happens() -> None:
    check_wanted()


def test_it_is_not_caught_as_a_failure() -> None:
    assert not issubclass(BatchAbandoned, Exception)


async def test_a_batch_ends_where_nobody_waits_for_it_any_more(
    stopped: Bench, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    gone = [asyncio.ensure_future(stopped.send(item)) for item in "ab"]
    await settle()
    after = await stopped.request("after")
    steps.between = lambda: [task.cancel() for task in gone]
    await stopped.run_batch()

    assert steps.done == [0]
    assert stopped.batches == [["a", "b"]]
    assert caplog.records == []

    # The next one runs at once, and whole.
    steps.between = lambda: None
    await stopped.run_batch()
    assert (await after).results == [answer("after")]
    assert steps.done == [0, 0, 1, 2]


async def test_a_batch_of_which_one_request_is_wanted_goes_on(stopped: Bench, steps: Steps) -> None:
    gone, kept = [asyncio.ensure_future(stopped.send(item)) for item in "ab"]
    await settle()
    gone.cancel()
    await settle()
    await stopped.run_batch()

    assert steps.done == [0, 1, 2]
    assert (await kept).results == [answer("b")]


async def test_a_deadline_that_passes_ends_the_batch_even_if_no_timer_has_run(
    stopped: Bench, steps: Steps
) -> None:
    deadline = SetDeadline()
    late = await stopped.request("late", deadline=deadline)
    steps.between = lambda: deadline.set(0.0)
    await stopped.run_batch()

    assert steps.done == [0]
    with pytest.raises(DeadlineExceeded):
        await late


async def test_the_halves_of_a_batch_are_abandoned_by_themselves(steps: Steps) -> None:
    computed: list[list[Any]] = []

    def run(items: list[Any]) -> Sequence[Any]:
        check_wanted()
        computed.append(items)
        if len(items) > 1:
            raise ValueError("halve it")
        return [answer(item) for item in items]

    bench = Bench(run=run)
    gone, kept = [asyncio.ensure_future(bench.send(item)) for item in "ab"]
    await settle()
    gone.cancel()
    await settle()
    await bench.run_batch()

    assert computed == [["a", "b"], ["b"]]
    assert (await kept).results == [answer("b")]


async def test_a_task_that_gives_up_by_itself_leaves_nobody_waiting() -> None:
    def run(items: list[Any]) -> Sequence[Any]:
        raise BatchAbandoned

    bench = Bench(run=run)
    task = await bench.request("a")
    await bench.run_all()

    with pytest.raises(StageFailure, match="its computation was given up"):
        await task


async def test_an_abandoned_batchs_bytes_are_held_until_it_ends() -> None:
    bench = Bench(max_queue_bytes=1000)
    gone = await bench.request("a", size=500)
    gone.cancel()
    await settle()
    await bench.request("b", size=500)
    with pytest.raises(Exception, match="requests hold 1000 of 1000 bytes"):
        bench.batcher.admit(1, 1)

    await bench.run_batch()
    bench.batcher.admit(1, 500)


async def test_in_a_real_thread_the_next_request_does_not_wait_for_the_abandoned_one() -> None:
    entered, gone_is_gone = threading.Event(), threading.Event()
    steps: list[str] = []

    def run(items: list[str]) -> Sequence[Any]:
        if items == ["gone"]:
            entered.set()
            assert gone_is_gone.wait(timeout=60)
        for _ in range(1000):
            check_wanted()
            steps.append(items[0])
        return items

    with ThreadPoolExecutor(1) as executor:
        batcher: MicroBatcher[str, str] = MicroBatcher(
            run, executor, name="asr", max_batch_size=1, max_queue_size=8, max_queue_bytes=8
        )
        gone = asyncio.ensure_future(batcher.submit(batcher.admit(1), ["gone"]))
        await asyncio.to_thread(entered.wait, 60)
        gone.cancel()
        after = asyncio.ensure_future(batcher.submit(batcher.admit(1), ["after"]))
        await settle()
        gone_is_gone.set()

        assert (await after).results == ["after"]
    assert steps == ["after"] * 1000


async def test_a_failed_request_is_not_waited_for() -> None:
    """Its other items, in the next batch, are not computed to their end."""
    steps: list[Any] = []

    def run(items: list[Any]) -> Sequence[Any]:
        if "bad" in items:
            return [InvalidInput("bad") for _ in items]
        check_wanted()
        steps.append(items)
        return items

    bench = Bench(run=run, max_batch_size=1)
    task = await bench.request("bad", "b")
    await bench.run_all()

    with pytest.raises(InvalidInput):
        await task
    assert steps == []
