"""A micro-batcher whose batches run when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from infergraph.batching import MicroBatcher, Served
from infergraph.errors import InfergraphError
from infergraph.request import Deadline
from tests.unit.batching.manual_executor import ManualExecutor


async def settle() -> None:
    """Lets everything that is ready on the event loop happen."""
    for _ in range(12):
        await asyncio.sleep(0)


def answer(item: Any) -> str:
    return f"answer to {item}"


class SetDeadline(Deadline):
    """A deadline with as many seconds left as the test says, however slow the machine is."""

    def __init__(self, left: float = 600.0) -> None:
        super().__init__(at=0.0, budget_ms=250)
        self.set(left)

    def set(self, left: float) -> None:
        object.__setattr__(self, "_left", left)

    def remaining(self) -> float:
        left: float = self.__dict__["_left"]
        return left


class Bench:
    """A micro-batcher whose batches run one by one, on `run_batch`."""

    def __init__(
        self,
        *,
        max_batch_size: int = 4,
        max_queue_size: int = 16,
        max_queue_bytes: int = 1000,
        diagnose: Callable[[Exception], InfergraphError | None] = lambda error: None,
        run: Callable[[list[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.batches: list[list[Any]] = []
        self.observed: list[tuple[int, int, float]] = []
        self.observed_waiting = 0
        self.executor = ManualExecutor()
        self._compute = run or (lambda items: [answer(item) for item in items])
        self.batcher: MicroBatcher[Any, Any] = MicroBatcher(
            self._run,
            self.executor,
            name="asr",
            max_batch_size=max_batch_size,
            max_queue_size=max_queue_size,
            max_queue_bytes=max_queue_bytes,
            observe=self,
            diagnose=diagnose,
        )

    def observe_batch(self, size: int, limit: int, seconds: float) -> None:
        self.observed.append((size, limit, seconds))

    def observe_waiting(self, change: int) -> None:
        self.observed_waiting += change

    def _run(self, items: list[Any]) -> Sequence[Any | InfergraphError]:
        self.batches.append(list(items))
        return self._compute(items)

    async def send(self, *items: Any, deadline: Deadline | None = None) -> Served[Any]:
        """Admits a request and waits for its answers."""
        place = self.batcher.admit(len(items))
        return await self.batcher.submit(place, items, deadline=deadline)

    async def request(
        self,
        *items: Any,
        key: Hashable = None,
        lengths: Sequence[int] | None = None,
        weights: Sequence[int] | None = None,
        deadline: Deadline | None = None,
        size: int = 0,
        caller: str = "",
    ) -> asyncio.Task[Served[Any]]:
        """A request that has been queued."""
        place = self.batcher.admit(sum(weights or [1] * len(items)), size, caller)
        task = asyncio.ensure_future(
            self.batcher.submit(
                place, items, key=key, lengths=lengths, weights=weights, deadline=deadline
            )
        )
        await settle()
        return task

    async def run_batch(self) -> None:
        self.executor.run_next()
        await settle()

    async def run_all(self) -> None:
        while self.executor.held:
            await self.run_batch()
