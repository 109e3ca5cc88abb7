"""`within`: runs a coroutine until a deadline, and lets nothing of it run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..request import Deadline

Result = TypeVar("Result")


class Expired(Exception):
    """The deadline passed, and the coroutine was cancelled."""


async def within(
    deadline: Deadline, work: Coroutine[Any, Any, Result], on_expiry: Callable[[], None]
) -> Result:
    """The result of `work`, or Expired once the deadline has passed.

    `on_expiry` is called at that moment, while `work` still stands where it was.

    On expiry and on cancellation alike, `work` is cancelled and has ended before this returns. The
    work runs in a task of its own, so that the timer's cancellation and the caller's can be told
    apart; Python 3.10 has no other way (asyncio.timeout came with 3.11). It costs microseconds.
    """
    remaining = deadline.remaining()
    if remaining <= 0:
        work.close()
        raise Expired
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    expired = False

    def expire() -> None:
        nonlocal expired
        on_expiry()
        expired = task.cancel()

    timer = loop.call_later(remaining, expire)
    try:
        await _ended(task)
    except asyncio.CancelledError:
        task.cancel()
        await _ended(task)
        raise
    finally:
        timer.cancel()
    if expired and task.cancelled():
        raise Expired
    return task.result()


async def _ended(task: asyncio.Task[Any]) -> None:
    """Waits for a task without being tied to it: cancelling this leaves the task alone."""
    if task.done():
        return
    ended = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not ended.done():
            ended.set_result(None)

    task.add_done_callback(wake)
    try:
        await ended
    finally:
        task.remove_done_callback(wake)
