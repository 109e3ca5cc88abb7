"""Hundreds of concurrent requests, interleaved at random from a seed: each gets its own answers."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from infergraph.batching import MicroBatcher, Served
from infergraph.batching.ticket import Entry
from infergraph.errors import InvalidInput, Overloaded, StageFailure
from tests.unit.batching.manual_executor import ManualExecutor
from tests.unit.batching.workbench import settle

REQUESTS = 250
MAX_BATCH_SIZE = 5


@dataclass(frozen=True)
class Work:
    """An item: whose it is, and how it behaves."""

    request: int
    index: int
    length: int
    behaviour: str

    @property
    def answer(self) -> tuple[int, int]:
        return (self.request, self.index)


class Request:
    """A request of random size, key, lengths and behaviour, and what became of it."""

    def __init__(self, number: int, rng: random.Random) -> None:
        behaviours = ["fine"] * 40 + ["refused", "raises"]
        self.key = rng.choice("xyz")
        self.caller = rng.choice(["", "", "", "A", "B"])
        self.items = [
            Work(number, index, rng.choice([1, 5, 50, 500]), rng.choice(behaviours))
            for index in range(rng.choice([1, 1, 1, 2, 3, 7]))
        ]
        self.turns: list[tuple[int, int]] = []
        self.cancelled = False
        self.task: asyncio.Task[Served[Any]] | None = None

    async def send(self, batcher: MicroBatcher[Work, Any], referee: Referee) -> Served[Any]:
        place = batcher.admit(len(self.items), 0, self.caller)
        referee.queued(self, place.rank)
        return await batcher.submit(
            place, self.items, key=self.key, lengths=[item.length for item in self.items]
        )

    def check(self) -> None:
        """It was answered with its own items' answers, or failed as one of its own items does."""
        assert self.task is not None
        if self.task.cancelled():
            assert self.cancelled
            return
        error = self.task.exception()
        if isinstance(error, Overloaded):
            assert not self.turns
        elif error is not None:
            assert (type(error), str(error)) in [
                self._failure(item) for item in self.items if item.behaviour != "fine"
            ]
        else:
            assert self.task.result().results == [item.answer for item in self.items]
            assert all(item.behaviour == "fine" for item in self.items)

    def _failure(self, item: Work) -> tuple[type[Exception], str]:
        prefix = f"item {item.index}: " if len(self.items) > 1 else ""
        if item.behaviour == "refused":
            return InvalidInput, f"{prefix}refused {item.answer}"
        return (
            StageFailure,
            f"{prefix}it failed with RuntimeError; the server's log has the details",
        )


def compute(items: list[Work]) -> Sequence[Any]:
    if any(item.behaviour == "raises" for item in items):
        raise RuntimeError("broken")
    return [
        InvalidInput(f"refused {item.answer}") if item.behaviour == "refused" else item.answer
        for item in items
    ]


class Referee:
    """Checks each batch as it is handed to the worker, against all that waits then."""

    def __init__(self) -> None:
        self.queue: list[Request] = []
        self.batches = 0
        self.dispatched: set[Work] = set()
        self.finished: set[Work] = set()
        self.current: list[Work] = []

    def queued(self, request: Request, rank: int) -> None:
        """Each item may expect the batch after next, and as many later as go before it."""
        request.turns = [
            (self.batches + rank - 1 + item.index * rank, len(self.queue)) for item in request.items
        ]
        self.queue.append(request)

    def handed_over(self, batch: list[Entry[Work, Any]]) -> None:
        items = [entry.item for entry in batch if entry.item is not None]
        self.finished.update(self.current)
        waiting = {item: request for request in self.queue for item in self._waiting(request)}
        assert 1 <= len(items) <= MAX_BATCH_SIZE
        assert set(items) <= waiting.keys(), "an item ran twice, or after its request had ended"
        due = min(waiting, key=lambda item: waiting[item].turns[item.index])
        assert due in items, "the item whose turn it was was passed over"
        assert len({waiting[item].key for item in items}) == 1
        assert [item.length for item in items] == sorted(item.length for item in items)
        self.batches += 1
        self.dispatched.update(items)
        self.current = list(items)

    def _waiting(self, request: Request) -> list[Work]:
        failed = any(item.behaviour != "fine" and item in self.finished for item in request.items)
        if failed or request.cancelled:
            return []
        return [item for item in request.items if item not in self.dispatched]


@pytest.mark.parametrize("seed", range(25))
async def test_no_interleaving_loses_swaps_or_starves(seed: int) -> None:
    rng = random.Random(seed)
    referee = Referee()
    executor = ManualExecutor(on_submit=referee.handed_over)
    batcher: MicroBatcher[Work, Any] = MicroBatcher(
        compute,
        executor,
        name="asr",
        max_batch_size=MAX_BATCH_SIZE,
        max_queue_size=rng.choice([20, 60]),
        max_queue_bytes=1,
    )
    requests: list[Request] = []
    while len(requests) < REQUESTS:
        action = rng.random()
        if action < 0.6:
            request = Request(len(requests), rng)
            request.task = asyncio.ensure_future(request.send(batcher, referee))
            requests.append(request)
        elif action < 0.7 and requests:
            request = rng.choice(requests[-20:])
            assert request.task is not None
            if not request.cancelled:
                request.cancelled = request.task.cancel()
        elif action < 0.8:
            await settle()
        elif executor.held:
            executor.run_next()
            await settle()
        else:
            await asyncio.sleep(0)
    await settle()
    while executor.held:
        executor.run_next()
        await settle()

    for request in requests:
        request.check()
    assert batcher.waiting == 0
    assert sum(request.task.cancelled() for request in requests if request.task) > 0


async def test_a_real_worker_thread_runs_one_batch_at_a_time() -> None:
    rng = random.Random(7)
    all_sent = threading.Event()
    running = threading.Semaphore(1)
    sizes: list[int] = []

    def run(items: list[Work]) -> Sequence[Any]:
        assert all_sent.wait(timeout=60)
        assert running.acquire(blocking=False), "two batches at once"
        sizes.append(len(items))
        try:
            return compute(items)
        finally:
            running.release()

    requests = [Request(number, rng) for number in range(REQUESTS)]
    with ThreadPoolExecutor(1) as executor:
        batcher: MicroBatcher[Work, Any] = MicroBatcher(
            run,
            executor,
            name="asr",
            max_batch_size=MAX_BATCH_SIZE,
            max_queue_size=10_000,
            max_queue_bytes=1,
        )
        for request in requests:
            request.task = asyncio.ensure_future(request.send(batcher, Referee()))
        await settle()
        for request in rng.sample(requests, 30):
            assert request.task is not None
            request.cancelled = request.task.cancel()
        all_sent.set()
        await asyncio.wait([request.task for request in requests if request.task])

    for request in requests:
        request.check()
    assert batcher.waiting == 0
    assert max(sizes) == MAX_BATCH_SIZE
