from __future__ import annotations

import asyncio
import dataclasses

import pytest

from infergraph.batching import ticket as ticket_module
from infergraph.batching.ticket import Served, Ticket, entries_of
from infergraph.errors import InvalidInput, Overloaded


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        monkeypatch.setattr(ticket_module, "time", self)

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def ticket(count: int) -> Ticket[str]:
    return Ticket(count, asyncio.get_running_loop())


async def test_results_come_in_the_requests_order(clock: Clock) -> None:
    three = ticket(3)
    three.add(2, "c")
    three.add(0, "a")
    three.ran(0.25, 5)
    assert not three.done

    three.add(1, "b")
    clock.now += 1.0
    three.ran(0.5, 2)

    assert await three.future == Served(
        ["a", "b", "c"], queue_us=250_000, compute_us=750_000, batch_size=5
    )


async def test_a_result_may_be_none(clock: Clock) -> None:
    one: Ticket[None] = Ticket(1, asyncio.get_running_loop())
    one.add(0, None)
    one.ran(0, 1)

    assert (await one.future).results == [None]


async def test_an_items_error_ends_the_request_and_names_the_item() -> None:
    three = ticket(3)
    three.add(0, "a")
    three.add(1, InvalidInput("not audio"))
    three.add(2, "c")
    three.ran(0.1, 3)

    with pytest.raises(InvalidInput) as caught:
        await three.future
    assert str(caught.value) == "item 1: not audio"


async def test_a_lone_items_error_needs_no_number() -> None:
    one = ticket(1)
    one.add(0, InvalidInput("not audio"))

    with pytest.raises(InvalidInput) as caught:
        await one.future
    assert str(caught.value) == "not audio"


async def test_what_comes_after_the_end_changes_nothing() -> None:
    failed, cancelled = ticket(1), ticket(1)
    failed.fail(Overloaded("first"))
    cancelled.future.cancel()
    for each in (failed, cancelled):
        each.fail(Overloaded("second"))
        each.add(0, "late")
        each.ran(0.1, 1)
        assert each.done

    with pytest.raises(Overloaded, match="first"):
        await failed.future
    assert cancelled.future.cancelled()


async def test_one_entry_per_item() -> None:
    two = ticket(2)

    entries = entries_of(["a", "b"], "key", [7, 9], two)

    assert [(e.item, e.key, e.length, e.index) for e in entries] == [
        ("a", "key", 7, 0),
        ("b", "key", 9, 1),
    ]
    assert all(entry.ticket is two for entry in entries)
    with pytest.raises(ValueError, match="shorter"):
        entries_of(["a", "b"], "key", [7], two)


def test_what_was_served_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Served([], 0, 0, 0).batch_size = 2  # type: ignore[misc]
