"""The coordinator: starts workers together, hears what they measure, and stops them together.

Workers are processes of this machine, or of others where `infergraph-load worker` listens; both
speak the same protocol. The clock of another machine is compared with this one's before the run and
after it, by the fastest of some round trips.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from ...transports.exchange import EPOCH_S, now_ns
from ..errors import LoadError
from . import protocol
from .plan import Progress, WorkerPlan, WorkerResult
from .protocol import Message

logger = logging.getLogger(__name__)

_START_DELAY_NS = 200_000_000
"""From the word to start to the start, so that all workers hear it before."""
_READY_SECONDS = 120.0
_SILENT_SECONDS = 30
"""A worker reports four times a second; one that is silent for so long counts as lost."""
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.1
"""How often interrupts are looked for."""
_PINGS = 20
_MOST_UNCERTAIN_NS = 20_000_000
_WORKER = f"{__package__}.worker"


class Interrupts:
    """Counts Ctrl-C, SIGTERM and SIGHUP, instead of an exception in the middle of anything.

    A context manager; outside the main thread, where no signal arrives, it does nothing. A Ctrl-C
    that the shell has told background jobs to ignore is heard too.

    Attributes:
        count: How often the user has asked for the end.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@dataclass(frozen=True)
class Clock:
    """How the clock of a worker's machine stands to this one's, in nanoseconds.

    Attributes:
        offset: Its time minus ours at the same instant.
        uncertainty: By which the offset may be wrong: half of the fastest round trip.
    """

    offset: int = 0
    uncertainty: int = 0


@dataclass
class WorkersResult:
    """What the workers said.

    Attributes:
        results: Of those that lived to the end.
        interrupted: Whether the run was ended by a signal.
        died: The workers that did not, with their exit status; None where it is not known.
        began: When the run started, seconds since the epoch.
        clocks: Of workers on other machines, what reports say of them.
    """

    results: list[WorkerResult] = field(default_factory=list)
    interrupted: bool = False
    died: dict[int, int | None] = field(default_factory=dict)
    began: float = 0.0
    clocks: list[dict[str, Any]] = field(default_factory=list)


def run_workers(
    plans: Sequence[WorkerPlan],
    addresses: Sequence[str],
    on_progress: Callable[[Progress], None],
    interrupts: Interrupts,
    on_start: Callable[[float], None] = lambda began: None,
) -> WorkersResult:
    """Runs a worker for each plan, to its end.

    The first interrupt lets requests in flight end (`drain_s`), the second gives them up.

    Args:
        plans: What the workers do.
        addresses: Where they listen, `HOST:PORT`, by turns; none means processes of this machine.
        on_progress: Told several times a second what happened, by each worker and load.
        interrupts: Looked at ten times a second.
        on_start: Told when the run starts, in seconds since the epoch.

    Raises:
        LoadError: a worker did not start, or its clock cannot be compared.
        KeyboardInterrupt: an interrupt came before the run began.
    """
    workers = _Workers(on_progress, interrupts)
    try:
        for number, plan in enumerate(plans):
            address = addresses[number % len(addresses)] if addresses else None
            workers.add(plan, address)
        return workers.run(on_start)
    finally:
        workers.end()


@dataclass
class _Worker:
    """A worker, as this side sees it.

    Attributes:
        number: Of its plan.
        name: What the user knows it by.
        connection: To it.
        process: Where it is one of this machine.
        clock: Of its machine, where it is another one.
        running: Whether it has been started and has not ended.
        silent_s: How long it was listened for since it last said anything.
    """

    number: int
    name: str
    connection: Connection
    process: subprocess.Popen[bytes] | None = None
    clock: Clock | None = None
    running: bool = False
    silent_s: float = 0.0

    def tell(self, message: Message) -> None:
        # One that has died is found when it is to be heard.
        with contextlib.suppress(OSError):
            protocol.send(self.connection, message)


class _Workers:
    def __init__(self, on_progress: Callable[[Progress], None], interrupts: Interrupts) -> None:
        self._on_progress = on_progress
        self._interrupts = interrupts
        self._found = WorkersResult()
        self._workers: list[_Worker] = []

    def add(self, plan: WorkerPlan, address: str | None) -> None:
        """Starts or connects a worker, and tells it its plan."""
        process, name = None, address or f"process {plan.process}"
        if address is None:
            ours, theirs = socket.socketpair()
            with theirs:
                process = start_worker(theirs)
        else:
            ours = protocol.connect(address, protocol.token())
        connection = protocol.connection_of(ours, _SILENT_SECONDS)
        worker = _Worker(plan.process, name, connection, process)
        self._workers.append(worker)
        try:
            if address is not None:
                worker.clock = self._checked_clock(worker)
            protocol.send(connection, Message.of("plan", plan))
        except (OSError, EOFError):
            raise LoadError(f"{name} ended before the run") from None

    def run(self, on_start: Callable[[float], None]) -> WorkersResult:
        found = self._found
        self._await_ready()
        start = now_ns() + _START_DELAY_NS
        found.began = start / 1e9 + EPOCH_S
        for worker in self._workers:
            offset = worker.clock.offset if worker.clock is not None else 0
            worker.tell(Message("start", {"at": start + offset}))
            worker.running = True
        on_start(found.began)
        heeded = 0
        while any(worker.running for worker in self._workers):
            self._hear()
            if self._interrupts.count > heeded:
                heeded = self._interrupts.count
                for worker in self._workers:
                    if worker.running:
                        worker.tell(Message("stop" if heeded == 1 else "abort"))
        found.interrupted = heeded > 0
        return found

    def end(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            if worker.process is not None:
                _ended(worker.process)

    def _await_ready(self) -> None:
        waiting = list(self._workers)
        end = time.monotonic() + _READY_SECONDS
        while waiting:
            if self._interrupts.count:
                raise KeyboardInterrupt
            if time.monotonic() > end:
                raise LoadError(f"{waiting[0].name} was not ready within {_READY_SECONDS:g} s")
            for worker in _that_speak(waiting):
                try:
                    protocol.receive(worker.connection)
                except (EOFError, OSError):
                    raise LoadError(f"{worker.name} ended before the run") from None
                waiting.remove(worker)

    def _hear(self) -> None:
        running = [worker for worker in self._workers if worker.running]
        began = time.monotonic()
        speaking = _that_speak(running)
        # Only while it is listened: what takes this side long is not a worker's silence.
        listened = time.monotonic() - began
        for worker in running:
            if worker in speaking:
                worker.silent_s = 0.0
                self._hear_one(worker)
                continue
            worker.silent_s += listened
            if worker.silent_s > _SILENT_SECONDS:
                logger.error("%s is silent: ended", worker.name)
                if worker.process is not None:
                    worker.process.kill()
                self._lost(worker)

    def _hear_one(self, worker: _Worker) -> None:
        try:
            message = protocol.receive(worker.connection)
        except (EOFError, OSError):
            self._lost(worker)
            return
        if message.kind == "progress":
            self._on_progress(message.read(Progress))
            return
        worker.running = False
        self._found.results.append(message.read(WorkerResult))
        if worker.clock is not None:
            self._found.clocks.append(_described(worker, worker.clock))
        worker.connection.close()

    def _lost(self, worker: _Worker) -> None:
        worker.running = False
        worker.connection.close()
        status = None if worker.process is None else _ended(worker.process)
        self._found.died[worker.number] = status
        logger.error("%s died with status %s", worker.name, status)

    def _checked_clock(self, worker: _Worker) -> Clock:
        clock = compare_clocks(worker.connection)
        if clock.uncertainty > _MOST_UNCERTAIN_NS:
            raise LoadError(
                f"worker '{worker.name}': its clock is known only to within "
                f"{clock.uncertainty / 1e6:.0f} ms, since no round trip was faster; accepted: "
                f"{_MOST_UNCERTAIN_NS / 1e6:.0f} ms"
            )
        return clock


def _that_speak(workers: list[_Worker]) -> list[_Worker]:
    """Those of the workers that have said something, or ended, within a moment."""
    heard = wait([worker.connection for worker in workers], _LOOK_SECONDS)
    return [worker for worker in workers if worker.connection in heard]


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that is about to end, and is killed if it does not."""
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def start_worker(inherited: socket.socket) -> subprocess.Popen[bytes]:
    """A worker process of this machine, at the other end of the socket's pair or connection."""
    # A terminal's Ctrl-C and hang-up are for the coordinator, which says how to stop: the process
    # inherits that they are held back, until it ignores them. A session of its own would be another
    # way, but Linux shares the processors among sessions, so that the tester would be slowed down.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        return subprocess.Popen(
            [sys.executable, "-m", _WORKER, str(inherited.fileno())],
            pass_fds=[inherited.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def compare_clocks(connection: Connection, now: Callable[[], int] = now_ns) -> Clock:
    """How a worker's clock stands, by the fastest of some round trips."""
    clocks = []
    for _ in range(_PINGS):
        before = now()
        theirs = protocol.ask(connection, Message("ping")).values["now"]
        after = now()
        clocks.append(Clock(theirs - (before + after) // 2, (after - before) // 2))
    return min(clocks, key=lambda clock: clock.uncertainty)


def _described(worker: _Worker, before: Clock) -> dict[str, Any]:
    """What reports say of a worker's clock, which is looked at again after the run."""
    try:
        after = compare_clocks(worker.connection)
    except (OSError, EOFError, LoadError):
        after = before
    return {
        "worker": worker.name,
        "offset_ms": before.offset / 1e6,
        "uncertainty_ms": max(before.uncertainty, after.uncertainty) / 1e6,
        "drift_ms": (after.offset - before.offset) / 1e6,
    }
