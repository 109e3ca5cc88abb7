"""Prepares items (decodes audio and the like) in threads, beside the model's own thread."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..errors import InfergraphError
from ..request import Deadline
from .items import Item


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="infergraph-prepare")


async def prepare_all(
    prepare: Callable[[Item], Item], items: list[Item], deadline: Deadline | None, where: str
) -> list[Item]:
    """Each item prepared, in order.

    Raises:
        InfergraphError: that of the first item which is not acceptable; names it when there are
            several. What has not begun by then is left out.
        DeadlineExceeded: the deadline passed first.
    """
    loop = asyncio.get_running_loop()
    futures = [loop.run_in_executor(_pool(), prepare, item) for item in items]
    gathered = asyncio.gather(*futures)
    try:
        if deadline is None:
            return await gathered
        return await asyncio.wait_for(gathered, deadline.remaining())
    except asyncio.TimeoutError:
        assert deadline is not None
        raise deadline.exceeded(where) from None
    except InfergraphError as error:
        if len(items) == 1:
            raise
        index = next(
            index
            for index, future in enumerate(futures)
            if future.done() and not future.cancelled() and future.exception() is error
        )
        raise error.prefixed(f"item {index}") from None
    finally:
        for future in futures:
            future.cancel()
