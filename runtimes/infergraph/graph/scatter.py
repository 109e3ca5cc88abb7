"""Per-item execution: a batch is scattered into items, and their answers are gathered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DeadlineExceeded, InfergraphError, InvalidInput, StageFailure
from ..tensors.partial import error_tensors, item_tensor
from ..v2 import Message, Tensor

_MOST_AT_ONCE = 64
"""Items of one request that run at a time, so that a large batch leaves room in the queues."""


async def execute_items(
    message: Message, execute: Callable[[Message, int], Awaitable[Message]]
) -> Message:
    """Runs `execute` on each item of the batch, many at once, and gathers the answers.

    An item that fails does so alone: the answer holds those of the others, and `ERROR_TENSORS` for
    the failed ones.

    Raises:
        InvalidInput: the tensors are no batch.
        DeadlineExceeded: the deadline passed before all items were done; the rest is cancelled.
        InfergraphError: every item failed; the first one's error, with ``item 0`` before its text.
    """
    items = split(message)
    room = asyncio.Semaphore(_MOST_AT_ONCE)

    async def execute_item(item: int) -> Message | InfergraphError:
        try:
            async with room:
                return await execute(items[item], item)
        except DeadlineExceeded as error:
            raise error.prefixed(f"item {item}") from error
        except InfergraphError as error:
            return error

    if len(items) == 1:
        return gather([await execute_item(0)])
    tasks = [asyncio.create_task(execute_item(item)) for item in range(len(items))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    for item, task in enumerate(tasks):
        if task.cancelled():
            raise StageFailure(f"item {item}: the call was cancelled by its stage")
    return gather([task.result() for task in tasks])


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels what still runs and waits for it, through further cancellations of the caller."""
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        # An exception that nobody looks at would be logged when the task is collected.
        if not task.cancelled():
            task.exception()
    if cancelled is not None:
        raise cancelled


def split(message: Message) -> list[Message]:
    """One message per item, each a batch of one; the arrays are views, not copies.

    Raises:
        InvalidInput: there is no tensor, one has no batch dimension, the batch is empty, or the
            tensors disagree on its size.
    """
    tensors = message.tensors
    if not tensors:
        raise InvalidInput("the request has no input tensors, and per item there must be one")
    for tensor in tensors:
        if not tensor.shape or tensor.shape[0] == 0:
            raise InvalidInput(
                f"tensor '{tensor.name}' has shape {list(tensor.shape)}; accepted: a shape whose "
                "first dimension is the batch, of at least 1 item"
            )
    if len({tensor.shape[0] for tensor in tensors}) > 1:
        shown = ", ".join(f"'{tensor.name}' {tensor.shape[0]}" for tensor in tensors)
        raise InvalidInput(f"the input tensors hold different numbers of items: {shown}")
    return [
        Message(
            [Tensor(t.name, t.datatype, t.data[item : item + 1]) for t in tensors],
            message.id,
            message.parameters,
        )
        for item in range(tensors[0].shape[0])
    ]


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
