from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from infergraph.errors import DeadlineExceeded, InvalidInput
from infergraph.request import Deadline
from infergraph.runtime import preparation
from infergraph.runtime.items import Item
from infergraph.runtime.preparation import prepare_all
from tests.unit.batching.manual_executor import ManualExecutor
from tests.unit.runtime.workbench import settle

WHERE = "model 'asr'"


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> ManualExecutor:
    executor = ManualExecutor()
    monkeypatch.setattr(preparation, "_pool", lambda: executor)
    return executor


def items(*values: Any) -> list[Item]:
    return [{"x": value} for value in values]


def refuse_bad(item: Item) -> Item:
    if item["x"] == "bad":
        raise InvalidInput("not audio")
    return {"x": item["x"] * 2}


async def test_items_come_back_in_order_and_from_other_threads() -> None:
    threads: set[int] = set()

    def prepare(item: Item) -> Item:
        threads.add(threading.get_ident())
        return refuse_bad(item)

    assert await prepare_all(prepare, items(*range(50)), None, WHERE) == items(*range(0, 100, 2))
    assert threading.get_ident() not in threads


async def test_the_first_bad_item_is_named_and_the_rest_is_left_out(
    executor: ManualExecutor,
) -> None:
    begun: list[str] = []

    def prepare(item: Item) -> Item:
        begun.append(item["x"])
        return refuse_bad(item)

    task = asyncio.ensure_future(prepare_all(prepare, items("a", "bad", "c"), None, WHERE))
    await settle()
    executor.run_next()
    executor.run_next()

    with pytest.raises(InvalidInput) as caught:
        await task
    assert str(caught.value) == "item 1: not audio"
    await settle()
    assert executor.cancelled == 1
    assert begun == ["a", "bad"]


async def test_a_lone_bad_item_needs_no_number() -> None:
    with pytest.raises(InvalidInput, match=r"^not audio$"):
        await prepare_all(refuse_bad, items("bad"), None, WHERE)


async def test_several_bad_items_leave_no_error_unretrieved() -> None:
    with pytest.raises(InvalidInput, match=r"^item [012]: not audio$"):
        await prepare_all(refuse_bad, items("bad", "bad", "bad"), None, WHERE)


async def test_a_deadline_that_passes_does_not_wait_for_the_preparation(
    executor: ManualExecutor,
) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await prepare_all(refuse_bad, items("a", "b"), Deadline.after_ms(5), WHERE)

    assert str(caught.value) == f"{WHERE}: the deadline of 5 ms passed"
    await settle()
    assert executor.cancelled == 2


async def test_a_deadline_that_holds_changes_nothing() -> None:
    deadline = Deadline.after_ms(60_000)

    assert await prepare_all(refuse_bad, items(1, 2), deadline, WHERE) == items(2, 4)


async def test_a_cancelled_request_prepares_nothing_more(executor: ManualExecutor) -> None:
    task = asyncio.ensure_future(prepare_all(refuse_bad, items("a", "b", "c"), None, WHERE))
    await settle()
    executor.run_next()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()

    assert executor.cancelled == 2


async def test_an_unexpected_error_passes_as_it_is() -> None:
    def prepare(item: Item) -> Item:
        raise KeyError("audio")

    with pytest.raises(KeyError, match="audio"):
        await prepare_all(prepare, items("a", "b"), None, WHERE)
