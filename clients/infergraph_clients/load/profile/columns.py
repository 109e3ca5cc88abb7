"""A profile as tables: what profile.parquet and profile-stages.parquet hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ..statistics.stages import DISPATCH, NETWORK, ROUTER
from .cell import Cell
from .sweep import Profile

_TEXT, _COUNT, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_OF_PROFILE: dict[str, tuple[Any, Callable[[Profile], Any]]] = {
    "model": (_TEXT, lambda profile: profile.model),
    "variant": (_TEXT, lambda profile: _said(profile, "variant")),
    "device": (_TEXT, lambda profile: _said(profile, "device")),
    "dtype": (_TEXT, lambda profile: _said(profile, "dtype")),
    "protocol": (
        _TEXT,
        lambda profile: profile.configuration.target.url.partition("://")[0],
    ),
}
_OF_CELL: dict[str, tuple[Any, Callable[[Cell], Any]]] = {
    "batch_size": (_COUNT, lambda cell: cell.batch_size),
    "concurrency": (_COUNT, lambda cell: cell.concurrency),
    "valid": (_FLAG, lambda cell: cell.valid),
    "problem": (_TEXT, lambda cell: cell.problem or None),
    "repeats": (_COUNT, lambda cell: cell.repeats),
    "seconds": (_NUMBER, lambda cell: cell.seconds),
    "requests": (_COUNT, lambda cell: cell.requests),
    "failed": (_COUNT, lambda cell: cell.failed),
    "throughput": (_NUMBER, lambda cell: cell.throughput),
    "throughput_low": (_NUMBER, lambda cell: cell.throughput_low),
    "throughput_high": (_NUMBER, lambda cell: cell.throughput_high),
    "latency_mean_ms": (_NUMBER, lambda cell: cell.latency.mean),
    "latency_p50_ms": (_NUMBER, lambda cell: cell.latency.p50),
    "latency_p90_ms": (_NUMBER, lambda cell: cell.latency.p90),
    "latency_p95_ms": (_NUMBER, lambda cell: cell.latency.p95),
    "latency_p99_ms": (_NUMBER, lambda cell: cell.latency.p99),
    "latency_max_ms": (_NUMBER, lambda cell: cell.latency.max),
    "server_batch_size": (_NUMBER, lambda cell: cell.server_batch_size),
    "traced": (_COUNT, lambda cell: cell.stages.traced),
    "queue_ms": (_NUMBER, lambda cell: cell.part("queue")),
    "compute_ms": (_NUMBER, lambda cell: cell.part("compute")),
    "hop_ms": (_NUMBER, lambda cell: cell.part("hop")),
    "router_ms": (_NUMBER, lambda cell: cell.part(ROUTER)),
    "network_ms": (_NUMBER, lambda cell: cell.part(NETWORK)),
    "unexplained_ms": (_NUMBER, lambda cell: cell.part("unexplained")),
    "dispatch_ms": (_NUMBER, lambda cell: cell.part(DISPATCH)),
    "dispatch_delay_p99_ms": (_NUMBER, lambda cell: cell.dispatch_delay_p99),
    "tester_cpu": (_NUMBER, lambda cell: cell.tester_cpu),
}
COLUMNS = (*_OF_PROFILE, *_OF_CELL)
STAGE_COLUMNS = {
    "model": _TEXT,
    "batch_size": _COUNT,
    "concurrency": _COUNT,
    "step": _TEXT,
    "kind": _TEXT,
    "mean_ms": _NUMBER,
    "p50_ms": _NUMBER,
    "p99_ms": _NUMBER,
    "server_batch_size": _NUMBER,
}


def cells_table(profile: Profile) -> pa.Table:
    """One row for each cell, of `COLUMNS`; null where a number is not known."""
    count = len(profile.cells)
    columns = {
        name: pa.array([value(profile)] * count, kind)
        for name, (kind, value) in _OF_PROFILE.items()
    }
    columns |= {
        name: pa.array([value(cell) for cell in profile.cells], kind)
        for name, (kind, value) in _OF_CELL.items()
    }
    return pa.table(columns)


def stages_table(profile: Profile) -> pa.Table:
    """One row for each part of each cell, of `STAGE_COLUMNS`; a part outside has no step."""
    rows = []
    for cell in profile.cells:
        stages = cell.stages
        for part, mean in stages.mean_ms.items():
            step, _, kind = part.rpartition(": ")
            times = (mean, stages.p50_ms[part], stages.p99_ms[part], stages.batch_size.get(step))
            rows.append((profile.model, cell.batch_size, cell.concurrency, step, kind, *times))
    return pa.table(
        {
            name: pa.array([row[place] for row in rows], kind)
            for place, (name, kind) in enumerate(STAGE_COLUMNS.items())
        }
    )


def _said(profile: Profile, name: str) -> str | None:
    value = profile.parameters.get(name)
    return None if value is None else str(value)
