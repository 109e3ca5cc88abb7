"""A request's place in the queue: its items, and the results that come back for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import InfergraphError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """What a request got.

    Attributes:
        results: One for each item, in the request's order.
        queue_us: Microseconds in which none of its items was being worked on.
        compute_us: Microseconds that the batches took which held its items.
        batch_size: Items in the largest of those batches.
    """

    results: list[Result]
    queue_us: int
    compute_us: int
    batch_size: int


class Ticket(Generic[Result]):
    """Collects the results of one request; its future ends when all are there, or with an error."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Served[Result]] = loop.create_future()
        self._results: list[Result | None] = [None] * count
        self._left = count
        self._submitted = time.perf_counter()
        self._compute = 0.0
        self._largest = 0

    @property
    def done(self) -> bool:
        """Whether nobody waits for results any more: answered, failed or cancelled."""
        return self.future.done()

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def add(self, index: int, result: Result | InfergraphError) -> None:
        """Takes one item's result; an item's error ends the request with it."""
        if self.future.done():
            return
        if isinstance(result, InfergraphError):
            many = len(self._results) > 1
            self.future.set_exception(result.prefixed(f"item {index}") if many else result)
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


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Result]):
    """One queued item.

    Attributes:
        item: The value to run.
        key: Only items of equal keys run together.
        length: Items of similar length run together, to lessen padding.
        ticket: The request it belongs to.
        index: Its place in the request.
    """

    item: Item
    key: Hashable
    length: int
    ticket: Ticket[Result]
    index: int


def entries_of(
    items: Sequence[Item], key: Hashable, lengths: Sequence[int], ticket: Ticket[Result]
) -> list[Entry[Item, Result]]:
    return [
        Entry(item, key, length, ticket, index)
        for index, (item, length) in enumerate(zip(items, lengths, strict=True))
    ]
