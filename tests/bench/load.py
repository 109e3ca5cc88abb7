"""The load tester against theory and against its own limits.

Stall: a server stopped for 2 s under a constant load, where every request's latency is known.
M/D/1: a deterministic server under Poisson load, whose mean wait is rho * D / (2 (1 - rho)); and,
for the very arrivals of the run, Lindley's recursion, without sampling error. Ceiling: what one
and two processes can send, and the dispatch delay at half of that. Memory: what worker and
coordinator grow by in a million requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.engine.plan import Progress
from infergraph_clients.load.engine.run import Run, execute, prepare
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.transports.outcome import Outcome

from ..integration.server import REPOSITORY, ServerProcess, free_ports, get, wait_for
from .rounds import table

_SERVER = Path(__file__).with_name("minimal_server.py")
REQUEST = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["how are you?"]}]
}
_STALL_S = 2.0
_STALL_RATE = 200
_STALL_RUN_S = 20.0
_SERVICE_MS = 4.0
_QUEUE_RUN_S = 120.0
_ALONE_MS, _CALIBRATION_S = 20.0, 20.0
"""Requests so far apart that none waits for another."""
_CEILING_S = 6.0
_MEMORY_COUNT = 1_000_000


async def run(folder: Path, rounds: int) -> None:
    """Prints all tables. `rounds` is not used: runs are long instead of many."""
    del rounds
    request = folder / "request.json"
    request.write_text(json.dumps(REQUEST))
    # A run has event loops of its own.
    await asyncio.to_thread(_measure, request)


def _measure(request: Path) -> None:
    _stall(request)
    _md1(request)
    _ceiling(request)
    _memory(request)


def _stall(request: Path) -> None:
    rows = []
    with minimal_server() as (process, port):
        think = 4 / _STALL_RATE
        loads: list[tuple[str, dict[str, Any]]] = [
            ("open loop", {"kind": "constant", "rate": _STALL_RATE}),
            (
                "closed loop, 4 users",
                {"kind": "closed", "concurrency": 4, "think_s": think, "think": "constant"},
            ),
        ]
        for name, arrivals in loads:
            stalled = _Stall(process)
            found = run_load(f"http://127.0.0.1:{port}", request, arrivals, _STALL_RUN_S, stalled)
            measured = np.sort(_latency(found)) / 1e6
            theory = _stall_theory(stalled.seconds)
            p99, largest = float(np.percentile(measured, 99)), float(measured[-1])
            rows.append(
                [
                    name,
                    str(len(measured)),
                    f"{p99:.0f}",
                    f"{theory[0]:.0f}",
                    f"{p99 / theory[0] - 1:+.1%}",
                    f"{largest:.0f}",
                    f"{theory[1]:.0f}",
                    f"{largest / theory[1] - 1:+.1%}",
                ]
            )
    header = ["", "requests", "p99 ms", "theory", "error", "max ms", "theory", "error"]
    title = (
        f"Stall of {_STALL_S:g} s at {_STALL_RATE}/s over {_STALL_RUN_S:g} s (wanted: within 5%)"
    )
    print(table(title, header, rows))


class _Stall:
    """Stops the server in the middle of the run.

    Attributes:
        seconds: How long it really was stopped.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.seconds = 0.0

    def __call__(self) -> None:
        time.sleep(_STALL_RUN_S / 3)
        began = time.monotonic()
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(_STALL_S)
        self._process.send_signal(signal.SIGCONT)
        self.seconds = time.monotonic() - began


def _stall_theory(stall_s: float) -> tuple[float, float]:
    """p99 and maximum, in ms, of a constant load on a server that is instant but for the stall."""
    affected = np.arange(0, stall_s, 1 / _STALL_RATE)
    rest = round(_STALL_RATE * _STALL_RUN_S) - len(affected)
    latency = np.concatenate([np.zeros(rest), stall_s - affected])
    return float(np.percentile(latency, 99)) * 1e3, stall_s * 1e3


def _md1(request: Path) -> None:
    rows = []
    # What is neither service nor waiting: sockets, event loops, the machine.
    with minimal_server(_SERVICE_MS) as (_, port):
        url = f"http://127.0.0.1:{port}"
        constant = {"kind": "constant", "rate": 1e3 / _ALONE_MS}
        overhead = _mean_ms(run_load(url, request, constant, _CALIBRATION_S)) - _SERVICE_MS
    for load in (0.5, 0.8):
        with minimal_server(_SERVICE_MS) as (_, port):
            arrivals = {"kind": "poisson", "rate": load / _SERVICE_MS * 1e3}
            found = run_load(f"http://127.0.0.1:{port}", request, arrivals, _QUEUE_RUN_S)
        measured = _mean_ms(found) - _SERVICE_MS - overhead
        formula = load * _SERVICE_MS / (2 * (1 - load))
        lindley = _lindley(found.records["intended_ns"] / 1e6, _SERVICE_MS)
        rows.append(
            [
                f"{load:.0%}",
                str(len(found.records)),
                f"{measured:.3f}",
                f"{formula:.3f}",
                f"{measured / formula - 1:+.1%}",
                f"{lindley:.3f}",
                f"{measured / lindley - 1:+.1%}",
            ]
        )
    header = ["load", "requests", "mean wait ms", "M/D/1", "error", "these arrivals", "error"]
    title = f"Poisson load on a server of exactly {_SERVICE_MS:g} ms (wanted: within 5% of M/D/1)"
    print(table(title, header, rows))
    print(
        f"subtracted: {_SERVICE_MS:g} ms of service, {overhead:.3f} ms that a request takes alone"
    )


def _lindley(arrivals_ms: npt.NDArray[np.float64], service_ms: float) -> float:
    """The mean wait of these arrivals at one server of constant service time."""
    waits = np.zeros(len(arrivals_ms))
    for i, distance in enumerate(np.diff(arrivals_ms), 1):
        waits[i] = max(0.0, waits[i - 1] + service_ms - distance)
    return float(waits.mean())


def _ceiling(request: Path) -> None:
    rows = []
    with minimal_server() as (_, port), ServerProcess(REPOSITORY / "model-settings/echo") as echo:
        targets = [
            ("REST", "minimal", f"http://127.0.0.1:{port}"),
            ("gRPC", "minimal", f"grpc://127.0.0.1:{port + 1}"),
            ("REST", "echo", echo.url),
            ("gRPC", "echo", echo.grpc_url),
        ]
        for protocol, model, url in targets:
            for processes in (1, 2):
                closed = {"kind": "closed", "concurrency": 32}
                found = run_load(url, request, closed, _CEILING_S, model=model, processes=processes)
                ceiling = summarise(found).rates.answered_ok
                half = {"kind": "poisson", "rate": ceiling / 2}
                delays = summarise(
                    run_load(url, request, half, _CEILING_S, model=model, processes=processes)
                )
                rows.append([protocol, model, str(processes), *_ceiling_cells(ceiling, delays)])
    header = ["", "server", "processes", "ceiling/s", "delay p99 ms", "p50", "latency p50", "valid"]
    title = "Ceiling, and dispatch delay at half of it (wanted: p99 <= 1 ms)"
    print(table(title, header, rows))
    print(f"tester and server share {os.cpu_count()} cores")


def _ceiling_cells(ceiling: float, half: Summary) -> list[str]:
    delay, latency = half.dispatch_delay, half.latency
    return [
        f"{ceiling:.0f}",
        f"{delay.p99 or 0:.3f}",
        f"{delay.p50 or 0:.3f}",
        f"{latency.p50 or 0:.2f}",
        "yes" if half.validity.valid else "no",
    ]


def _memory(request: Path) -> None:
    rows: list[list[str]] = []
    with minimal_server() as (_, port):
        resident: list[int] = []
        arrivals = {"kind": "closed", "concurrency": 64, "count": _MEMORY_COUNT}
        url = f"http://127.0.0.1:{port}"
        found = run_load(
            url, request, arrivals, 3_600, progress=lambda: resident.append(_resident())
        )
        (client,) = found.processes
        tenth = max(len(resident) // 10, 1)
        growth = np.median(resident[-tenth:]) - np.median(resident[:tenth])
        rows.append(
            [
                str(len(found.records)),
                f"{(client.memory_bytes[-1] - client.memory_bytes[1]) / 1e6:+.1f}",
                f"{growth / 1e6:+.1f}",
                f"{len(found.records) * found.records.itemsize / 1e6:.0f}",
            ]
        )
    header = ["requests", "worker's growth MB", "coordinator's", "records afterwards MB"]
    print(table("Memory over a long run, every answer checked", header, rows))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_load(
    url: str,
    request: Path,
    arrivals: dict[str, Any],
    seconds: float,
    beside: Any = None,
    *,
    model: str = "minimal",
    processes: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> Run:
    settings = RunConfiguration.model_validate(
        {
            "target": {"url": url, "model": model},
            "payload": {"path": str(request)},
            "arrivals": arrivals,
            "duration_s": seconds,
            "warmup_s": 0,
            "processes": processes,
        }
    )
    prepared = prepare(settings)
    begun = threading.Event()
    # A daemon: if the run fails before it begins, nobody wakes it.
    helper = threading.Thread(target=lambda: begun.wait() and beside and beside(), daemon=True)
    helper.start()

    def heard(_: Progress) -> None:
        begun.set()
        progress()

    found = execute(prepared, heard)
    helper.join()
    failed = int((found.records["outcome"] != Outcome.OK).sum())
    if failed:
        raise RuntimeError(f"{failed} requests failed: {found.errors}")
    return found


def _mean_ms(found: Run) -> float:
    return float(_latency(found).mean()) / 1e6


def _latency(found: Run) -> npt.NDArray[np.int64]:
    latency: npt.NDArray[np.int64] = found.records["end_ns"] - found.records["intended_ns"]
    return latency


@contextmanager
def minimal_server(service_ms: float = 0.0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    while True:
        (port,) = free_ports(1)
        # It takes two in a row.
        with socket.socket() as second:
            if port < 65_000 and second.connect_ex(("127.0.0.1", port + 1)):
                break
    command = [sys.executable, str(_SERVER), str(port), str(service_ms)]
    process = subprocess.Popen(command)
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{port}/v2/health/ready") is not None)
        yield process, port
    finally:
        process.kill()
        process.wait()
