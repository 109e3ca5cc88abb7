"""How often the load tester's verdicts are right, on queues in virtual time that theory knows."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from infergraph_clients.load.comparison import compare
from tests.unit.load.queues import (
    Kind,
    fifo_search,
    mean_wait,
    queue_report,
    rate_within,
    sojourn_times,
)

from .rounds import table

PAIRS, SEEDS = 200, 20
LOADS = (0.5, 0.8, 0.9)
SERVICE_S = 0.01
SLOS_MS = (1_000.0, 200.0, 100.0)
TRIALS_S = (3.0, 10.0)


async def run(folder: Path, rounds: int) -> None:
    """Prints tables; neither a folder nor rounds are needed."""
    _pairs()
    _searches()
    _waits()


def _pairs() -> None:
    rows = []
    for load in LOADS:
        generator = np.random.default_rng(int(load * 100))
        cells = []
        for slower, seconds in ((1.0, 60.0), (1.0, 300.0), (1.05, 60.0), (1.05, 300.0)):
            apart = short = 0
            for _ in range(PAIRS):
                reports = [
                    queue_report(load, service, seconds, generator)
                    for service in (SERVICE_S, SERVICE_S * slower)
                ]
                changes = {row.change for row in compare(*reports, tolerance=0.05).rows}
                apart += bool(changes & {"worse", "better"})
                short += "too short" in changes and not changes & {"worse", "better"}
            cells.append(f"{apart / PAIRS:.1%} / {short / PAIRS:.1%}")
        rows.append([f"{load:.0%}", *cells])
    head = ["load", "equal, 60 s", "equal, 300 s", "5% slower, 60 s", "5% slower, 300 s"]
    title = f"{PAIRS} pairs of M/D/1 queues of 10 ms: told apart / said to be too short"
    print(table(title, head, rows))


def _searches() -> None:
    rows = []
    for slo_ms, duration in itertools.product(SLOS_MS, TRIALS_S):
        truth = rate_within(slo_ms / 1e3, SERVICE_S)
        found = [
            fifo_search(seed, slo_ms=slo_ms, duration=duration, start=40) for seed in range(SEEDS)
        ]
        rates = np.array([each.rate or 0 for each in found])
        rows.append(
            [
                f"p99 <= {slo_ms:g} ms",
                f"{duration:g} s",
                f"{truth:.1f}/s",
                f"{rates.min():.1f} to {rates.max():.1f}/s",
                f"{int((np.abs(rates / truth - 1) <= 0.05).sum())} of {SEEDS}",
                f"{np.mean([sum(s.seconds for s in each.steps) for each in found]):.0f} s",
            ]
        )
    title = f"{SEEDS} searches on a server of 100/s"
    print(table(title, ["SLO", "trials", "truth", "found", "within 5%", "took"], rows))


def _waits() -> None:
    rows = []
    kinds: tuple[Kind, ...] = ("M/D/1", "M/M/1")
    for kind in kinds:
        for load in LOADS:
            generator = np.random.default_rng(int(load * 100))
            means = []
            for _ in range(20):
                rate = load / SERVICE_S
                times, sojourns = sojourn_times(rate, SERVICE_S, 600, generator, kind)
                means.append(float(sojourns[times > 20].mean()) - SERVICE_S)
            found, truth = float(np.mean(means)), mean_wait(load, SERVICE_S, kind)
            rows.append(
                [
                    kind,
                    f"{load:.0%}",
                    f"{found * 1e3:.2f} ms",
                    f"{truth * 1e3:.2f} ms",
                    f"{found / truth - 1:+.1%}",
                ]
            )
    title = "mean waits of Poisson arrivals, 20 runs of 600 s"
    print(table(title, ["queue", "load", "measured", "theory", "error"], rows))
