"""`run_storm`: a server, the storm and the steady callers; and what must hold at the end."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..integration.server import ServerProcess, get
from .oddities import UNHEARD_OF
from .repository import write_repository
from .steady import Seen, SteadyCallers
from .storm import SLOW_SECONDS, Outcome, rage

_WARM_SHARE = 0.2
"""The share of the requests after which the process must not grow any more."""
_REFUSED_SHARE = 0.05
_LOGGED = re.compile(
    r"Traceback \(most recent call last\)|never retrieved|was never awaited|Fatal Python error"
)


@dataclass(frozen=True)
class Bounds:
    """What the storm may cost.

    Attributes:
        growth_mb: Most megabytes that the process grows by after its warm-up.
        metrics_lines: Most lines that /metrics grows by after the warm-up.
        steady_seconds: Longest answer to a steady caller; None does not say.
        hang_seconds: Longest answer to any request.
    """

    growth_mb: float = 64.0
    metrics_lines: int = 200
    steady_seconds: float | None = 1.0
    hang_seconds: float = 1.0


@dataclass
class Weather:
    """All that was seen.

    Attributes:
        outcome: Of the storm.
        steady: Of the callers beside it.
        memory_mb: The process's resident memory after the warm-up and at the end.
        metrics_lines: Lines of /metrics by the metric's name, likewise.
        problems: What must not be, each a line of text; empty if all is well.
    """

    outcome: Outcome
    steady: Sequence[Seen]
    memory_mb: tuple[float, float]
    metrics_lines: tuple[Counter[str], Counter[str]]
    problems: list[str] = field(default_factory=list)


def run_storm(
    folder: Path,
    seed: int,
    requests: int,
    bounds: Bounds,
    only: Sequence[int] = (),
) -> Weather:
    """Starts a server in an empty folder, storms it, stops it.

    Args:
        folder: Where its models are written.
        seed: Makes the requests.
        requests: How many.
        bounds: What it may cost.
        only: Indices of the only requests to send, each alone.
    """
    with ServerProcess(write_repository(folder)) as server:
        process = server.process
        warm: list[tuple[float, Counter[str]]] = []

        def alive() -> bool:
            return process.poll() is None

        def progress(done: int) -> None:
            if done == int(requests * _WARM_SHARE):
                warm.append(_size(server))

        indices = iter(only) if only else iter(range(requests))
        with SteadyCallers(server.http_port, server.grpc_port) as callers:
            outcome = asyncio.run(
                rage(server.http_port, server.grpc_port, seed, indices, alive, progress)
            )
            steady = callers.stop() if alive() else []
        before, after = (warm or [_size(server)])[0], _size(server) if alive() else (0.0, Counter())
        kept = [line for line in _metrics(server) if UNHEARD_OF in line]
        weather = Weather(outcome, steady, (before[0], after[0]), (before[1], after[1]))
        weather.problems += _problems(weather, bounds)
        if not alive():
            weather.problems.insert(0, f"the server ended by itself: {process.returncode}")
        if kept:
            weather.problems.append(f"/metrics keeps names that requests made up: {kept[0]}")
        weather.problems += _logged(server.log())
    return weather


def report(weather: Weather, seed: int) -> Iterator[str]:
    """The lines that tell of a storm."""
    outcome = weather.outcome
    sent = sum(outcome.sent.values())
    yield f"storm: {sent} requests of seed {seed} in {outcome.seconds:.0f} s ({outcome.rate:.0f}/s)"
    yield "answers: " + ", ".join(
        f"{count} {name}" for name, count in outcome.answered.most_common()
    )
    seconds, kind, index = outcome.slowest
    yield f"slowest: {seconds:.2f} s ({kind}, {index}); over {SLOW_SECONDS:g} s: {outcome.slow}"
    for seen in weather.steady:
        times = (
            f"p50 {seen.p50 * 1e3:.1f}, p99 {seen.p99 * 1e3:.0f}, max {seen.slowest * 1e3:.0f} ms"
        )
        yield f"steady {seen.caller}: {seen.answers} right, {seen.refused} refused; {times}"
    yield "memory: {:.0f} MB after the warm-up, {:.0f} MB at the end".format(*weather.memory_mb)
    lines = [lines.total() for lines in weather.metrics_lines]
    yield "lines of /metrics: {} after the warm-up, {} at the end".format(*lines)
    yield f"problems: {len(weather.problems)}"
    if outcome.findings:
        yield f"to send one again: python -m tests.storm --seed {seed} --only INDEX"
    yield from (f"- {problem}" for problem in weather.problems)


def _size(server: ServerProcess) -> tuple[float, Counter[str]]:
    """The process's resident megabytes, and how many lines each of its metrics has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmRSS:\s*(\d+) kB", status)
    names = (re.split(r"[{ ]", line, maxsplit=1)[0] for line in _metrics(server))
    return int(kilobytes) / 1024, Counter(name for name in names if name != "#")


def _metrics(server: ServerProcess) -> list[str]:
    return (get(f"http://127.0.0.1:{server.metrics_port}/metrics") or "").splitlines()


def _problems(weather: Weather, bounds: Bounds) -> Iterator[str]:
    outcome = weather.outcome
    for finding in sorted(outcome.findings.values(), key=lambda each: -each.count):
        said = f" ({finding.fault.detail})" if finding.fault.detail else ""
        yield (
            f"{finding.count} x {finding.fault.what}{said} [{finding.kind}], "
            f"--only {finding.index}: {finding.shown}"
        )
    seconds, kind, index = outcome.slowest
    if seconds > bounds.hang_seconds:
        yield f"{kind} {index} took {seconds:.1f} s (at most {bounds.hang_seconds:g})"
    for seen in weather.steady:
        yield from (
            f"steady {seen.caller}: {count} x {fault}" for fault, count in seen.faults.items()
        )
        if bounds.steady_seconds is not None and seen.slowest > bounds.steady_seconds:
            took = f"{seen.slowest:.2f} s (at most {bounds.steady_seconds:g})"
            yield f"steady {seen.caller}: the slowest answer took {took}"
        if seen.refused > _REFUSED_SHARE * (seen.answers + seen.refused):
            yield f"steady {seen.caller}: {seen.refused} refused beside {seen.answers} answers"
        if not seen.answers:
            yield f"steady {seen.caller}: no answer at all"
    growth = weather.memory_mb[1] - weather.memory_mb[0]
    if growth > bounds.growth_mb:
        yield f"the process grew by {growth:.0f} MB (at most {bounds.growth_mb:g})"
    before, after = weather.metrics_lines
    if (grown := after.total() - before.total()) > bounds.metrics_lines:
        most = ", ".join(f"{name} by {count}" for name, count in (after - before).most_common(3))
        yield f"/metrics grew by {grown} lines (at most {bounds.metrics_lines}), {most}"


def _logged(log: str) -> Iterator[str]:
    lines = log.splitlines()
    found = [number for number, line in enumerate(lines) if _LOGGED.search(line)]
    if found:
        at = found[0]
        shown = " | ".join(itertools.islice(lines, max(0, at - 1), at + 1))
        last = next((line for line in lines[at + 1 :] if line and not line.startswith(" ")), "")
        yield f"{len(found)} tracebacks or lost errors in the log, the first: {shown} | {last}"
