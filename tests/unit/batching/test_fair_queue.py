from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from infergraph.batching.fair_queue import FairQueue
from infergraph.batching.ticket import Ticket, entries_of
from infergraph.request import Deadline

Queue = FairQueue[Any, Any]


@pytest.fixture
def queue() -> Queue:
    return FairQueue(4)


def add(
    queue: Queue,
    *items: Any,
    rank: int = 1,
    key: Hashable = None,
    lengths: Sequence[int] | None = None,
    weights: Sequence[int] | None = None,
    deadline: Deadline | None = None,
) -> Ticket[Any]:
    ticket: Ticket[Any] = Ticket(len(items), asyncio.get_running_loop(), deadline)
    queue.add(entries_of(items, key, lengths or [0] * len(items), ticket, weights), rank)
    return ticket


def batches(queue: Queue) -> list[list[Any]]:
    taken = []
    while batch := queue.take():
        taken.append([entry.item for entry in batch])
    return taken


def many(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


async def test_a_small_request_rides_with_a_large_one_that_came_before(queue: Queue) -> None:
    add(queue, *many("large", 200))
    add(queue, "small")

    assert [entry.item for entry in queue.take()] == ["large0", "small", "large1", "large2"]


async def test_a_small_request_is_next_while_a_large_one_runs(queue: Queue) -> None:
    add(queue, *many("large", 200))
    queue.take()
    add(queue, "small0", "small1")

    assert [entry.item for entry in queue.take()] == ["small0", "small1", "large4", "large5"]


@pytest.mark.parametrize(
    ("lengths", "keys"), [((10, 1000), ("k", "k")), ((10, 10), ("k", "other"))]
)
async def test_a_small_request_that_does_not_fit_is_in_the_batch_after(
    queue: Queue, lengths: tuple[int, int], keys: tuple[str, str]
) -> None:
    add(queue, *many("large", 200), key=keys[0], lengths=[lengths[0]] * 200)
    add(queue, "small", key=keys[1], lengths=[lengths[1]])

    first, second = queue.take(), queue.take()

    assert "small" not in [entry.item for entry in first]
    assert "small" in [entry.item for entry in second]


async def test_requests_take_turns(queue: Queue) -> None:
    add(queue, *many("a", 4))
    add(queue, *many("b", 4))

    assert batches(queue) == [["a0", "b0", "a1", "b1"], ["a2", "b2", "a3", "b3"]]


async def test_what_came_first_is_not_starved_by_what_comes_later(queue: Queue) -> None:
    ticket = add(queue, *many("old", 12))
    taken: list[str] = []
    for number in range(12):
        add(queue, *many(f"new{number}-", 8), key="new")
        taken += [entry.item for entry in queue.take() if entry.ticket is ticket]

    # One turn for each batch at least, although new requests never end.
    assert taken[:4] == many("old", 4)
    while len(taken) < 12:
        add(queue, *many("newer", 8), key="new")
        batch = queue.take()
        taken += [entry.item for entry in batch if entry.ticket is ticket]
    assert taken == many("old", 12)


async def test_requests_of_one_caller_share_its_turns(queue: Queue) -> None:
    for number in range(10):
        add(queue, f"busy{number}", rank=number + 1)
    add(queue, "other")

    assert [entry.item for entry in queue.take()] == ["busy0", "other", "busy1", "busy2"]


async def test_a_callers_small_request_does_not_wait_for_its_large_one(queue: Queue) -> None:
    add(queue, *many("large", 200))
    add(queue, "small", rank=2)

    assert "small" in [entry.item for entry in queue.take()]


async def test_entries_that_stand_for_several_items_fill_a_batch(queue: Queue) -> None:
    add(queue, "a", weights=[3])
    add(queue, "b", weights=[2])
    add(queue, "c", weights=[1])
    add(queue, "d", weights=[4])

    # What does not fit is next, however small what comes after it.
    assert batches(queue) == [["a", "c"], ["b"], ["d"]]


async def test_a_batch_is_bounded_by_its_work_as_well() -> None:
    queue: Queue = FairQueue(4, max_batch_work=100)
    add(queue, "a", lengths=[60])
    add(queue, "b", "c", lengths=[35, 50])
    add(queue, "d", lengths=[40])

    # The most alike of those that fit.
    assert batches(queue) == [["d", "a"], ["b", "c"]]


async def test_an_entry_of_more_work_than_a_batch_runs_alone() -> None:
    queue: Queue = FairQueue(4, max_batch_work=100)
    add(queue, "small", lengths=[10])
    add(queue, "huge", lengths=[5000])
    add(queue, "smaller", lengths=[5])

    assert batches(queue) == [["smaller", "small"], ["huge"]]


async def test_work_that_fits_is_not_divided() -> None:
    queue: Queue = FairQueue(4, max_batch_work=100)
    add(queue, *"abcd", lengths=[25, 1, 24, 50])

    assert batches(queue) == [["b", "c", "a", "d"]]


async def test_what_nobody_waits_for_is_not_taken(queue: Queue) -> None:
    add(queue, "cancelled").future.cancel()
    add(queue, "late", deadline=Deadline.after_ms(-1))
    add(queue, "kept")

    assert batches(queue) == [["kept"]]
    assert len(queue) == 0


async def test_removing_and_clearing(queue: Queue) -> None:
    gone, kept = add(queue, "a", "b"), add(queue, "c")

    queue.remove(gone)

    assert len(queue) == 1
    assert [entry.ticket for entry in queue.clear()] == [kept]
    assert queue.take() == []


async def test_those_that_fit_join_a_batch_that_goes_on(queue: Queue) -> None:
    add(queue, "a", "b", key="x")
    running = queue.take()
    add(queue, "c", "d", "e", key="x")
    add(queue, "f", key="x")

    joining = queue.take(running)

    assert [entry.item for entry in joining] == ["c", "f"]
    assert queue.take(running + joining) == []
    assert [entry.item for entry in queue.take(running)] == ["d", "e"]


async def test_nobody_joins_before_one_of_another_key_whose_turn_it_is(queue: Queue) -> None:
    add(queue, "a", key="x")
    running = queue.take()
    add(queue, "b", key="y")
    add(queue, "c", key="x")

    assert queue.take(running) == []
    assert batches(queue) == [["b"], ["c"]]


async def test_one_that_is_too_long_to_join_is_not_passed_over() -> None:
    queue: Queue = FairQueue(4, max_batch_work=10)
    add(queue, "a", lengths=[6])
    running = queue.take()
    add(queue, "long", lengths=[30])
    add(queue, "short", lengths=[1])

    assert queue.take(running) == []
    assert batches(queue) == [["long"], ["short"]]


async def test_only_what_is_waited_for_joins(queue: Queue) -> None:
    add(queue, "a")
    running = queue.take()
    gone = add(queue, "b")
    add(queue, "c")
    gone.fail(ValueError())

    assert [entry.item for entry in queue.take(running)] == ["c"]
    assert gone.future.exception() is not None
