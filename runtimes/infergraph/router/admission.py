"""`Admission`: the requests that a router has in flight: their number, its bound, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import InfergraphError, Overloaded, StageUnavailable
from ..metrics import PipelineMetrics


class Admission:
    """Counts a pipeline's requests, and what becomes of them.

    Args:
        where: Names the pipeline in error texts.
        most: Requests that may be in flight at once (setting `max_in_flight`).
        metrics: Told how many there are, and of each that gets no answer.
    """

    def __init__(self, where: str, most: int, metrics: PipelineMetrics) -> None:
        self._where = where
        self._most = most
        self._metrics = metrics
        self._count = 0
        self._none_left = asyncio.Event()
        self._is_closed = False
        self._is_over = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """Surrounds one request.

        Raises:
            Overloaded: too many requests are in flight.
            StageUnavailable: the pipeline is being unloaded; or the request failed after `close`
                had waited for it in vain, and its connections were gone.
        """
        try:
            self._check()
            with self._counted():
                yield
        except InfergraphError as error:
            self._metrics.failed(error)
            raise

    async def close(self, seconds: float) -> None:
        """Admits no more requests; returns once none is in flight, or the time is over."""
        self._is_closed = True
        if self._count:
            self._none_left.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._none_left.wait(), seconds)
        self._is_over = True

    def _check(self) -> None:
        if self._is_closed:
            raise StageUnavailable(f"{self._where} is being unloaded; try again later")
        if self._count >= self._most:
            raise Overloaded(
                f"{self._where}: {self._count} requests are in flight; accepted: at most "
                f"{self._most} at once (setting 'max_in_flight'); try again later"
            )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._count += 1
        self._metrics.in_flight(1)
        try:
            yield
        except InfergraphError as error:
            if not self._is_over:
                raise
            raise StageUnavailable(f"{self._where} was unloaded while the request ran") from error
        finally:
            self._count -= 1
            self._metrics.in_flight(-1)
            if not self._count:
                self._none_left.set()
