"""Frames to answers: many in flight, all in order, none too many in memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ..annotation import Findings
from ..errors import ClientError, Unreachable, UsageError
from .frames import Frame, Result
from .tally import Tally

HELD_PER_IN_FLIGHT = 2
"""Frames in memory for each that may be in flight: answers may wait for a slower one before."""

Ask = Callable[[Frame], Awaitable[Findings]]


class NothingAnswered(ClientError):
    """The first frames all failed, so the rest would as well; nothing was written."""

    exit_status = 2

    def __init__(self, frames: int, first: ClientError) -> None:
        many = "the first frame" if frames == 1 else f"none of the first {frames} frames"
        how = "was not answered" if frames == 1 else "was answered; the first"
        super().__init__(f"{many} {how}: {first}")


class ServerGone(ClientError):
    """No frame reached the server any more. What was answered has been written."""

    exit_status = 1


class Engine:
    """One run.

    Args:
        ask: Sends a frame, and reads the answer.
        write: Called with each result in the order of the frames, in a thread of its own. Not
            called before a frame is answered.
        in_flight: How many requests may be on their way at a time. At most twice as many frames
            are in memory: a slow `write` or a slow frame holds up the reading.
        tally: Is told what happens, in the thread of the event loop.
    """

    def __init__(
        self, ask: Ask, write: Callable[[Result], None], in_flight: int, tally: Tally
    ) -> None:
        self._ask, self._write, self._tally = ask, write, tally
        self._most = in_flight
        self._in_flight = asyncio.Semaphore(in_flight)
        self._held = asyncio.Semaphore(HELD_PER_IN_FLIGHT * in_flight)
        # In the order of the frames; None ends it.
        self._queue: asyncio.Queue[asyncio.Task[Result] | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Result]] = set()
        self._reading_error: Exception | None = None
        self._reader = ThreadPoolExecutor(1, "reader")
        self._writer = ThreadPoolExecutor(1, "writer")

    async def run(self, frames: Iterator[Frame], stop: asyncio.Event) -> None:
        """Runs to the end of the frames, or until `stop` is set.

        When stopped, requests in flight are taken back, and what was answered before the first
        of them is written.

        Raises:
            NothingAnswered: none of the first `in_flight` frames that were sent was, or none could
                be sent; nothing was written.
            UsageError: there was no frame.
            ServerGone: the server was there, and no longer is.
            InputError, OutputError: what they say.
        """
        reading = asyncio.create_task(self._read(frames))
        stopping = asyncio.create_task(self._stop(stop, reading))
        try:
            await self._write_in_order(stop)
        finally:
            await _end([stopping, reading, *self._tasks])
            self._reader.shutdown()
            self._writer.shutdown()
        if self._reading_error is not None and not stop.is_set():
            raise self._reading_error

    async def _read(self, frames: Iterator[Frame]) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._held.acquire()
                frame = await loop.run_in_executor(self._reader, next, frames, None)
                if frame is None:
                    return
                if frame.problem is not None:
                    # It holds no picture, so any number of them may wait.
                    self._held.release()
                await self._in_flight.acquire()
                task = asyncio.create_task(self._answer(frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self._queue.put_nowait(task)
        except Exception as error:
            # Raised once what was read before it is written.
            self._reading_error = error
        finally:
            self._queue.put_nowait(None)

    async def _answer(self, frame: Frame) -> Result:
        started = time.perf_counter()
        self._tally.sent()
        try:
            if frame.problem is not None:
                raise frame.problem
            findings = await self._ask(frame)
            result = Result(frame, time.perf_counter() - started, findings)
        except ClientError as error:
            result = Result(frame, time.perf_counter() - started, error=error)
        finally:
            self._in_flight.release()
        self._tally.answered(result)
        return result

    async def _stop(self, stop: asyncio.Event, reading: asyncio.Task[None]) -> None:
        await stop.wait()
        for task in (reading, *self._tasks):
            task.cancel()

    async def _write_in_order(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        # Until the first answer nothing is written: there may never be one.
        waiting: deque[Result] = deque()
        began, asked, unreachable = False, 0, 0
        while (task := await self._queue.get()) is not None:
            await asyncio.wait([task])
            if task.cancelled():
                break
            result = task.result()
            waiting.append(result)
            began = began or result.findings is not None
            was_sent = result.frame.problem is None
            asked += was_sent
            if not began and asked < self._most:
                continue
            if not began:
                break
            while waiting:
                written = waiting.popleft()
                await loop.run_in_executor(self._writer, self._write, written)
                self._tally.written()
                if written.frame.problem is None:
                    self._held.release()
            if was_sent:
                unreachable = unreachable + 1 if isinstance(result.error, Unreachable) else 0
            if unreachable == self._most:
                raise ServerGone(f"{result.error}; frame {result.frame.index} is the last one")
        if not began and not stop.is_set():
            # What the server says tells more than that a picture is broken.
            sent = [each for each in waiting if each.frame.problem is None] or list(waiting)
            if sent and sent[0].error is not None:
                raise NothingAnswered(len(sent), sent[0].error)
            raise self._reading_error or UsageError("the input has no frames")


async def _end(tasks: list[asyncio.Task[None] | asyncio.Task[Result]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
