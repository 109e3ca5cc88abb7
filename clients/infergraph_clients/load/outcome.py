"""`Outcome`, how a request ended, and what a failure counts as."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..transports.outcome import Outcome

__all__ = ["Outcome", "failed", "user_latency"]


def failed(records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which requests failed, bool [N]: all but right answers and those that Ctrl-C gave up."""
    outcome = records["outcome"]
    found: npt.NDArray[np.bool_] = (outcome != Outcome.OK) & (outcome != Outcome.CANCELLED)
    return found


def user_latency(records: npt.NDArray[Any], timeout_s: float) -> npt.NDArray[np.int64]:
    """What users waited, end - intended in nanoseconds, int64 [N].

    A failed request counts as at least the timeout, however early it failed: else a server that
    refuses, or a shorter timeout, would look fast. One that Ctrl-C gave up has waited so long.
    """
    latency = (records["end_ns"] - records["intended_ns"]).astype(np.int64)
    charged: npt.NDArray[np.int64] = np.where(
        failed(records), np.maximum(latency, int(timeout_s * 1e9)), latency
    )
    return charged
