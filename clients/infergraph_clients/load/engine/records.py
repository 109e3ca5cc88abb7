"""`Records`: what became of each request, in one table of fixed-size rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...transports import Exchange
from ..outcome import Outcome

RECORD = np.dtype(
    [
        ("index", "<i8"),
        ("payload", "<i4"),
        ("process", "<i2"),
        ("outcome", "i1"),
        ("traced", "?"),
        ("status", "<i4"),
        ("answer_bytes", "<i4"),
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("first_byte_ns", "<i8"),
        ("end_ns", "<i8"),
    ]
)
"""Times are nanoseconds after the run's start; -1 where the time is not known."""
_GROWTH = 65_536


class Records:
    """Rows that have been recorded.

    Args:
        process: The number of this process.
        start: The run's start, by `now_ns`.
        expected: How many rows there will be, if that is known. Their memory is taken at once, so
            that it does not grow during the run.
    """

    def __init__(self, process: int, start: int, expected: int = 0) -> None:
        self._process = process
        self._start = start
        self._rows = np.full(max(expected, _GROWTH), -1, RECORD)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, exchange: Exchange, outcome: Outcome) -> None:
        """Adds a request that has ended, with its outcome after the check of the answer."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.full(self._count // 2, -1, RECORD)])
        start = self._start
        first_byte = exchange.first_byte
        self._rows[self._count] = (
            exchange.index,
            exchange.payload,
            self._process,
            outcome,
            exchange.traced,
            exchange.status,
            len(exchange.body),
            exchange.intended - start,
            exchange.sent - start,
            first_byte - start if first_byte >= 0 else -1,
            exchange.end - start,
        )
        self._count += 1

    def table(self) -> npt.NDArray[Any]:
        """The rows, dtype RECORD."""
        return self._rows[: self._count]
