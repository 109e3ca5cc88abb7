"""A sending process: told by the parent to start and to stop, it reports progress and a result."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ...transports import Codec, make_transport, now_ns
from ..corpus.check import AnswerCheck
from .closed_loop import ClosedLoop
from .dispatcher import Dispatcher
from .monitor import Monitor, peak_memory_bytes
from .open_loop import OpenLoop
from .plan import OpenPlan, WorkerPlan, WorkerResult
from .records import Records

START, STOP, ABORT = "start", "stop", "abort"
READY, PROGRESS, RESULT = "ready", "progress", "result"
PROGRESS_SECONDS = 0.25
_GC_THRESHOLD = 50_000
_PACKAGE = __name__.partition(".")[0]


def main(plan: WorkerPlan, orders: Connection, reports: Connection) -> None:
    """The process. It reports (ready), then progress, then its result.

    Args:
        plan: What it does.
        orders: (start, time), later perhaps (stop) or (abort). Event loops make it non-blocking,
            so what is large cannot be sent through it.
        reports: To the parent.
    """
    # Ctrl-C reaches all processes of a terminal; the parent says how to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _raise_file_limit()
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    work = loop.create_task(_Worker(plan, orders, reports).run())
    failures = Failures(work)
    loop.set_exception_handler(failures.heard)
    try:
        loop.run_until_complete(work)
    except asyncio.CancelledError:
        if not isinstance(failures.first, BrokenPipeError):
            raise failures.first or RuntimeError("the run was cancelled") from None
    except BrokenPipeError:
        pass  # the parent has ended the run, and nobody is left to report to
    finally:
        loop.close()
        reports.close()


def _raise_file_limit() -> None:
    # A server that hangs at 1,000 requests per second is soon owed more than the usual 1,024.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, if there is a version that works with gRPC and MLServer (below 0.22)."""
    try:
        release = tuple(int(part) for part in version("uvloop").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return asyncio.new_event_loop()
    if release >= (0, 22):
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


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


class _Worker:
    def __init__(self, plan: WorkerPlan, orders: Connection, reports: Connection) -> None:
        self._plan = plan
        self._orders = orders
        self._reports = reports
        self._source: OpenLoop | ClosedLoop | None = None
        self._stopped = False
        self._started: asyncio.Future[int] = asyncio.get_event_loop().create_future()
        self._dispatcher: Dispatcher | None = None

    async def run(self) -> None:
        plan, loop = self._plan, asyncio.get_running_loop()
        route = plan.target.route()
        transport = make_transport(route)
        await transport.open()
        loop.add_reader(self._orders.fileno(), self._told)
        self._reports.send((READY, None))
        start = await self._started
        # What lives now lives on: the collector need not look at it again, which takes
        # milliseconds in which nothing is sent.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        expected = len(plan.load.times) if isinstance(plan.load, OpenPlan) else 0
        records = Records(plan.process, start, expected)
        decode = Codec(route).decode
        check = AnswerCheck(plan.check, decode, plan.expected, plan.tolerance)
        self._dispatcher = dispatcher = Dispatcher(plan, transport, check, decode, records)
        if isinstance(plan.load, OpenPlan):
            self._source = OpenLoop(plan.load, dispatcher, start)
        else:
            self._source = ClosedLoop(
                plan.load, len(plan.requests), dispatcher, start, plan.duration_ns
            )
        if self._stopped:
            self._source.stop()
        monitor = Monitor(loop)
        monitor.start()
        reports = loop.create_task(self._report(dispatcher))
        await self._source.run()
        monitor.stop()
        await self._drain(dispatcher)
        reports.cancel()
        dispatcher.close()
        self._reports.send((PROGRESS, dispatcher.progress()))
        await transport.close()
        loop.remove_reader(self._orders.fileno())
        result = WorkerResult(
            plan.process,
            records.table(),
            dispatcher.traces,
            dispatcher.errors,
            self._source.unsent,
            monitor.cpu,
            monitor.busiest_cpu,
            monitor.lags,
            peak_memory_bytes(),
            monitor.memory,
        )
        self._reports.send((RESULT, result))

    async def _drain(self, dispatcher: Dispatcher) -> None:
        idle = asyncio.ensure_future(dispatcher.wait_until_idle())
        while not idle.done():
            # A stop may come now, too; without one, requests end by their timeout.
            await asyncio.wait({idle}, timeout=PROGRESS_SECONDS)
            if self._stopped and now_ns() > self._give_up_at:
                dispatcher.cancel_all()

    async def _report(self, dispatcher: Dispatcher) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self._reports.send((PROGRESS, dispatcher.progress()))

    def _told(self) -> None:
        try:
            message: tuple[str, Any] = self._orders.recv()
        except (EOFError, OSError):
            # Nobody is left to report to.
            asyncio.get_running_loop().remove_reader(self._orders.fileno())
            message = (ABORT, None)
        kind, value = message
        if kind == START:
            self._started.set_result(value)
            return
        if not self._started.done():
            self._started.set_result(now_ns())
        self._stopped = True
        self._give_up_at = now_ns() + (0 if kind == ABORT else int(self._plan.drain_s * 1e9))
        if self._source is not None:
            self._source.stop()
        if kind == ABORT and self._dispatcher is not None:
            self._dispatcher.cancel_all()
