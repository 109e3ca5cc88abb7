"""Sends a request once or many times, and takes the time of each."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from .message import Answer, Request
from .transport import Infer, Transport


@dataclass(frozen=True)
class Reply:
    """An answer, and the seconds from the request to it."""

    answer: Answer
    seconds: float


def send_in_turn(transport: Transport, request: Request, times: int) -> list[Reply]:
    """Sends a request `times` times, one after another. Raises the first error."""
    replies = []
    for _ in range(times):
        started = time.perf_counter()
        answer = transport.infer(request)
        replies.append(Reply(answer, time.perf_counter() - started))
    return replies


async def send_at_once(transport: Transport, request: Request, times: int) -> list[Reply]:
    """Sends a request `times` times at once. Raises the first error, and takes the rest back."""
    async with transport.asynchronous() as infer:
        tasks = [asyncio.ensure_future(_timed(infer, request)) for _ in range(times)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _timed(infer: Infer, request: Request) -> Reply:
    started = time.perf_counter()
    answer = await infer(request)
    return Reply(answer, time.perf_counter() - started)
