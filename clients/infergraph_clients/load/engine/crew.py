"""`Crew`: the sending processes, started together and stopped together."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ...transports import now_ns
from ..errors import LoadError
from . import worker
from .interrupts import Interrupts
from .plan import Progress, WorkerPlan, WorkerResult

logger = logging.getLogger(__name__)

_START_DELAY_NS = 200_000_000
"""From the word to start to the start, so that all processes hear it before."""
_READY_SECONDS = 120.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.1
"""How often interrupts are looked for."""


@dataclass
class CrewResult:
    """What the processes said.

    Attributes:
        results: Of the processes that lived to the end.
        interrupted: Whether the run was ended by Ctrl-C.
        died: The processes that did not, with their exit status.
    """

    results: list[WorkerResult]
    interrupted: bool
    died: dict[int, int | None]


def run_crew(
    plans: Sequence[WorkerPlan],
    on_progress: Callable[[Progress], None],
    interrupts: Interrupts,
) -> CrewResult:
    """Runs a process for each plan, to its end.

    The first interrupt lets requests in flight end (`drain_s`), the second gives them up.

    Raises:
        LoadError: a process did not start.
        KeyboardInterrupt: an interrupt came before the run began.
    """
    crew = _Crew(plans, on_progress, interrupts)
    try:
        return crew.run()
    finally:
        crew.end()


class _Crew:
    def __init__(
        self,
        plans: Sequence[WorkerPlan],
        on_progress: Callable[[Progress], None],
        interrupts: Interrupts,
    ) -> None:
        self._on_progress = on_progress
        self._interrupts = interrupts
        self._results: list[WorkerResult] = []
        self._died: dict[int, int | None] = {}
        self._orders: dict[int, Connection] = {}
        self._reports: dict[int, Connection] = {}
        self._processes: dict[int, BaseProcess] = {}
        context = multiprocessing.get_context("spawn")
        with _interrupts_held():
            for plan in plans:
                orders_in, orders_out = context.Pipe(duplex=False)
                reports_in, reports_out = context.Pipe(duplex=False)
                process = context.Process(
                    target=worker.main, args=(plan, orders_in, reports_out), daemon=True
                )
                process.start()
                orders_in.close()
                reports_out.close()
                self._orders[plan.process] = orders_out
                self._reports[plan.process] = reports_in
                self._processes[plan.process] = process

    def run(self) -> CrewResult:
        self._await_ready()
        start = now_ns() + _START_DELAY_NS
        self._tell(worker.START, start)
        heeded = 0
        while self._reports:
            self._hear()
            if self._interrupts.count > heeded:
                heeded = self._interrupts.count
                self._tell(worker.STOP if heeded == 1 else worker.ABORT)
        return CrewResult(self._results, heeded > 0, self._died)

    def end(self) -> None:
        for pipe in (*self._orders.values(), *self._reports.values()):
            pipe.close()
        for process in self._processes.values():
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def _await_ready(self) -> None:
        for number, pipe in self._reports.items():
            end = time.monotonic() + _READY_SECONDS
            try:
                while not pipe.poll(_LOOK_SECONDS):
                    if self._interrupts.count:
                        raise KeyboardInterrupt
                    if time.monotonic() > end:
                        raise LoadError(
                            f"process {number} was not ready within {_READY_SECONDS:g} s"
                        )
                pipe.recv()
            except (EOFError, OSError):
                raise LoadError(f"process {number} ended before the run") from None

    def _hear(self) -> None:
        numbers = {pipe: number for number, pipe in self._reports.items()}
        for ready in wait(list(numbers), _LOOK_SECONDS):
            assert isinstance(ready, Connection)
            number = numbers[ready]
            try:
                kind, value = ready.recv()
            except (EOFError, OSError):
                # It may also end in the middle of a message.
                self._lost(number)
                continue
            if kind == worker.PROGRESS:
                self._on_progress(value)
            else:
                self._results.append(value)
                self._reports.pop(number).close()

    def _lost(self, number: int) -> None:
        self._reports.pop(number).close()
        self._processes[number].join(_END_SECONDS)
        self._died[number] = self._processes[number].exitcode
        logger.error("process %d died with status %s", number, self._died[number])

    def _tell(self, kind: str, value: Any = None) -> None:
        for pipe in self._orders.values():
            try:
                pipe.send((kind, value))
            except OSError:
                continue  # it died, which `_hear` will find


class _interrupts_held:
    """Inside, processes are started that Ctrl-C does not reach; this one hears it at the end."""

    def __enter__(self) -> None:
        # Its first start would let Ctrl-C through again.
        resource_tracker.ensure_running()
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
