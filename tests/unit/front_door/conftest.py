from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.front_door.front import Echo, Front, Mirror, serving

Serve = Callable[..., Awaitable[Front]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Makes servers of the front door's settings; MLServer's own go in `server`."""
    async with AsyncExitStack() as stack:

        async def make(server: dict[str, Any] | None = None, **front_door: Any) -> Front:
            made = serving(tmp_path, front_door, **(server or {}))
            return await stack.enter_async_context(made)

        yield make


@pytest.fixture
async def front(serve: Serve) -> Front:
    """A server of the default settings, with a model of ours and one that is not."""
    front = await serve()
    await front.load(Echo)
    await front.load(Mirror)
    return front
