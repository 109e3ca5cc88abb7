"""`Timeline`: what happened in each second of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...transports.outcome import Outcome
from ..statistics.distribution import percentile


@dataclass(frozen=True)
class Timeline:
    """Columns over seconds 0, 1, ... of the run.

    Attributes:
        time: Its start by the wall clock, UTC, as datetime64[ms].
        second: Its start.
        intended, sent: Requests by intended and by sent time.
        ok, failed: Requests that ended in it.
        in_flight: At its end.
        p50_ms, p99_ms, max_ms: Of the latency of right answers, by intended time; NaN without any.
        dispatch_delay_p99_ms: By intended time.
    """

    time: npt.NDArray[np.datetime64]
    second: npt.NDArray[np.int64]
    intended: npt.NDArray[np.int64]
    sent: npt.NDArray[np.int64]
    ok: npt.NDArray[np.int64]
    failed: npt.NDArray[np.int64]
    in_flight: npt.NDArray[np.int64]
    p50_ms: npt.NDArray[np.float64]
    p99_ms: npt.NDArray[np.float64]
    max_ms: npt.NDArray[np.float64]
    dispatch_delay_p99_ms: npt.NDArray[np.float64]

    def columns(self) -> dict[str, list[Any]]:
        """By name, as plain values; times as `2026-11-29T16:00:00.250Z`."""
        columns = {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}
        return {**columns, "time": [f"{text}Z" for text in self.time.astype(str).tolist()]}


def timeline(records: npt.NDArray[Any], began: float) -> Timeline:
    """The timeline of a run's records, which are ordered by intended time.

    Args:
        records: Of dtype RECORD.
        began: The run's start, in seconds since the epoch.
    """
    length = int(records["end_ns"].max() // 10**9) + 1 if len(records) else 0
    ok = records["outcome"] == Outcome.OK
    intended = _second(records["intended_ns"])

    def count(seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.bincount(seconds, minlength=length).astype(np.int64)

    sent, ended = count(_second(records["sent_ns"])), count(_second(records["end_ns"]))
    latency = records["end_ns"] - records["intended_ns"]
    delay = records["sent_ns"] - records["intended_ns"]
    p50, p99, largest = _quantiles(intended[ok], latency[ok], length, (50, 99, 100))
    (delay_p99,) = _quantiles(intended, delay, length, (99,))
    times = round(began * 1e3) + np.arange(length, dtype=np.int64) * 1000
    return Timeline(
        time=times.astype("datetime64[ms]"),
        second=np.arange(length),
        intended=count(intended),
        sent=sent,
        ok=count(_second(records["end_ns"][ok])),
        failed=count(_second(records["end_ns"][~ok])),
        in_flight=np.cumsum(sent - ended),
        p50_ms=p50,
        p99_ms=p99,
        max_ms=largest,
        dispatch_delay_p99_ms=delay_p99,
    )


def _second(nanoseconds: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.asarray(nanoseconds // 10**9, np.int64)


def _quantiles(
    seconds: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
    length: int,
    percentiles: tuple[int, ...],
) -> tuple[npt.NDArray[np.float64], ...]:
    """Nearest-rank percentiles of each second's values, ms; the seconds are ascending."""
    result = np.full((len(percentiles), length), np.nan)
    starts = np.searchsorted(seconds, np.arange(length + 1))
    for second in range(length):
        part = values[starts[second] : starts[second + 1]]
        if len(part):
            ordered = np.sort(part)
            result[:, second] = [percentile(ordered, q) for q in percentiles]
    return tuple(result)
