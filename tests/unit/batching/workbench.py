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


class Bench:
    """A micro-batcher whose batches run one by one, on `run_batch`."""

    def __init__(
        self,
        *,
        max_batch_size: int = 4,
        max_queue_size: int = 16,
        run: Callable[[list[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.batches: list[list[Any]] = []
        self.observed: list[tuple[int, float]] = []
        self.executor = ManualExecutor()
        self._compute = run or (lambda items: [answer(item) for item in items])
        self.batcher: MicroBatcher[Any, Any] = MicroBatcher(
            self._run,
            self.executor,
            name="asr",
            max_batch_size=max_batch_size,
            max_queue_size=max_queue_size,
            observe=lambda size, seconds: self.observed.append((size, seconds)),
        )

    def _run(self, items: list[Any]) -> Sequence[Any | InfergraphError]:
        self.batches.append(list(items))
        return self._compute(items)

    async def request(
        self,
        *items: Any,
        key: Hashable = None,
        lengths: Sequence[int] | None = None,
        deadline: Deadline | None = None,
    ) -> asyncio.Task[Served[Any]]:
        """A request that has been queued."""
        self.batcher.admit(len(items))
        task = asyncio.ensure_future(
            self.batcher.submit(items, key=key, lengths=lengths, deadline=deadline)
        )
        await settle()
        return task

    async def run_batch(self) -> None:
        self.executor.run_next()
        await settle()

    async def run_all(self) -> None:
        while self.executor.held:
            await self.run_batch()
