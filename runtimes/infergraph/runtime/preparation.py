"""Prepares items (decodes audio and the like) in threads, beside the model's own thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from ..batching import BatchAbandoned, check_wanted
from ..batching.stopping import computing
from ..errors import InfergraphError, Overloaded, StageUnavailable
from ..machine import available_cores
from ..request import Deadline
from .items import Item

Prepared = TypeVar("Prepared")

_THREADS = available_cores()
_AT_ONCE = min(_THREADS, 8)
"""How many items of one request are handed to the threads at a time: more would only make the
items of other requests wait behind them."""


@functools.cache
def preparation_pool() -> ThreadPoolExecutor:
    """The threads that all models share for work on items and arrays off the event loop."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="infergraph-prepare")


class Preparation(Generic[Prepared]):
    """Prepares the items of one model's requests.

    Args:
        where: Names the model in error texts.
        begin: Called in a pool's thread before each item.
    """

    def __init__(self, where: str, begin: Callable[[], None] | None = None) -> None:
        self._where = where
        self._begin_item = begin
        self._running: set[Future[Prepared]] = set()
        self._closed = False

    async def prepare_all(
        self, prepare: Callable[[Item], Prepared], items: list[Item], deadline: Deadline | None
    ) -> list[Prepared]:
        """Each item prepared, in order; a few of them at a time.

        When the request fails or its caller goes away, nothing more of it begins, and what runs
        ends where it calls `check_wanted`.

        Args:
            prepare: Makes of an item what is run; called in a pool's thread.
            items: Those of one request.
            deadline: The request's.

        Raises:
            InfergraphError: that of the first item which is not acceptable; names it when there are
                several.
            Overloaded: an item needs more memory than there is.
            DeadlineExceeded: the deadline passed first.
            StageUnavailable: the model is being unloaded.
        """
        if not items:
            return []
        loop = asyncio.get_running_loop()
        prepared: dict[int, Prepared] = {}
        waiting = iter(enumerate(items))
        begun: set[asyncio.Future[Prepared]] = set()
        over: asyncio.Future[None] = loop.create_future()

        def wanted() -> bool:
            passed = deadline is not None and deadline.remaining() <= 0
            return not (passed or over.done() or self._closed)

        def guarded(item: Item) -> Prepared:
            try:
                with computing(wanted):
                    check_wanted()
                    if self._begin_item is not None:
                        self._begin_item()
                    return prepare(item)
            except BatchAbandoned:
                # Told only where the request has not ended by itself.
                if deadline is None or self._closed:
                    raise self._unloading() from None
                raise deadline.exceeded(self._where) from None
            except MemoryError:
                raise Overloaded(
                    "there is not enough memory to decode it now; try again later", cause="memory"
                ) from None

        def begin_next() -> None:
            following = next(waiting, None)
            if following is None:
                if not begun:
                    over.set_result(None)
                return
            index, item = following
            future = self._begin(partial(guarded, item))
            begun.add(future)
            future.add_done_callback(lambda ended: take(index, ended))

        def take(index: int, ended: asyncio.Future[Prepared]) -> None:
            begun.discard(ended)
            error = self._error(ended)
            if over.done():
                return
            if error is None:
                prepared[index] = ended.result()
                begin_next()
            elif isinstance(error, InfergraphError) and len(items) > 1:
                over.set_exception(error.prefixed(f"item {index}"))
            else:
                over.set_exception(error)

        def expire() -> None:
            if deadline is not None and not over.done():
                over.set_exception(deadline.exceeded(self._where))

        for _ in items[:_AT_ONCE]:
            begin_next()
        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline.remaining()), expire)
        try:
            await over
        except BaseException:
            prepared.clear()
            raise
        finally:
            over.cancel()
            if timer is not None:
                timer.cancel()
            for future in list(begun):
                future.cancel()
        if self._closed:
            raise self._unloading()
        # Taken out: the functions above hold each other, and with them what is left here, until
        # the garbage collector's next round.
        return [prepared.pop(index) for index in range(len(items))]

    async def close(self) -> None:
        """Begins no more, and returns once nothing runs."""
        self._closed = True
        for future in list(self._running):
            future.cancel()
        while running := list(self._running):
            ended, _ = await asyncio.wait([asyncio.wrap_future(future) for future in running])
            for each in ended:
                self._error(each)

    def _begin(self, prepare: Callable[[], Prepared]) -> asyncio.Future[Prepared]:
        future = preparation_pool().submit(prepare)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return asyncio.wrap_future(future)

    def _error(self, ended: asyncio.Future[Prepared]) -> BaseException | None:
        """Why an item was not prepared; asked of each, as asyncio logs errors that nobody took."""
        return self._unloading() if ended.cancelled() else ended.exception()

    def _unloading(self) -> StageUnavailable:
        return StageUnavailable(f"{self._where}: it is being unloaded", cause="unloading")
