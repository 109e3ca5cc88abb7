"""`Engine`: computes the answers of a model's requests, on the event loop or in its thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar, cast

from ..batching import MicroBatcher, Place, Served
from ..devices import one_thread
from ..errors import InfergraphError, InvalidInput, StageFailure
from ..metrics import ModelMetrics
from ..request import Deadline
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from ..v2 import Message, Tensor
from .hooks import Hooks, Parameters, Prepared
from .items import Arrays, Item, Outputs, batch_key, merged_rows, rows_of, split
from .outputs import check_finite, divided_rows, join, join_arrays
from .preparation import Preparation, preparation_pool

Value = TypeVar("Value")

_INLINE_ITEMS = 64
_INLINE_BYTES = 2**20
"""What may be done on the event loop at once: about a millisecond's work."""

Answer = tuple[list[Tensor], Served[Any]]
"""The tensors of an answer, and what they cost."""


@dataclass(frozen=True, slots=True)
class Request(Generic[Parameters]):
    """A request that was checked.

    Attributes:
        message: Its tensors, as declared.
        count: Its items; 1 if its tensors are taken whole.
        parameters: What `Hooks.accept` gave.
        deadline: Its own, else that of the settings.
        caller: Whose it is.
        size: The bytes of its tensors.
    """

    message: Message
    count: int
    parameters: Parameters
    deadline: Deadline | None
    caller: str
    size: int


@dataclass(frozen=True, slots=True)
class _Work(Generic[Value, Parameters]):
    """What is queued as one: an item, or the arrays of so many rows; and the parameters."""

    value: Value
    parameters: Parameters
    rows: int = 1


class Engine(Generic[Prepared, Parameters]):
    """Divides requests, has their items prepared and run, and joins the answers.

    Args:
        task: The model's hooks, set up.
        thread: The model's thread.
        name: The model's name.
        options: The model's settings.
        outputs: Its declared outputs.
        metrics: Told of batches and queue times.
        computing: Entered in the model's thread around what it computes.
        diagnose: See `MicroBatcher`.

    Attributes:
        takes_arrays: Whether the task is given arrays instead of items.
        streams: Whether the task gives answers in parts.
    """

    def __init__(
        self,
        task: Hooks[Prepared, Parameters, Any],
        thread: Executor,
        *,
        name: str,
        options: RuntimeOptions,
        outputs: Sequence[TensorSpec],
        metrics: ModelMetrics,
        computing: Callable[[], contextlib.AbstractContextManager[None]],
        diagnose: Callable[[Exception], InfergraphError | None],
    ) -> None:
        self.takes_arrays = task.takes_arrays
        self.streams = type(task).stream is not Hooks.stream
        self._task = task
        self._where = f"model '{name}'"
        self._outputs = outputs
        self._metrics = metrics
        self._whole = options.max_batch_size == 0
        self._max_batch_size = options.max_batch_size or 1
        self._inline = not task.blocking
        self._prepares = (type(task).prepare, type(task).preparing) != (
            Hooks.prepare,
            Hooks.preparing,
        )
        self._computing = computing
        self._preparation: Preparation[Prepared] = Preparation(
            self._where, one_thread if task.placed else None
        )
        self._batcher: MicroBatcher[_Work[Any, Parameters], Outputs] = MicroBatcher(
            self._run,
            thread,
            name=name,
            max_batch_size=self._max_batch_size,
            max_queue_size=options.max_queue_size,
            max_queue_bytes=options.max_queue_bytes,
            max_batch_work=None if self.takes_arrays else task.work_limit,
            observe=metrics,
            diagnose=diagnose,
        )

    async def answer(self, request: Request[Parameters]) -> Answer:
        """The answer to a request.

        Raises:
            InfergraphError: a full queue, a deadline that passed, or a failure.
        """
        if self._inline:
            return await self._answer_inline(request)
        served = await self._batched(request)
        self._metrics.observe_queue(served.queue_us)
        return await self._joined(served.results), served

    async def stream(self, request: Request[Parameters]) -> AsyncGenerator[Answer, None]:
        """The parts of the answer to a request of one item, as the task gives them.

        Raises:
            InfergraphError: as `answer`, or the request holds more than one item.
        """
        if request.count != 1:
            raise InvalidInput(f"the request holds {request.count} items; accepted for a stream: 1")
        task = self._task
        items = split(request.message, 1, task.text_inputs, self._where)
        place = self._batcher.admit(1, request.size, request.caller)
        try:
            (item,) = await self._prepared(items, request.deadline)
            steps = self._steps(task.stream(item, request.parameters))
        except BaseException:
            place.release()
            raise
        parts = self._batcher.stream(place, steps, deadline=request.deadline)
        async with contextlib.aclosing(parts):
            async for served in parts:
                yield self._checked(join(served.results, self._outputs, self._where)), served

    def _steps(self, parts: Iterator[Outputs]) -> Iterator[Outputs]:
        """The steps of a stream, each one computed as a batch is; closes the parts at its end."""
        try:
            while True:
                with self._computing():
                    part = next(parts, None)
                if part is None:
                    return
                yield part
        finally:
            with self._computing():
                close = getattr(parts, "close", None)
                if close is not None:
                    close()

    async def close(self, reason: str) -> None:
        """Refuses what has not begun, and returns once no thread prepares an item.

        The batch that runs goes on.
        """
        self._batcher.close(reason)
        await self._preparation.close()

    async def _answer_inline(self, request: Request[Parameters]) -> Answer:
        compute = partial(self._compute_inline, request)
        few = self.takes_arrays or request.count <= _INLINE_ITEMS
        if few and request.size <= _INLINE_BYTES:
            return compute()
        place = self._batcher.admit(1, request.size, request.caller)
        in_turn = await self._batcher.call(place, compute, deadline=request.deadline)
        self._metrics.observe_queue(in_turn.queue_us)
        tensors, served = in_turn.results[0]
        return tensors, replace(served, queue_us=in_turn.queue_us)

    def _compute_inline(self, request: Request[Parameters]) -> Answer:
        started = time.perf_counter()
        with self._computing():
            if self.takes_arrays:
                results = self._run_arrays(self._divided(request, request.count))
                tensors = join_arrays(results, self._outputs, self._where)
            else:
                tensors = join(self._inline_results(request), self._outputs, self._where)
        self._checked(tensors)
        seconds = time.perf_counter() - started
        self._metrics.observe_batch(request.count, 0, seconds)
        return tensors, Served([], 0, round(seconds * 1e6), request.count)

    def _inline_results(self, request: Request[Parameters]) -> list[Outputs]:
        task, count = self._task, request.count
        items = split(request.message, count, task.text_inputs, self._where)
        if self._prepares:
            prepared = list(map(task.preparing(items), items))
        else:
            prepared = cast("list[Prepared]", items)
        results: list[Outputs] = []
        for index, result in enumerate(task.predict_batch(prepared, request.parameters)):
            if isinstance(result, InfergraphError):
                raise result.prefixed(f"item {index}") if count > 1 else result
            results.append(result)
        if len(results) != count:
            raise StageFailure(f"it gave {len(results)} results for {count} items")
        return results

    async def _batched(self, request: Request[Parameters]) -> Served[Outputs]:
        place = self._batcher.admit(request.count, request.size, request.caller)
        if self.takes_arrays:
            return await self._batched_arrays(request, place)
        message, parameters, task = request.message, request.parameters, self._task
        try:
            items = split(message, request.count, task.text_inputs, self._where)
            prepared = await self._prepared(items, request.deadline)
            lengths = [task.length(item) for item in prepared]
        except BaseException:
            place.release()
            raise
        return await self._batcher.submit(
            place,
            [_Work(item, parameters) for item in prepared],
            key=parameters if task.prepares_alike else batch_key(message, parameters),
            lengths=lengths,
            deadline=request.deadline,
        )

    async def _batched_arrays(self, request: Request[Parameters], place: Place) -> Served[Outputs]:
        works = self._divided(request, self._max_batch_size)
        return await self._batcher.submit(
            place,
            works,
            # Tensors without a batch axis cannot be put together.
            key=object() if self._whole else batch_key(request.message, request.parameters),
            weights=[work.rows for work in works],
            named=lambda index: f"rows from {index * self._max_batch_size}",
            deadline=request.deadline,
        )

    async def _prepared(self, items: list[Item], deadline: Deadline | None) -> list[Prepared]:
        if not self._prepares:
            return cast("list[Prepared]", items)
        prepare = self._task.preparing(items)
        return await self._preparation.prepare_all(prepare, items, deadline)

    def _divided(
        self, request: Request[Parameters], at_most: int
    ) -> list[_Work[Arrays, Parameters]]:
        blocks = rows_of(request.message, request.count, at_most)
        return [_Work(arrays, request.parameters, rows) for arrays, rows in blocks]

    def _run(self, works: Sequence[_Work[Any, Parameters]]) -> Sequence[Outputs | InfergraphError]:
        with self._computing():
            return self._run_arrays(works) if self.takes_arrays else self._run_items(works)

    def _run_items(
        self, works: Sequence[_Work[Prepared, Parameters]]
    ) -> Sequence[Outputs | InfergraphError]:
        return self._task.predict_batch([work.value for work in works], works[0].parameters)

    def _run_arrays(self, works: Sequence[_Work[Arrays, Parameters]]) -> list[Arrays]:
        arrays = merged_rows([work.value for work in works])
        outputs = self._task.predict_arrays(arrays, works[0].parameters)
        if self._whole:
            return [outputs]
        return divided_rows(outputs, [work.rows for work in works], self._where)

    async def _joined(self, results: Sequence[Outputs]) -> list[Tensor]:
        function = join_arrays if self.takes_arrays else join

        def put_together() -> list[Tensor]:
            return self._checked(function(results, self._outputs, self._where))

        if len(results) == 1 or _array_bytes(results) <= _INLINE_BYTES:
            return put_together()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(preparation_pool(), put_together)

    def _checked(self, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors of an answer; raises StageFailure if numbers that it computed are none."""
        if self._task.finite:
            check_finite(tensors, self._where)
        return tensors


def _array_bytes(results: Sequence[Outputs]) -> int:
    return sum(getattr(value, "nbytes", 0) for each in results for value in each.values())
