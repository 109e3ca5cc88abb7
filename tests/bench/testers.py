"""The load tester beside others: what each can send, and what it sends when asked for a rate.

Ceiling: closed loops of 32 users against the minimal server, over REST. Open load: a rate that each
is asked for, seen from the server, which notes when requests come: how many of them did, how far
they were from the even schedule that a constant rate is, and what sending them cost. Stall: what
each says of a server that stood still for a second. `wrk` has no open load; locust's is
`constant_throughput` of its users, who wait for their answers.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import numpy.typing as npt

from .load import REQUEST, minimal_server, run_load
from .rounds import table

_USERS = 32
_CEILING_S, _OPEN_S = 3.0, 4.0
_RATES = (200, 1_000, 2_000)
_STALL_S, _STALL_RATE, _STALL_RUN_S = 1.0, 200, 6.0
_PATH = "/v2/models/minimal/infer"
LOCUST = os.environ.get("LOCUST") or shutil.which("locust")
"""Its command; locust is not a dependency."""
WRK = os.environ.get("WRK") or shutil.which("wrk")
_WRK_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
"""
_LOCUST_FILE = """\
import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.runners import WorkerRunner

@events.test_start.add_listener
def end_later(environment, **_):
    # -t counts from before its imports, which take seconds on a busy machine.
    gevent.get_hub().loop.update_now()
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn_later({seconds}, environment.runner.quit)

class User(FastHttpUser):
    wait_time = {wait}

    @task
    def infer(self):
        self.client.post("{path}", data={body!r}, headers={{"Content-Type": "application/json"}})
"""


@dataclass
class Result:
    """What one tool did.

    Attributes:
        requests: That the server had.
        seconds: Over which it had them.
        cpu: Seconds of the tool's processes.
        distance: Of each arrival from the even schedule, seconds.
        p99_ms: What the tool says of the latency, if it does.
    """

    requests: int
    seconds: float
    cpu: float
    distance: npt.NDArray[np.float64]
    p99_ms: float | None = None


Tool = Callable[[int, Path, float, int, int | None], float | None]
"""(Port, folder, seconds, processes, rate or None for a closed loop) -> its p99 in ms."""


async def run(folder: Path, rounds: int) -> None:
    """Prints all tables."""
    (folder / "request.json").write_text(json.dumps(REQUEST))
    for name, found in (("locust", LOCUST), ("wrk", WRK)):
        if not found:
            print(f"\n{name} is left out: it is not installed, nor in ${name.upper()}")
    await asyncio.to_thread(_measure, folder, rounds)


def _measure(folder: Path, rounds: int) -> None:
    tools: dict[str, Tool] = {"infergraph-load": _ours}
    if LOCUST:
        tools["locust"] = _locust
    ceilings = {**tools, "wrk": _wrk} if WRK else tools
    _ceilings(ceilings, folder, rounds)
    _open_loads(tools, folder, rounds)
    _stalls({**tools, "wrk": _wrk} if WRK else tools, folder)


def _ceilings(tools: dict[str, Tool], folder: Path, rounds: int) -> None:
    rates: dict[tuple[str, int], list[float]] = {}
    with minimal_server() as (_, port):
        for _ in range(rounds):
            for name, tool in tools.items():
                for processes in (1, 2):
                    done = _watched(tool, port, folder, _CEILING_S, processes, None)
                    rates.setdefault((name, processes), []).append(done.requests / done.seconds)
    medians = {key: statistics.median(several) for key, several in rates.items()}
    rows = [[name, *(f"{medians[name, each]:.0f}" for each in (1, 2))] for name in tools]
    title = f"Closed loop of {_USERS} users: requests/s at most (medians of {rounds} rounds)"
    print(table(title, ["", "one process", "two"], rows))
    print(f"tester and server share {os.cpu_count()} cores")


def _open_loads(tools: dict[str, Tool], folder: Path, rounds: int) -> None:
    rows = []
    with minimal_server() as (_, port):
        for rate in _RATES:
            found: dict[str, list[Result]] = {name: [] for name in tools}
            for _ in range(rounds):
                for name, tool in tools.items():
                    found[name].append(_watched(tool, port, folder, _OPEN_S, 1, rate))
            for name, several in found.items():
                p50, p99 = (
                    statistics.median(float(np.percentile(each.distance, q)) for each in several)
                    for q in (50, 99)
                )
                delivered = statistics.median(each.requests / each.seconds for each in several)
                cost = statistics.median(each.cpu / each.requests for each in several)
                rows.append(
                    [
                        f"{rate}/s {name}",
                        f"{delivered:.0f}",
                        f"{p50 * 1e3:.2f}",
                        f"{p99 * 1e3:.2f}",
                        f"{cost * 1e6:.0f}",
                    ]
                )
    header = ["", "delivered/s", "distance p50 ms", "p99 ms", "CPU us a request"]
    title = f"Open load, one process: what the server saw (medians of {rounds} rounds)"
    print(table(title, header, rows))


def _stalls(tools: dict[str, Tool], folder: Path) -> None:
    theory = np.percentile(
        np.maximum(0, _STALL_S - np.arange(0, _STALL_RUN_S, 1 / _STALL_RATE)), 99
    )
    rows = []
    for name, tool in tools.items():
        with minimal_server() as (server, port):
            stopper = threading.Thread(target=_stop_once, args=(server, port))
            stopper.start()
            rate = None if tool is _wrk else _STALL_RATE
            said = tool(port, folder, _STALL_RUN_S, 1, rate)
            stopper.join()
        rows.append([name, "-" if said is None else f"{said:.0f}", f"{theory * 1e3:.0f}"])
    title = f"A server that stands still for {_STALL_S:g} s in {_STALL_RUN_S:g} s: p99 in ms"
    print(table(title, ["", "said", f"theory at {_STALL_RATE}/s"], rows))


def _stop_once(server: subprocess.Popen[bytes], port: int) -> None:
    seen = 0
    while seen < 200:
        time.sleep(0.1)
        seen += len(_arrivals(port))
    server.send_signal(signal.SIGSTOP)
    time.sleep(_STALL_S)
    server.send_signal(signal.SIGCONT)


def _arrivals(port: int) -> npt.NDArray[np.int64]:
    with urlopen(f"http://127.0.0.1:{port}/arrivals") as response:
        return np.frombuffer(response.read(), np.int64)


def _watched(
    tool: Tool, port: int, folder: Path, seconds: float, processes: int, rate: int | None
) -> Result:
    _arrivals(port)
    before = _cpu()
    said = tool(port, folder, seconds, processes, rate)
    cpu = _cpu() - before
    times = np.sort(_arrivals(port)) / 1e9
    # The first half second is for users to start.
    times = times[times > times[0] + 0.5] if len(times) else times
    if len(times) < 2:
        raise RuntimeError(f"{tool.__name__} sent next to nothing in {seconds:g} s")
    span = float(times[-1] - times[0])
    distance = np.zeros(0)
    if rate is not None:
        late = times - times[0] - np.arange(len(times)) / rate
        distance = np.abs(late - np.median(late))
    return Result(len(times), span, cpu, distance, said)


def _cpu() -> float:
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _ours(port: int, folder: Path, seconds: float, processes: int, rate: int | None) -> float:
    closed = {"kind": "closed", "concurrency": _USERS}
    arrivals: dict[str, Any] = closed if rate is None else {"kind": "constant", "rate": rate}
    found = run_load(
        f"http://127.0.0.1:{port}",
        folder / "request.json",
        arrivals,
        seconds,
        processes=processes,
    )
    latency = found.records["end_ns"] - found.records["intended_ns"]
    return float(np.percentile(latency, 99)) / 1e6


def _wrk(port: int, folder: Path, seconds: float, processes: int, rate: int | None) -> float:
    assert rate is None
    assert WRK is not None
    script = folder / "post.lua"
    script.write_text(_WRK_SCRIPT.format(body=json.dumps(REQUEST)))
    command = [WRK, f"-t{processes}", f"-c{_USERS}", f"-d{seconds:.0f}s", "--latency"]
    command += ["-s", str(script), f"http://127.0.0.1:{port}{_PATH}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    value, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", said)[0]
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def _locust(
    port: int, folder: Path, seconds: float, processes: int, rate: int | None
) -> float | None:
    assert LOCUST is not None
    wait = "lambda self: 0" if rate is None else f"constant_throughput({rate / _USERS})"
    file = folder / "locustfile.py"
    file.write_text(
        _LOCUST_FILE.format(wait=wait, path=_PATH, body=json.dumps(REQUEST), seconds=seconds)
    )
    command = [LOCUST, "-f", str(file), "--headless", "-u", str(_USERS), "-r", str(_USERS)]
    command += ["--host", f"http://127.0.0.1:{port}"]
    command += ["--only-summary", "--csv", str(folder / "locust")]
    if processes > 1:
        command += ["--processes", str(processes)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr)
    with suppress(OSError, StopIteration), (folder / "locust_stats.csv").open() as stream:
        row = next(each for each in csv.DictReader(stream) if each["Name"] == "Aggregated")
        # N/A, where no user came to send anything.
        return float(row["99%"]) if row["99%"] != "N/A" else None
    return None
