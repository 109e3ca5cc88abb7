"""Merges the items of concurrent requests into batches for one worker thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from ..errors import InfergraphError, StageFailure, StageUnavailable
from ..request import Deadline
from .fair_queue import FairQueue
from .room import Place, Room
from .running import Running
from .ticket import Entry, Item, Result, Served, Ticket, entries_of, tickets_of
from .worker import Computed, RunningBatch, Unfinished, Worker

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


class BatchObserver(Protocol):
    """Told of what happens, for metrics."""

    def observe_batch(self, size: int, limit: int, seconds: float) -> None:
        """A batch of `size` items, of at most `limit`, ran."""

    def observe_waiting(self, change: int) -> None:
        """So many more items wait, or fewer when it is negative."""


class MicroBatcher(Generic[Item, Result]):
    """Runs items in batches, one batch at a time, on an executor.

    A batch starts as soon as the worker is idle; a queue builds only while it is busy, so a lone
    request never waits for company. Items run together only if their keys are equal. Requests take
    turns, see `FairQueue`, and none of them fills the queue, see `Room`. A batch that nobody waits
    for any more ends where the task calls `check_wanted`.

    Where items come and go between steps (`begin`), those that wait join the batch that runs while
    the one whose turn it is has its key, and each is answered once its own results are there.

    Args:
        run: Computes a batch, in the executor; gives one result or error for each item, in order.
            If it raises, the batch is halved and run again until the faulty item is alone.
        executor: Has exactly one thread.
        name: Names the model in error texts.
        max_batch_size: Most items in a batch.
        max_batch_work: The most that lengths of a batch's items add up to, if there are several;
            None is no limit.
        max_queue_size: Most items that wait, those being admitted included.
        max_queue_bytes: Most bytes of the tensors of all requests.
        observe: Told of every batch, and of the items that wait.
        begin: Begins a batch that items join, given its first item. `run` is then for the items
            of one that failed.
        diagnose: Gives, of what was raised, the error for everything that waits if the worker is
            lost with it, or None. Called in the executor.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result | InfergraphError]],
        executor: Executor,
        *,
        name: str,
        max_batch_size: int,
        max_queue_size: int,
        max_queue_bytes: int,
        max_batch_work: float | None = None,
        observe: BatchObserver | None = None,
        begin: Callable[[Item], Running[Item, Result]] | None = None,
        diagnose: Callable[[Exception], InfergraphError | None] = lambda error: None,
    ) -> None:
        self._worker = Worker(name, run, diagnose)
        self._executor = executor
        self._name = name
        self._max_batch_size = max_batch_size
        self._observe = observe
        self._begin = begin
        self._room = Room(
            name,
            max_queue_size,
            max_queue_bytes,
            None if observe is None else observe.observe_waiting,
        )
        self._queue: FairQueue[Item, Result] = FairQueue(max_batch_size, max_batch_work)
        # The batch that items join, and those of it that are not done.
        self._running: RunningBatch[Item, Result] | None = None
        self._unfinished: list[Entry[Item, Result]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = False
        self._scheduled = False
        self._closed: InfergraphError | None = None

    @property
    def waiting(self) -> int:
        """Items that were admitted or wait in the queue; not those in the batch that runs."""
        return self._room.waiting

    def admit(self, count: int, size: int = 0, caller: str = "") -> Place:
        """Takes a place for a request of `count` items whose tensors hold `size` bytes.

        Whoever takes it hands it to `submit` or `call`, or releases it.

        Raises:
            InvalidInput: more items or bytes than one request may ever hold.
            Overloaded: no room now, or the caller holds its share.
            StageUnavailable: it was closed.
        """
        self._check_open()
        return self._room.admit(count, size, caller)

    async def submit(
        self,
        place: Place,
        items: Sequence[Item],
        *,
        key: Hashable = None,
        lengths: Sequence[int] | None = None,
        weights: Sequence[int] | None = None,
        named: Callable[[int], str] = "item {}".format,
        deadline: Deadline | None = None,
    ) -> Served[Result]:
        """Queues admitted items and waits for all their results; the place is released.

        Args:
            place: From `admit`, for as many items as these weigh.
            items: What `run` takes.
            key: What items must share to run together.
            lengths: A measure of each item's work.
            weights: For how many items each of them stands, at most `max_batch_size`; 1 if None.
            named: What the one of an index is called in error texts, where there are several.
            deadline: After it nobody waits for the results.

        Raises:
            InfergraphError: that of the first item that failed.
            DeadlineExceeded: the deadline passed before all results were there; items that still
                wait leave the queue.
        """
        ticket: Ticket[Result] = Ticket(len(items), asyncio.get_running_loop(), deadline, named)
        try:
            entries = entries_of(items, key, lengths or [0] * len(items), ticket, weights)
            for entry in entries:
                entry.place = place
            return await self._served(ticket, entries, place.rank, deadline)
        finally:
            ticket.leave(place.release)

    async def call(
        self, place: Place, function: Callable[[], Value], *, deadline: Deadline | None = None
    ) -> Served[Value]:
        """The result of a computation of its own, in its turn; the place, of one item, is released.

        Raises: as `submit`.
        """
        ticket: Ticket[Any] = Ticket(1, asyncio.get_running_loop(), deadline)
        entry: Entry[Any, Any] = Entry(None, object(), 0, ticket, 0, call=function)
        entry.place = place
        try:
            return await self._served(ticket, [entry], place.rank, deadline)
        finally:
            ticket.leave(place.release)

    def close(self, reason: str) -> None:
        """Fails with StageUnavailable what waits and what comes.

        The batch that runs still answers its requests, see `idle`.
        """
        self._close(StageUnavailable(f"model '{self._name}': {reason}", cause="unloading"))

    async def idle(self) -> None:
        """Returns once no batch runs."""
        await self._idle.wait()

    def _close(self, error: InfergraphError) -> None:
        self._closed = error
        for entry in self._queue.clear():
            entry.ticket.fail(error.copy())

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed.copy()

    async def _served(
        self,
        ticket: Ticket[Any],
        entries: Sequence[Entry[Any, Any]],
        rank: int,
        deadline: Deadline | None,
    ) -> Served[Any]:
        loop = asyncio.get_running_loop()
        self._check_open()
        if deadline is not None:
            # The timer below would come too late: the worker may be idle.
            deadline.check(f"model '{self._name}'")
        if not entries:
            return Served([], queue_us=0, compute_us=0, batch_size=0)
        self._queue.add(entries, rank)
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
            self._queue.remove(ticket)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        # One turn of the loop later, so that requests which arrived together run together.
        if not self._busy and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        came = self._queue.came
        joining = self._queue.take(self._unfinished)
        for entry in joining:
            entry.ticket.running += 1
            if entry.place is not None:
                entry.place.begin(entry.weight)
        batch, self._unfinished = self._unfinished + joining, []
        if not batch:
            self._running = None
            self._idle.set()
            return
        running = self._running
        if running is None and self._begin is not None and batch[0].call is None:
            running = self._running = RunningBatch(self._begin)
        self._busy = True
        self._idle.clear()
        compute = self._worker.compute
        if running is not None:
            compute = partial(self._worker.advance, running, lambda: self._queue.came != came)
        future = loop.run_in_executor(self._executor, compute, batch)
        future.add_done_callback(lambda done: self._deliver(loop, batch, done))

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[Entry[Item, Result]],
        done: asyncio.Future[Computed[Result]],
    ) -> None:
        self._busy = False
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            logger.error("model '%s': its worker ended: %r", self._name, error)
            text = f"model '{self._name}': its worker ended"
            batch = self._given_up(batch, lambda: StageFailure(text))
        elif (lost := done.result().lost) is not None:
            batch = self._given_up(batch, lost.copy)
            self._close(lost)
        else:
            batch = self._answer(batch, done.result())
        for entry in batch:
            entry.ticket.stopped()
        if not self._unfinished:
            self._running = None
        self._dispatch(loop)

    def _given_up(
        self, batch: list[Entry[Item, Result]], error: Callable[[], InfergraphError]
    ) -> list[Entry[Item, Result]]:
        """Fails the requests of a batch, and of the one that goes on; gives their entries."""
        batch, self._unfinished = batch + self._unfinished, []
        for ticket in tickets_of(batch):
            ticket.fail(error())
        return batch

    def _answer(
        self, batch: list[Entry[Item, Result]], computed: Computed[Result]
    ) -> list[Entry[Item, Result]]:
        """Hands out the results that are there; gives their entries."""
        finished = []
        for entry, result in zip(batch, computed.results, strict=True):
            if isinstance(result, Unfinished):
                self._unfinished.append(entry)
            else:
                entry.ticket.add(entry.index, result)
                finished.append(entry)
        size = sum(entry.weight for entry in batch)
        for ticket in tickets_of(batch):
            ticket.ran(computed.seconds, size)
        if self._observe is not None and batch[0].call is None:
            self._observe.observe_batch(size, self._max_batch_size, computed.seconds)
        return finished
