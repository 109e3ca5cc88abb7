"""Merges the items of concurrent requests into batches for one worker thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from typing import Generic, Protocol

from ..errors import InfergraphError, InvalidInput, Overloaded, StageFailure
from ..request import Deadline
from .ticket import Entry, Item, Result, Served, Ticket, entries_of

logger = logging.getLogger(__name__)

_LOOKAHEAD = 4
"""How many batches' worth of queued items are searched for those of similar length."""


class BatchObserver(Protocol):
    """Told of every batch that ran, for metrics."""

    def __call__(self, size: int, seconds: float) -> None: ...


class MicroBatcher(Generic[Item, Result]):
    """Runs items in batches, one batch at a time, on an executor.

    A batch starts as soon as the worker is idle; a queue builds only while it is busy, so a lone
    request never waits for company. Items run together only if their keys are equal. The oldest
    item is always in the next batch; others join it by similar length.

    Args:
        run: Computes a batch, in the executor; gives one result or error for each item, in order.
            If it raises, the batch is halved and run again until the faulty item is alone.
        executor: Has exactly one thread.
        name: Names the model in error texts.
        max_batch_size: Most items in a batch.
        max_queue_size: Most items that wait, those being admitted included.
        observe: Told of every batch.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result | InfergraphError]],
        executor: Executor,
        *,
        name: str,
        max_batch_size: int,
        max_queue_size: int,
        observe: BatchObserver | None = None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._name = name
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._observe = observe
        self._queue: deque[Entry[Item, Result]] = deque()
        self._admitted = 0
        self._busy = False
        self._scheduled = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Items that were admitted or wait in the queue; not those in the batch that runs."""
        return self._admitted + len(self._queue)

    def admit(self, count: int) -> None:
        """Takes places in the queue for items that are still being prepared.

        Raises:
            InvalidInput: more items than the queue can ever hold.
            Overloaded: no room now.
        """
        if self._closed:
            raise Overloaded(f"model '{self._name}': it is being unloaded")
        if count > self._max_queue_size:
            raise InvalidInput(
                f"model '{self._name}': the request holds {count} items; accepted: at most "
                f"{self._max_queue_size} (setting 'max_queue_size')"
            )
        if self.waiting + count > self._max_queue_size:
            raise Overloaded(
                f"model '{self._name}': its queue is full ({self.waiting} of "
                f"{self._max_queue_size} items wait); try again later"
            )
        self._admitted += count

    def dismiss(self, count: int) -> None:
        """Gives places back that `admit` took, for items that do not come after all."""
        self._admitted -= count

    async def submit(
        self,
        items: Sequence[Item],
        *,
        key: Hashable = None,
        lengths: Sequence[int] | None = None,
        deadline: Deadline | None = None,
    ) -> Served[Result]:
        """Queues admitted items and waits for all their results.

        Raises:
            InfergraphError: that of the first item that failed.
            DeadlineExceeded: the deadline passed before all results were there; items that still
                wait leave the queue.
        """
        loop = asyncio.get_running_loop()
        ticket: Ticket[Result] = Ticket(len(items), loop)
        entries = entries_of(items, key, lengths or [0] * len(items), ticket)
        self._admitted -= len(items)
        if self._closed:
            raise Overloaded(f"model '{self._name}': it is being unloaded")
        if deadline is not None:
            # The timer below would come too late: the worker may be idle.
            deadline.check(f"model '{self._name}'")
        if not items:
            return Served([], queue_us=0, compute_us=0, batch_size=0)
        self._queue.extend(entries)
        timer = None
        if deadline is not None:
            timer = loop.call_later(
                max(0.0, deadline.remaining()),
                lambda: ticket.fail(deadline.exceeded(f"model '{self._name}'")),
            )
        self._schedule(loop)
        try:
            return await ticket.future
        except BaseException:
            # Cancelled, failed or out of time: what still waits must not take a place or run.
            self._queue = deque(entry for entry in self._queue if entry.ticket is not ticket)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Fails what waits with Overloaded; the batch that runs still answers its requests."""
        self._closed = True
        for entry in self._queue:
            entry.ticket.fail(Overloaded(f"model '{self._name}': it is being unloaded"))
        self._queue.clear()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        # One turn of the loop later, so that requests which arrived together run together.
        if not self._busy and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        batch = self._take()
        if not batch:
            return
        self._busy = True
        future = loop.run_in_executor(self._executor, self._timed, [entry.item for entry in batch])
        future.add_done_callback(lambda done: self._deliver(loop, batch, done))

    def _take(self) -> list[Entry[Item, Result]]:
        """The next batch: the oldest item and those that fit it best, by length."""
        queue = self._queue
        while queue and queue[0].ticket.done:
            queue.popleft()
        if not queue:
            return []
        head = queue[0]
        window = [
            entry
            for _, entry in zip(range(_LOOKAHEAD * self._max_batch_size), queue, strict=False)
            if entry.key == head.key and not entry.ticket.done
        ]
        if len(window) > self._max_batch_size:
            window.sort(key=lambda entry: (entry is not head, abs(entry.length - head.length)))
            del window[self._max_batch_size :]
        chosen = {id(entry) for entry in window}
        self._queue = deque(entry for entry in queue if id(entry) not in chosen)
        window.sort(key=lambda entry: entry.length)
        return window

    def _timed(self, items: list[Item]) -> tuple[list[Result | InfergraphError], float]:
        started = time.perf_counter()
        results = self._isolated(items)
        return results, time.perf_counter() - started

    def _isolated(self, items: list[Item]) -> list[Result | InfergraphError]:
        """Runs a batch; when it raises, halves of it, so that only the faulty item fails."""
        try:
            results = list(self._run(items))
        except InfergraphError as error:
            if len(items) == 1:
                return [error]
        except Exception as error:
            if len(items) == 1:
                logger.exception("model '%s' failed", self._name)
                return [
                    StageFailure(
                        f"it failed with {type(error).__name__}; the server's log has the details"
                    )
                ]
            logger.warning(
                "model '%s': a batch of %d failed with %s; running its halves",
                self._name,
                len(items),
                type(error).__name__,
            )
        else:
            if len(results) == len(items):
                return results
            text = f"it gave {len(results)} results for {len(items)} items"
            logger.error("model '%s': %s", self._name, text)
            return [StageFailure(text) for _ in items]
        middle = len(items) // 2
        return self._isolated(items[:middle]) + self._isolated(items[middle:])

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[Entry[Item, Result]],
        done: asyncio.Future[tuple[list[Result | InfergraphError], float]],
    ) -> None:
        self._busy = False
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            logger.error("model '%s': its worker ended: %r", self._name, error)
            for entry in batch:
                entry.ticket.fail(StageFailure(f"model '{self._name}': its worker ended"))
        else:
            results, seconds = done.result()
            for entry, result in zip(batch, results, strict=True):
                entry.ticket.add(entry.index, result)
            for ticket in {id(entry.ticket): entry.ticket for entry in batch}.values():
                ticket.ran(seconds, len(batch))
            if self._observe is not None:
                self._observe(len(batch), seconds)
        if self._queue:
            self._dispatch(loop)
