from __future__ import annotations

import asyncio

import pytest

from infergraph.front_door import draining
from infergraph.front_door.draining import Drain
from tests.unit.front_door.front import settle


@pytest.fixture
def drain() -> Drain:
    return Drain()


async def test_it_waits_for_what_is_in_flight(drain: Drain) -> None:
    drain.enter()
    drain.enter()
    assert drain.begin()
    waiting = [asyncio.create_task(drain.wait_until_idle(60)) for _ in range(2)]
    await settle()
    drain.leave()
    await settle()
    assert not any(each.done() for each in waiting)

    drain.leave()
    await asyncio.gather(*waiting)


async def test_nothing_in_flight_is_not_waited_for(drain: Drain) -> None:
    drain.enter()
    drain.leave()
    assert drain.begin()
    await drain.wait_until_idle(60)


async def test_it_waits_no_longer_than_told(drain: Drain) -> None:
    drain.enter()
    assert drain.begin()
    await drain.wait_until_idle(0.001)


async def test_it_begins_once(drain: Drain) -> None:
    assert not drain.began
    assert drain.begin()
    assert drain.began
    assert not drain.begin()


async def test_what_is_left_of_the_grace_period(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(draining.time, "monotonic", lambda: now)
    assert drain.left(7) == 7

    drain.begin()
    now += 3
    assert drain.left(7) == pytest.approx(4)
    drain.begin()  # Not from the beginning.
    now += 10
    assert drain.left(7) == 0
