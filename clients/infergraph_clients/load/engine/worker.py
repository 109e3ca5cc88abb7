"""A worker: a process that sends requests, told by the coordinator to start and to stop.

It runs on this machine, at one end of a pair of sockets, or behind `infergraph-load worker` on
another, at one end of a TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import uvloop

from ...transports import make_transport, now_ns
from ..errors import LoadError
from .loops import ClosedLoop, OpenLoop
from .plan import LoadPlan, OpenPlan, Progress, WorkerPlan, WorkerResult
from .protocol import Message, connection_of, receive, send
from .records import RecordBuffer
from .resources import ResourceMonitor, peak_memory_bytes
from .sender import Sender

PROGRESS_SECONDS = 0.25
_GC_THRESHOLD = 50_000
_PACKAGE = __spec__.name.partition(".")[0]


def main(descriptor: int) -> None:
    """The process, whose coordinator is at the other end of a socket that it has inherited.

    It is told `plan`, says `ready`, is told `start`, and says `progress` until its `result`.
    """
    # The coordinator says how to stop.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGHUP])
    _raise_file_limit()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(connection_of(socket.socket(fileno=descriptor)))
    work = loop.create_task(worker.run())
    failures = Failures(work)
    loop.set_exception_handler(failures.heard)
    try:
        loop.run_until_complete(work)
    except asyncio.CancelledError:
        raise failures.first or RuntimeError("the run was cancelled") from None
    except ConnectionError:
        pass  # the coordinator has ended the run, and nobody is left to report to
    finally:
        loop.close()
        worker.close()


def _raise_file_limit() -> None:
    # A server that hangs at 1,000 requests per second is soon owed more than the usual 1,024.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Failures:
    """Ends the work if one of our own callbacks fails: else its request would be awaited for ever.

    What fails inside gRPC or the loop is logged, as the loop does by itself.
    """

    def __init__(self, work: asyncio.Task[None]) -> None:
        self._work = work
        self.first: BaseException | None = None

    def heard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or not _is_ours(error.__traceback__):
            loop.default_exception_handler(context)
            return
        self.first = self.first or error
        self._work.cancel()


def _is_ours(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").startswith(_PACKAGE):
            return True
        traceback = traceback.tb_next
    return False


class _Load:
    """What one worker sends of one load."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.transport = make_transport(plan.target.route())

    def begin(self, process: int, start: int) -> None:
        """Makes all ready to send from the time `start` of `now_ns` on."""
        plan = self.plan
        self.sender = Sender(plan, self.transport, RecordBuffer(process, start))
        self.loop: OpenLoop | ClosedLoop
        if isinstance(plan.arrivals, OpenPlan):
            self.loop = OpenLoop(plan.arrivals, self.sender, start)
        else:
            count, duration = len(plan.requests), plan.duration_ns
            self.loop = ClosedLoop(plan.arrivals, count, self.sender, start, duration)


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_event_loop()
        # One thread speaks, so that messages stay in order, and another one listens.
        self._speaker = ThreadPoolExecutor(1)
        self._planned: asyncio.Future[WorkerPlan] = self._loop.create_future()
        self._started: asyncio.Future[int] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._give_up_at: int | None = None
        self._drain_ns = 0
        self._loads: dict[int, _Load] = {}

    def close(self) -> None:
        self._speaker.shutdown()
        self._connection.close()

    async def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        plan = await self._planned
        self._drain_ns = max((int(each.drain_s * 1e9) for each in plan.loads.values()), default=0)
        loads = {number: _Load(each) for number, each in plan.loads.items()}
        await asyncio.gather(*(each.transport.open() for each in loads.values()))
        # What lives now lives on: the collector need not look at it again, which takes
        # milliseconds in which nothing is sent.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        await self._say(Message("ready"))
        start = await self._started
        for each in loads.values():
            each.begin(plan.process, start)
        self._loads = loads
        result = await self._send(plan.process)
        for each in loads.values():
            await each.transport.close()
        await self._say(Message.of("result", result))
        # Until the coordinator has asked what it wants to know of the clock.
        await self._gone.wait()

    async def _send(self, process: int) -> WorkerResult:
        loads = self._loads
        self._stop_if_told()
        monitor = ResourceMonitor(asyncio.get_running_loop())
        monitor.start()
        reporting = asyncio.ensure_future(self._report(process))
        await asyncio.gather(*(each.loop.run() for each in loads.values()))
        monitor.stop()
        await asyncio.gather(*(self._drain(each.sender) for each in loads.values()))
        reporting.cancel()
        for each in loads.values():
            each.sender.close()
        await self._say_progress(process)
        return WorkerResult(
            process,
            {number: each.sender.errors for number, each in loads.items()},
            {number: each.loop.unsent for number, each in loads.items()},
            monitor.cpu,
            monitor.busiest_cpu,
            monitor.lags,
            peak_memory_bytes(),
            monitor.memory,
        )

    async def _drain(self, sender: Sender) -> None:
        idle = asyncio.ensure_future(sender.wait_until_idle())
        while not idle.done():
            # A stop may come now, too; without one, requests end by their timeout.
            await asyncio.wait({idle}, timeout=PROGRESS_SECONDS)
            if self._give_up_at is not None and now_ns() > self._give_up_at:
                sender.cancel_all()

    async def _report(self, process: int) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            await self._say_progress(process)

    async def _say_progress(self, process: int) -> None:
        for number, each in self._loads.items():
            progress = Progress(process, number, each.sender.in_flight, *each.sender.take())
            # Rows that have been taken are said, whatever ends this task.
            await asyncio.shield(self._say(Message.of("progress", progress)))

    async def _say(self, message: Message) -> None:
        data = message.encode()
        await self._loop.run_in_executor(self._speaker, self._connection.send_bytes, data)

    def _listen(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                while True:
                    message = receive(self._connection)
                    if message.kind == "ping":
                        self._speaker.submit(send, self._connection, _pong())
                    else:
                        self._loop.call_soon_threadsafe(self._heard, message)
            except (EOFError, OSError, LoadError):
                self._loop.call_soon_threadsafe(self._left_alone)

    def _left_alone(self) -> None:
        """The coordinator has gone: nobody is left to report to."""
        self._gone.set()
        self._told_to_stop(abort=True)
        for awaited in (self._planned, self._started):
            if not awaited.done():
                awaited.set_exception(ConnectionError("the coordinator has gone"))
                awaited.exception()  # which nobody may await

    def _heard(self, message: Message) -> None:
        if message.kind == "plan":
            self._planned.set_result(message.read(WorkerPlan))
        elif message.kind == "start":
            self._started.set_result(message.values["at"])
        else:
            self._told_to_stop(abort=message.kind == "abort")

    def _told_to_stop(self, *, abort: bool) -> None:
        self._give_up_at = now_ns() + (0 if abort else self._drain_ns)
        self._stop_if_told()

    def _stop_if_told(self) -> None:
        if self._give_up_at is None:
            return
        for each in self._loads.values():
            each.loop.stop()
            if self._give_up_at <= now_ns():
                each.sender.cancel_all()


def _pong() -> Message:
    return Message("pong", {"now": now_ns()})


if __name__ == "__main__":
    main(int(sys.argv[1]))
