"""What holds for every request through a graph."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.graph.graphs import other_tasks


@pytest.fixture
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """No task outlives its request, and no exception goes unnoticed."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, details: complaints.append(details))
    yield
    assert not other_tasks()
    gc.collect()
    assert complaints == []
