"""`Worker`: computes batches in the model's thread, so that an item's failure is its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, cast

from ..errors import InfergraphError, StageFailure
from .running import Running
from .stopping import BatchAbandoned, computing
from .ticket import Entry, Item, Result, Ticket, tickets_of

logger = logging.getLogger(__name__)


class Unfinished:
    """What stands for the result of an entry that goes on."""


UNFINISHED: Final = Unfinished()


@dataclass(slots=True)
class Computed(Generic[Result]):
    """What came of a batch.

    Attributes:
        results: A result or an error for each entry, or UNFINISHED.
        seconds: How long it took.
        lost: The error with which the worker was lost; there are no results then.
    """

    results: list[Result | InfergraphError | Unfinished]
    seconds: float
    lost: InfergraphError | None = None


class _WorkerLost(Exception):
    """The worker cannot compute anything any more."""

    def __init__(self, error: InfergraphError) -> None:
        self.error = error


class RunningBatch(Generic[Item, Result]):
    """The entries that a `Running` computes at the moment.

    Args:
        begin: Begins a `Running`, given the first item.
    """

    def __init__(self, begin: Callable[[Item], Running[Item, Result]]) -> None:
        self._begin = begin
        self._running: Running[Item, Result] | None = None
        self._numbers: dict[Entry[Item, Result], int] = {}
        self._came = 0

    def advance(
        self,
        entries: Sequence[Entry[Item, Result]],
        interrupted: Callable[[], bool],
        given_up: Callable[[Ticket[Result]], InfergraphError],
    ) -> list[Result | InfergraphError | Unfinished]:
        """Computes steps until an entry has its result, or it is interrupted.

        Args:
            entries: All that run; those that did not so far join.
            interrupted: Asked after each step.
            given_up: The result of an entry that nobody waits for any more.

        Returns:
            The result of each entry, or UNFINISHED.
        """
        running = self._running
        if running is None:
            running = self._running = self._begin(cast(Item, entries[0].item))
        for entry in entries:
            if entry not in self._numbers:
                self._numbers[entry] = self._came
                running.add(self._came, cast(Item, entry.item))
                self._came += 1
        results: dict[int, Result | InfergraphError] = {}
        while not results:
            for entry in entries:
                if entry.ticket.done:
                    number = self._numbers[entry]
                    running.drop(number)
                    results[number] = given_up(entry.ticket)
            if not results:
                results.update(running.step())
            if interrupted():
                break
        numbers = [self._numbers[entry] for entry in entries]
        self._numbers = {
            entry: number for entry, number in self._numbers.items() if number not in results
        }
        return [results.get(number, UNFINISHED) for number in numbers]


class Worker(Generic[Item, Result]):
    """Computes batches, in its thread.

    Args:
        name: Names the model in error texts.
        run: See `MicroBatcher`.
        diagnose: Likewise.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result | InfergraphError]],
        diagnose: Callable[[Exception], InfergraphError | None],
    ) -> None:
        self._name = name
        self._run = run
        self._diagnose = diagnose

    def compute(self, batch: list[Entry[Item, Result]]) -> Computed[Result]:
        """Computes a batch as a whole."""
        return self._computed(batch, partial(self._results, batch))

    def advance(
        self,
        running: RunningBatch[Item, Result],
        interrupted: Callable[[], bool],
        batch: list[Entry[Item, Result]],
    ) -> Computed[Result]:
        """Computes steps of a batch that items join; one that fails is computed in halves."""
        return self._computed(batch, partial(running.advance, batch, interrupted, self._given_up))

    def _computed(
        self,
        batch: list[Entry[Item, Result]],
        results: Callable[[], list[Result | InfergraphError | Unfinished]],
    ) -> Computed[Result]:
        started = time.perf_counter()
        try:
            isolated = self._isolated(batch, results)
        except _WorkerLost as lost:
            return Computed([], time.perf_counter() - started, lost.error)
        return Computed(isolated, time.perf_counter() - started)

    def _isolated(
        self,
        batch: list[Entry[Item, Result]],
        compute: Callable[[], list[Result | InfergraphError | Unfinished]],
    ) -> list[Result | InfergraphError | Unfinished]:
        """Computes a batch; when it raises, halves of it, so that only the faulty item fails."""
        tickets = tickets_of(batch)

        def wanted() -> bool:
            # Whoever waits no longer is not asked again: asking costs the same for any batch.
            while tickets and tickets[-1].done:
                tickets.pop()
            return bool(tickets)

        try:
            with computing(wanted):
                results = compute()
        except BatchAbandoned:
            return [self._given_up(entry.ticket) for entry in batch]
        except InfergraphError as error:
            if len(batch) == 1:
                return [error]
        except Exception as error:
            if (lost := self._diagnose(error)) is not None:
                raise _WorkerLost(lost) from error
            if len(batch) == 1:
                logger.exception("model '%s' failed", self._name)
                return [
                    StageFailure(
                        f"it failed with {type(error).__name__}; the server's log has the details"
                    )
                ]
            logger.warning(
                "model '%s': a batch of %d failed with %s; running its halves",
                self._name,
                len(batch),
                type(error).__name__,
            )
        else:
            if len(results) == len(batch):
                return results
            text = f"it gave {len(results)} results for {len(batch)} items"
            logger.error("model '%s': %s", self._name, text)
            return [StageFailure(text) for _ in batch]
        middle = len(batch) // 2
        return [
            result
            for half in (batch[:middle], batch[middle:])
            for result in self._isolated(half, partial(self._results, half))
        ]

    def _given_up(self, ticket: Ticket[Result]) -> InfergraphError:
        """What is told of an abandoned batch where a request has not ended by itself yet."""
        deadline = ticket.deadline
        if deadline is not None and deadline.remaining() <= 0:
            return deadline.exceeded(f"model '{self._name}'")
        return StageFailure("its computation was given up")

    def _results(
        self, batch: list[Entry[Item, Result]]
    ) -> list[Result | InfergraphError | Unfinished]:
        call = batch[0].call
        if call is not None:
            return [call()]
        return list(self._run([cast(Item, entry.item) for entry in batch]))
