"""`Cell`: what a model does at one batch size and concurrency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...transports.outcome import Outcome
from ..engine.run import Run
from ..statistics.distribution import Distribution
from ..statistics.stages import DISPATCH, NETWORK, ROUTER, Stages, parts_of, summarise_stages
from ..statistics.summarising import failed, measured_records
from ..statistics.summary import Summary

_NO_TIMES = Distribution.of(np.empty(0, np.int64))
_NO_STAGES = Stages(0)


@dataclass(frozen=True)
class Cell:
    """All repeats of one cell together. Times are milliseconds, rates are per second.

    Attributes:
        batch_size: Items in a request.
        concurrency: Requests in flight: users of a closed loop.
        repeats: Runs.
        valid: Whether the tester kept up in all of them, and some request was answered well.
        problem: Why it is not valid, or what failed; empty if nothing did.
        seconds: Measured, of all runs.
        requests, failed: Measured; `failed` were not answered well.
        throughput: Items answered well, the mean of the runs; `throughput_low` and
            `throughput_high` are the least and the most of a run.
        latency: Of the requests that were answered well.
        dispatch_delay_p99: The tester's own lateness; None if fewer than 100 were measured.
        tester_cpu: The busiest process of the tester, as a share of a core.
        stages: From the traces.
    """

    batch_size: int
    concurrency: int
    repeats: int
    valid: bool
    problem: str
    seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    throughput: float = 0.0
    throughput_low: float = 0.0
    throughput_high: float = 0.0
    latency: Distribution = _NO_TIMES
    dispatch_delay_p99: float | None = None
    tester_cpu: float = 0.0
    stages: Stages = _NO_STAGES

    @property
    def server_batch_size(self) -> float | None:
        """Items that the server computed at once; None without traces or for several steps."""
        sizes = list(self.stages.batch_size.values())
        return sizes[0] if len(sizes) == 1 else None

    def part(self, kind: str) -> float | None:
        """Mean ms of a request in one kind of part, all steps together; None without traces.

        `unexplained` is the sum of hop, router and network.
        """
        if not self.stages.traced:
            return None
        if kind == "unexplained":
            return (self.stages.unexplained or 0.0) * sum(self.stages.mean_ms.values())
        whole = (DISPATCH, NETWORK, ROUTER)
        return sum(
            mean
            for name, mean in self.stages.mean_ms.items()
            if (name == kind if name in whole else name.rpartition(": ")[2] == kind)
        )


def make_cell(
    batch_size: int, concurrency: int, runs: Sequence[Run], summaries: Sequence[Summary]
) -> Cell:
    """The cell of some runs, at least one."""
    measured = [measured_records(run) for run in runs]
    right = [table[table["outcome"] == Outcome.OK] for table in measured]
    latency = np.concatenate([table["end_ns"] - table["intended_ns"] for table in right])
    delay = np.concatenate([table["sent_ns"] - table["intended_ns"] for table in measured])
    rates = [summary.rates.answered_ok * batch_size for summary in summaries]
    requests = sum(map(len, measured))
    failures = sum(int(failed(table).sum()) for table in measured)
    parts = [
        part for table, run in zip(right, runs, strict=True) for part in parts_of(table, run.traces)
    ]
    return Cell(
        batch_size=batch_size,
        concurrency=concurrency,
        repeats=len(runs),
        valid=len(latency) > 0 and all(summary.validity.valid for summary in summaries),
        problem=_problem(summaries, requests, failures),
        seconds=sum(summary.measured_s for summary in summaries),
        requests=requests,
        failed=failures,
        throughput=float(np.mean(rates)),
        throughput_low=min(rates),
        throughput_high=max(rates),
        latency=Distribution.of(latency),
        dispatch_delay_p99=Distribution.of(delay).p99,
        tester_cpu=max((each.cpu for summary in summaries for each in summary.client), default=0.0),
        stages=summarise_stages(parts),
    )


def _problem(summaries: Sequence[Summary], requests: int, failed: int) -> str:
    problems = []
    if failed:
        texts = [
            f"{outcome}: {text}"
            for summary in summaries
            for outcome, found in summary.errors.items()
            for text in found
        ]
        problems.append(f"{failed} of {requests} requests failed ({(texts or ['unknown'])[0]})")
    problems += [reason for summary in summaries for reason in summary.validity.reasons][:1]
    return "; ".join(problems)
