"""`FairQueue`: the order in which the entries of many requests are computed."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Generic

from .ticket import Entry, Item, Result, Ticket

_LOOKAHEAD = 4
"""How many batches' worth of queued entries are searched for those of similar length."""

_by_order = attrgetter("order")


class FairQueue(Generic[Item, Result]):
    """Holds entries by turn, and fills batches of them.

    An entry's turn is the batch that it may expect: the next one, and one batch later for each
    entry that its request has before it. So requests take turns: a small one behind one of 200
    items is in the next batch, or the one after it where keys or lengths differ. Where the caller
    is known, its requests share one turn: the entries of each lie as many batches apart as the
    caller had requests. The entry whose turn came first is always in the next batch, and turns of
    what comes later grow with every batch, so that nothing is passed over for ever.

    Args:
        max_batch_size: Most items in a batch.
        max_batch_work: The most that the lengths of a batch's entries add up to, if it holds more
            than one; None is no limit.

    Attributes:
        came: How many entries were ever queued; may be asked from any thread.
    """

    def __init__(self, max_batch_size: int, max_batch_work: float | None = None) -> None:
        self._max_batch_size = max_batch_size
        self._max_batch_work = float("inf") if max_batch_work is None else max_batch_work
        self._entries: list[Entry[Item, Result]] = []
        self._batches = 0
        self.came = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Sequence[Entry[Item, Result]], rank: int) -> None:
        """Queues the entries of one request; `rank` is that of its place (see `Place`)."""
        for number, entry in enumerate(entries):
            entry.order = (self._batches + rank - 1 + number * rank, self.came + number)
        self.came += len(entries)
        sorted_still = not self._entries or entries[0].order > self._entries[-1].order
        self._entries.extend(entries)
        if not sorted_still:
            self._entries.sort(key=_by_order)

    def remove(self, ticket: Ticket[Result]) -> None:
        """Forgets the entries of a request."""
        self._entries = [entry for entry in self._entries if entry.ticket is not ticket]

    def clear(self) -> list[Entry[Item, Result]]:
        """Forgets and returns all entries."""
        entries, self._entries = self._entries, []
        return entries

    def take(self, running: Sequence[Entry[Item, Result]] = ()) -> list[Entry[Item, Result]]:
        """The next batch, shortest first: the entry whose turn it is and those that fit it best.

        They have equal keys and similar lengths, hold at most `max_batch_size` items, and are at
        most `max_batch_work` together. Empty when nobody waits for anything.

        Args:
            running: Entries that go on. It then gives those that join them: none unless the one
                whose turn it is may.
        """
        entries = [entry for entry in self._entries if not entry.ticket.done]
        self._entries = entries
        if not entries:
            return []
        head = entries[0]
        room = self._max_batch_size - sum(entry.weight for entry in running)
        work = self._max_batch_work - sum(entry.length for entry in running)
        if running and (head.key != running[0].key or head.weight > room or head.length > work):
            return []
        self._batches += 1
        fitting = [
            entry for entry in entries[: _LOOKAHEAD * self._max_batch_size] if entry.key == head.key
        ]
        if (
            sum(entry.weight for entry in fitting) > room
            or sum(entry.length for entry in fitting) > work
        ):
            fitting.sort(key=lambda entry: (entry is not head, abs(entry.length - head.length)))
        batch = []
        for entry in fitting:
            if entry is head or (entry.weight <= room and entry.length <= work):
                batch.append(entry)
                room -= entry.weight
                work -= entry.length
        chosen = {id(entry) for entry in batch}
        self._entries = [entry for entry in entries if id(entry) not in chosen]
        batch.sort(key=lambda entry: entry.length)
        return batch
