from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from infergraph.request import Deadline
from tests.unit.batching.workbench import Bench, SetDeadline, answer, settle

# Dispatch


async def test_a_lone_request_runs_at_once(bench: Bench) -> None:
    task = await bench.request("a")
    assert bench.executor.held == 1

    await bench.run_batch()

    served = await task
    assert served.results == [answer("a")]
    assert served.batch_size == 1


async def test_requests_of_one_turn_of_the_loop_run_together(bench: Bench) -> None:
    tasks = [asyncio.ensure_future(bench.send(item)) for item in "abc"]
    await settle()
    await bench.run_batch()

    assert bench.batches == [["a", "b", "c"]]
    assert [(await task).results for task in tasks] == [[answer(item)] for item in "abc"]


async def test_a_queue_builds_only_while_the_worker_is_busy(bench: Bench) -> None:
    first = await bench.request("a")
    others = [await bench.request(item) for item in "bcd"]
    assert bench.executor.held == 1

    await bench.run_batch()
    assert first.done()
    assert bench.executor.held == 1
    await bench.run_batch()

    assert bench.batches == [["a"], ["b", "c", "d"]]
    assert all(task.done() for task in others)
    assert bench.executor.held == 0


async def test_batches_are_capped_by_items(bench: Bench) -> None:
    first = await bench.request("a", "b", "c", "d", "e", "f")
    second = await bench.request("g", "h", "i")
    await bench.run_all()

    assert [len(batch) for batch in bench.batches] == [4, 4, 1]
    assert (await first).results == [answer(item) for item in "abcdef"]
    assert (await second).results == [answer(item) for item in "ghi"]
    assert (await first).batch_size == 4


async def test_items_of_different_keys_never_run_together(bench: Bench) -> None:
    await bench.request("busy")
    tasks = [await bench.request(f"{key}{n}", key=key) for n in range(3) for key in "xy"]
    await bench.run_all()

    assert bench.batches == [["busy"], ["x0", "x1", "x2"], ["y0", "y1", "y2"]]
    assert [(await task).results for task in tasks] == [
        [answer(f"{key}{n}")] for n in range(3) for key in "xy"
    ]


async def test_the_observer_is_told_of_every_batch(bench: Bench) -> None:
    await bench.request("a")
    await bench.request("b", "c")
    await bench.run_all()

    assert [(size, limit) for size, limit, _ in bench.observed] == [(1, 4), (2, 4)]
    assert all(seconds >= 0 for *_, seconds in bench.observed)


async def test_the_observer_is_told_of_what_waits(bench: Bench) -> None:
    await bench.request("a")
    assert bench.observed_waiting == 0
    gone = await bench.request("b", "c")
    bench.batcher.admit(3).release()
    assert bench.observed_waiting == bench.batcher.waiting == 2

    gone.cancel()
    await settle()
    assert bench.observed_waiting == 0


async def test_a_request_without_items_is_answered_without_any(bench: Bench) -> None:
    assert (await bench.send()).results == []
    assert bench.batches == []


# Lengths


async def test_items_of_similar_length_join_the_oldest(bench: Bench) -> None:
    await bench.request("busy")
    lengths = {"a": 50, "b": 900, "c": 49, "d": 1000, "e": 60, "f": 51, "g": 950}
    tasks = {name: await bench.request(name, lengths=[n]) for name, n in lengths.items()}
    await bench.run_all()

    assert bench.batches == [["busy"], ["c", "a", "f", "e"], ["b", "g", "d"]]
    for name, task in tasks.items():
        assert (await task).results == [answer(name)]


async def test_sorting_by_length_swaps_no_results(bench: Bench) -> None:
    task = await bench.request("a", "b", "c", "d", lengths=[30, 10, 40, 20])
    await bench.run_all()

    assert bench.batches == [["b", "d", "a", "c"]]
    assert (await task).results == [answer(item) for item in "abcd"]


async def test_an_odd_length_is_not_starved(bench: Bench) -> None:
    await bench.request("busy")
    odd = await bench.request("odd", lengths=[10_000])
    await bench.request("s0", "s1", "s2", "s3", lengths=[1] * 4)
    for n in range(5):
        await bench.request(*(f"t{n}{i}" for i in range(2)), lengths=[1, 1])
    await bench.run_batch()
    await bench.run_batch()

    assert "odd" in bench.batches[1]
    assert odd.done()


# Failures


async def test_an_items_error_is_its_own_only() -> None:
    def run(items: list[Any]) -> Sequence[Any]:
        return [InvalidInput("no speech") if item == "bad" else answer(item) for item in items]

    bench = Bench(run=run)
    await bench.request("busy")
    good, bad, other = [await bench.request(item) for item in ("a", "bad", "b")]
    await bench.run_all()

    assert bench.batches == [["busy"], ["a", "bad", "b"]]
    assert (await good).results == [answer("a")]
    assert (await other).results == [answer("b")]
    with pytest.raises(InvalidInput, match=r"^no speech$"):
        await bad


def raises_for_bad(items: list[Any]) -> Sequence[Any]:
    if "bad" in items:
        raise ValueError("secret of the bad item")
    return [answer(item) for item in items]


async def test_a_batch_that_raises_is_halved_to_the_faulty_item(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(run=raises_for_bad, max_batch_size=8)
    await bench.request("busy")
    tasks = {item: await bench.request(item) for item in ("a", "b", "c", "bad", "d")}
    await bench.run_all()

    assert bench.batches == [
        ["busy"],
        ["a", "b", "c", "bad", "d"],
        ["a", "b"],
        ["c", "bad", "d"],
        ["c"],
        ["bad", "d"],
        ["bad"],
        ["d"],
    ]
    with pytest.raises(StageFailure) as caught:
        await tasks.pop("bad")
    assert str(caught.value) == "it failed with ValueError; the server's log has the details"
    assert caught.value.__cause__ is None
    for item, task in tasks.items():
        assert (await task).results == [answer(item)]
    # Once with its traceback, for whoever runs the server.
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    assert "secret of the bad item" in caplog.text


async def test_an_infergraph_error_that_is_raised_keeps_its_kind() -> None:
    def run(items: list[Any]) -> Sequence[Any]:
        if "bad" in items:
            raise InvalidInput("too long")
        return [answer(item) for item in items]

    bench = Bench(run=run)
    good, bad = [await bench.request(*items) for items in (["a"], ["b", "bad"])]
    await bench.run_all()

    assert (await good).results == [answer("a")]
    with pytest.raises(InvalidInput, match=r"^item 1: too long$"):
        await bad


@pytest.mark.parametrize("results", [[], ["one"], ["one", "two", "three"]])
async def test_a_wrong_number_of_results_fails_rather_than_misaligns(results: list[str]) -> None:
    bench = Bench(run=lambda items: results)
    tasks = [asyncio.ensure_future(bench.send(item)) for item in "ab"]
    await settle()
    await bench.run_all()

    for task in tasks:
        with pytest.raises(StageFailure) as caught:
            await task
        assert str(caught.value) == f"it gave {len(results)} results for 2 items"


async def test_after_an_items_failure_the_rest_of_its_request_does_not_run() -> None:
    bench = Bench(run=raises_for_bad, max_batch_size=1)
    many = await bench.request("bad", "b", "c")
    other = await bench.request("d")
    await bench.run_all()

    assert bench.batches == [["bad"], ["d"]]
    assert bench.batcher.waiting == 0
    with pytest.raises(StageFailure, match=r"^item 0: it failed with ValueError"):
        await many
    assert (await other).results == [answer("d")]


async def test_a_worker_that_ends_fails_its_batch_and_no_other() -> None:
    def run(items: list[Any]) -> Sequence[Any]:
        if "fatal" in items:
            raise SystemExit
        return [answer(item) for item in items]

    bench = Bench(run=run)
    fatal = await bench.request("fatal")
    other = await bench.request("a")
    await bench.run_all()

    with pytest.raises(StageFailure, match="its worker ended"):
        await fatal
    assert (await other).results == [answer("a")]


# Cancellation


async def test_a_cancelled_request_leaves_the_queue_and_never_runs(bench: Bench) -> None:
    await bench.request("busy")
    gone = await bench.request("gone0", "gone1")
    kept = await bench.request("kept")
    assert bench.batcher.waiting == 3

    gone.cancel()
    await settle()
    assert bench.batcher.waiting == 1
    await bench.run_all()

    assert gone.cancelled()
    assert bench.batches == [["busy"], ["kept"]]
    assert (await kept).results == [answer("kept")]


async def test_cancelling_before_the_first_dispatch_runs_nothing(bench: Bench) -> None:
    task = asyncio.ensure_future(bench.send("gone"))
    await asyncio.sleep(0)
    task.cancel()
    await settle()

    assert bench.executor.held == 0
    assert (await bench.request("a")).done() is False
    assert bench.executor.held == 1


async def test_a_request_cancelled_while_it_runs_takes_nobody_with_it(bench: Bench) -> None:
    gone, kept = (asyncio.ensure_future(bench.send(item)) for item in ("x", "y"))
    await settle()
    gone.cancel()
    await settle()
    await bench.run_all()

    assert bench.batches == [["x", "y"]]
    assert gone.cancelled()
    assert (await kept).results == [answer("y")]


# Deadlines


async def test_a_deadline_that_passes_in_the_queue_ends_the_wait(bench: Bench) -> None:
    await bench.request("busy")
    late = await bench.request("late", deadline=SetDeadline(0.005))

    with pytest.raises(DeadlineExceeded) as caught:
        await late

    assert str(caught.value) == "model 'asr': the deadline of 250 ms passed"
    assert bench.batcher.waiting == 0
    await bench.run_all()
    assert bench.batches == [["busy"]]


async def test_what_comes_after_its_deadline_never_runs(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        await bench.send("late", deadline=Deadline.after_ms(-1))

    await settle()
    assert bench.executor.held == 0
    assert bench.batcher.waiting == 0


async def test_a_deadline_that_passes_in_the_batch_does_not_wait_for_it(bench: Bench) -> None:
    late = await bench.request("late", deadline=SetDeadline(0.005))
    assert bench.executor.held == 1

    with pytest.raises(DeadlineExceeded):
        await late

    await bench.run_all()
    assert (await bench.request("next")).done() is False


async def test_a_deadline_that_holds_changes_nothing(bench: Bench) -> None:
    task = await bench.request("a", deadline=Deadline.after_ms(60_000))
    await bench.run_all()

    assert (await task).results == [answer("a")]


# Closing


async def test_closing_fails_what_waits_and_lets_the_batch_finish(bench: Bench) -> None:
    running = await bench.request("a")
    waiting = [await bench.request("b", "c"), await bench.request("d")]

    bench.batcher.close("it is being unloaded")
    await settle()

    for task in waiting:
        with pytest.raises(StageUnavailable, match="model 'asr': it is being unloaded") as caught:
            await task
        assert caught.value.cause == "unloading"
    await bench.run_all()
    assert (await running).results == [answer("a")]
    assert bench.batches == [["a"]]


async def test_after_closing_nothing_is_taken(bench: Bench) -> None:
    place = bench.batcher.admit(2)
    bench.batcher.close("it is being unloaded")

    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        bench.batcher.admit(1)
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await bench.batcher.submit(place, ["a", "b"])
    assert bench.batcher.waiting == 0


class WorkerLost(Exception):
    pass


async def test_a_lost_worker_fails_its_batch_whole_and_all_that_comes() -> None:
    def run(items: list[Any]) -> Sequence[Any]:
        raise WorkerLost

    bench = Bench(
        run=run,
        diagnose=lambda error: (
            Overloaded("the device is lost", cause="device_lost")
            if isinstance(error, WorkerLost)
            else None
        ),
    )
    running = await bench.request("a", "b")
    waiting = [await bench.request(item) for item in "cd"]
    await bench.run_all()

    # Not in halves: none of them can be computed.
    assert bench.batches == [["a", "b"]]
    for task in [running, *waiting]:
        with pytest.raises(Overloaded, match="the device is lost"):
            await task
    with pytest.raises(Overloaded, match="the device is lost"):
        bench.batcher.admit(1)
    assert bench.batcher.waiting == 0


async def test_every_failure_is_an_infergraph_error() -> None:
    bench = Bench(run=raises_for_bad)
    task = await bench.request("bad")
    await bench.run_all()

    assert isinstance(task.exception(), InfergraphError)


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
