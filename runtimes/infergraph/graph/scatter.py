"""Per-item execution: a batch is scattered into items, and their answers are gathered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from ..errors import (
    DeadlineExceeded,
    InfergraphError,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from ..tensors.partial import error_tensors, item_tensor
from ..v2 import Message, Tensor

_WORKERS = 64
"""Items of one request that run at a time, so that a large batch leaves room in the queues."""

_NO_ITEMS_FAULT = (DeadlineExceeded, Overloaded, StageUnavailable)
"""Errors that say nothing of the item: the request may be answered if it is sent once more."""

Execute = Callable[[Message, int], Awaitable[Message]]
"""The answer of one item, given as a batch of one, and of its position."""


async def execute_items(message: Message, count: int, execute: Execute) -> Message:
    """Runs `execute` on each item of a batch, up to 64 at once, and gathers the answers.

    An item that fails by a fault of its own does so alone: the answer holds those of the others,
    and `ERROR_TENSORS` for the failed ones.

    Args:
        message: A batch; its tensors hold the same number of items.
        count: The number of items, at least 1.
        execute: Answers one item.

    Raises:
        Overloaded, StageUnavailable, DeadlineExceeded: an item met this, and the rest was
            cancelled; the text says how many items had been answered by then.
        InfergraphError: every item failed; the first one's error, with ``item 0`` before its text.
        Exception: `execute` raised something unexpected; the rest was cancelled.
    """
    return gather(await _Items(message, count, execute).run())


class _Items:
    """The items of one request; workers take them as they come, so that none waits as a task."""

    def __init__(self, message: Message, count: int, execute: Execute) -> None:
        self._message = message
        self._count = count
        self._execute = execute
        self._waiting = iter(range(count))
        self._answers: list[Message | InfergraphError | None] = [None] * count
        self._fatal: dict[int, Exception] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._is_ending = False

    async def run(self) -> list[Message | InfergraphError]:
        """The answer or the error of each item, in order."""
        self._workers = [
            asyncio.create_task(self._work()) for _ in range(min(_WORKERS, self._count))
        ]
        cancelled: asyncio.CancelledError | None = None
        while not all(worker.done() for worker in self._workers):
            try:
                await asyncio.wait(self._workers)
            except asyncio.CancelledError as error:
                cancelled = error
                self._end()
        if cancelled is not None:
            raise cancelled
        if self._fatal:
            raise self._failure(min(self._fatal))
        return [answer for answer in self._answers if answer is not None]

    async def _work(self) -> None:
        for item in self._waiting:
            if not await self._answer(item):
                return
            # Models that answer without waiting would not let anything else run, nor a deadline.
            await asyncio.sleep(0)

    async def _answer(self, item: int) -> bool:
        """Runs an item, and keeps its answer; False when that ends the request."""
        try:
            self._answers[item] = await self._execute(item_of(self._message, item), item)
        except _NO_ITEMS_FAULT as error:
            self._fatal[item] = error
        except InfergraphError as error:
            self._answers[item] = error
        except asyncio.CancelledError:
            if self._is_ending:
                raise
            self._fatal[item] = StageFailure("the call was cancelled by its stage")
        except Exception as error:
            self._fatal[item] = error
        if item in self._fatal:
            self._end()
            return False
        return True

    def _end(self) -> None:
        """Cancels the other workers."""
        self._is_ending = True
        for worker in self._workers:
            if worker is not asyncio.current_task():
                worker.cancel()

    def _failure(self, item: int) -> Exception:
        error = self._fatal[item]
        if not isinstance(error, InfergraphError):
            return error
        if not isinstance(error, _NO_ITEMS_FAULT) or self._count == 1:
            return error.prefixed(f"item {item}")
        answered = sum(answer is not None for answer in self._answers)
        return error.prefixed(
            f"item {item} of {self._count}, of which {answered} had been answered"
        )


def item_of(message: Message, item: int) -> Message:
    """One item of a batch, as a batch of one; the arrays are views, not copies."""
    return Message(
        [Tensor(t.name, t.datatype, t.data[item : item + 1]) for t in message.tensors],
        message.id,
        message.parameters,
    )


def gather(answers: Sequence[Message | InfergraphError]) -> Message:
    """The answers of all items as one message, and of those that failed the errors.

    Each tensor's rows are concatenated in the order of the items. A tensor of which every item
    produced exactly one row stays as it is; any other is followed by `<name>_item`, INT64
    [rows, 1], the item of each row. The id and parameters are those of the first that answered.

    Raises:
        InfergraphError: every item failed; the first one's error.
        StageFailure: items disagree on a tensor's datatype or on the shape of its rows.
    """
    rows: dict[tuple[str, int], list[tuple[int, Tensor]]] = {}
    answered: list[Message] = []
    failed: list[tuple[int, InfergraphError]] = []
    for item, answer in enumerate(answers):
        if isinstance(answer, InfergraphError):
            failed.append((item, answer))
            continue
        answered.append(answer)
        seen: dict[str, int] = {}
        for tensor in answer.tensors:
            number = seen.get(tensor.name, 0)
            seen[tensor.name] = number + 1
            rows.setdefault((tensor.name, number), []).append((item, tensor))
    if not answered:
        item, error = failed[0]
        raise error.prefixed(f"item {item}") from error
    tensors: list[Tensor] = []
    for (name, _), parts in rows.items():
        _check_rows(name, parts)
        data = [tensor.data for _, tensor in parts]
        tensors.append(Tensor(name, parts[0][1].datatype, np.concatenate(data, axis=0)))
        counts = [array.shape[0] for array in data]
        if counts != [1] * len(answers):
            tensors.append(item_tensor(name, np.repeat([item for item, _ in parts], counts)))
    if failed:
        tensors += error_tensors(failed)
    return Message(tensors, answered[0].id, answered[0].parameters)


def _check_rows(name: str, parts: Sequence[tuple[int, Tensor]]) -> None:
    first_item, first = parts[0]
    for item, tensor in parts:
        if not tensor.shape:
            raise StageFailure(
                f"tensor '{name}' of item {item} has shape []; accepted: a shape whose first "
                "dimension is the batch"
            )
        if (tensor.datatype, tensor.shape[1:]) != (first.datatype, first.shape[1:]):
            raise StageFailure(
                f"tensor '{name}' is {first.datatype} {list(first.shape)} for item {first_item} "
                f"and {tensor.datatype} {list(tensor.shape)} for item {item}; their rows cannot "
                "be gathered into one tensor"
            )
