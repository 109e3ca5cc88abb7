"""A request's place in the queue: its entries, and the results that come back for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import InfergraphError
from ..request import Deadline
from .room import Place

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """What a request got.

    Attributes:
        results: One for each entry, in the request's order.
        queue_us: Microseconds in which none of its items was being worked on.
        compute_us: Microseconds that the batches took which held its items.
        batch_size: Items in the largest of those batches.
    """

    results: list[Result]
    queue_us: int
    compute_us: int
    batch_size: int


class Ticket(Generic[Result]):
    """Collects the results of one request; its future ends when all are there, or with an error.

    Args:
        count: How many entries it has.
        loop: The running event loop.
        deadline: After it nobody waits for the results.
        named: What the entry of an index is called in error texts.

    Attributes:
        deadline: As given.
        running: How many of its entries are being computed.
        on_idle: Called once, when the ticket has been left by its request and nothing of it runs.
    """

    def __init__(
        self,
        count: int,
        loop: asyncio.AbstractEventLoop,
        deadline: Deadline | None = None,
        named: Callable[[int], str] = "item {}".format,
    ) -> None:
        self.future: asyncio.Future[Served[Result]] = loop.create_future()
        self.running = 0
        self.on_idle: Callable[[], None] | None = None
        self.deadline = deadline
        self._named = named
        self._results: list[Result | None] = [None] * count
        self._left = count
        self._submitted = time.perf_counter()
        self._compute = 0.0
        self._largest = 0

    @property
    def done(self) -> bool:
        """Whether nobody waits for results any more; may be asked from any thread.

        So it is when they were given, the request failed or was cancelled, or its deadline passed.
        """
        if self.future.done():
            return True
        return self.deadline is not None and self.deadline.remaining() <= 0

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def add(self, index: int, result: Result | InfergraphError) -> None:
        """Takes one entry's result; an entry's error ends the request with it."""
        if self.future.done():
            return
        if isinstance(result, InfergraphError):
            many = len(self._results) > 1
            self.future.set_exception(result.prefixed(self._named(index)) if many else result)
            return
        self._results[index] = result
        self._left -= 1

    def ran(self, seconds: float, batch_size: int) -> None:
        """Notes a batch that held some of the items; ends the request when it was the last."""
        self._compute += seconds
        self._largest = max(self._largest, batch_size)
        if self._left == 0 and not self.future.done():
            total = time.perf_counter() - self._submitted
            self.future.set_result(
                Served(
                    self._results,  # type: ignore[arg-type]
                    queue_us=max(0, round((total - self._compute) * 1e6)),
                    compute_us=round(self._compute * 1e6),
                    batch_size=self._largest,
                )
            )

    def leave(self, on_idle: Callable[[], None]) -> None:
        """Notes that the request is over; `on_idle` is called as soon as nothing of it runs."""
        if self.running:
            self.on_idle = on_idle
        else:
            on_idle()

    def stopped(self) -> None:
        """Notes that one of its entries runs no more."""
        self.running -= 1
        if self.running == 0 and self.on_idle is not None:
            on_idle, self.on_idle = self.on_idle, None
            on_idle()


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Result]):
    """What is queued as one: an item, or several of one request.

    Attributes:
        item: The value to run.
        key: Only entries of equal keys run together.
        length: A measure of its work; entries of similar length run together, to lessen padding.
        ticket: The request it belongs to.
        index: Its place in the request.
        weight: How many items it stands for.
        call: Computes the result in place of the batch function; such an entry runs alone.
        place: Has the places that its items give back when they begin; None has none to give.
        order: By which the queue is sorted: its turn, and when it came.
    """

    item: Item | None
    key: Hashable
    length: int
    ticket: Ticket[Result]
    index: int
    weight: int = 1
    call: Callable[[], Result] | None = None
    place: Place | None = None
    order: tuple[int, int] = (0, 0)


def entries_of(
    items: Sequence[Item],
    key: Hashable,
    lengths: Sequence[int],
    ticket: Ticket[Result],
    weights: Sequence[int] | None = None,
) -> list[Entry[Item, Result]]:
    """One entry for each item; an item counts as one unless `weights` says otherwise."""
    return [
        Entry(item, key, length, ticket, index, weight)
        for index, (item, length, weight) in enumerate(
            zip(items, lengths, weights or [1] * len(items), strict=True)
        )
    ]


def tickets_of(entries: Sequence[Entry[Item, Result]]) -> list[Ticket[Result]]:
    """The requests of entries, each once."""
    return list({id(entry.ticket): entry.ticket for entry in entries}.values())
