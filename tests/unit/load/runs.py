"""Runs with made-up records, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.engine.plan import WorkerResult
from infergraph_clients.load.engine.records import RECORD
from infergraph_clients.load.engine.run import Run
from infergraph_clients.transports.outcome import Outcome

MS = 1_000_000


def configuration(**settings: Any) -> RunConfiguration:
    """A run of 10 s at 100 requests per second without a warm-up, unless told otherwise."""
    return RunConfiguration.model_validate(
        {
            "target": {"url": "http://127.0.0.1:1", "model": "m"},
            "payload": {"path": "p.json"},
            "arrivals": {"kind": "constant", "rate": 100},
            "duration_s": 10,
            "warmup_s": 0,
            **settings,
        }
    )


def records(
    latency_ms: npt.ArrayLike,
    *,
    intended_ms: npt.ArrayLike | None = None,
    delay_ms: npt.ArrayLike = 0,
    outcome: npt.ArrayLike = Outcome.OK,
    process: npt.ArrayLike = 0,
) -> npt.NDArray[Any]:
    """Rows for these latencies; by default 10 ms apart, and sent when they were meant to be."""
    latency = np.asarray(latency_ms, np.float64)
    table = np.zeros(len(latency), RECORD)
    table["index"] = np.arange(len(latency))
    intended = np.arange(len(latency)) * 10.0 if intended_ms is None else np.asarray(intended_ms)
    table["intended_ns"] = np.rint(intended * MS)
    table["sent_ns"] = table["intended_ns"] + np.rint(np.asarray(delay_ms) * MS).astype(np.int64)
    table["end_ns"] = table["intended_ns"] + np.rint(latency * MS).astype(np.int64)
    for name in ("first_byte_ns", "first_answer_ns", "longest_gap_ns"):
        table[name] = -1
    table["outcome"] = outcome
    table["process"] = process
    return table


def run(
    table: npt.NDArray[Any],
    settings: RunConfiguration | None = None,
    *,
    traces: Sequence[tuple[int, Mapping[str, Any]]] = (),
    unsent: int = 0,
    cpu: float = 0.1,
    interrupted: bool = False,
    died: dict[int, int | None] | None = None,
) -> Run:
    return Run(
        configuration=settings or configuration(),
        schedule=None,
        payload_names=["p"],
        records=table,
        traces=list(traces),
        errors={},
        unsent=unsent,
        processes=[WorkerResult(0, cpu=cpu, busiest_cpu=cpu)],
        interrupted=interrupted,
        died=died or {},
        began=0.0,
        seconds=float(table["end_ns"].max()) / 1e9 if len(table) else 0.0,
        machine={},
    )
