from __future__ import annotations

import asyncio

import pytest

from infergraph.errors import StageUnavailable
from infergraph.server import drain


async def test_it_waits_for_what_is_in_flight() -> None:
    with drain().in_flight("pipeline 'p'"):
        assert drain().begin()
        waiting = asyncio.create_task(drain().wait_until_idle(60))
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_nothing_in_flight_is_not_waited_for() -> None:
    with drain().in_flight("pipeline 'p'"):
        pass
    assert drain().begin()
    await drain().wait_until_idle(60)


async def test_it_waits_no_longer_than_told() -> None:
    with drain().in_flight("pipeline 'p'"):
        assert drain().begin()
        await drain().wait_until_idle(0.001)


async def test_new_requests_are_turned_away() -> None:
    assert drain().begin()
    with (
        pytest.raises(StageUnavailable, match="pipeline 'p': the server is stopping"),
        drain().in_flight("pipeline 'p'"),
    ):
        raise AssertionError("it was let in")


async def test_it_begins_once() -> None:
    assert drain().seconds() == 0
    assert drain().begin()
    assert not drain().begin()
    assert drain().seconds() >= 0
