from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from infergraph.batching import check_wanted
from infergraph.errors import DeadlineExceeded, InvalidInput, Overloaded, StageUnavailable
from infergraph.request import Deadline
from infergraph.runtime import preparation
from infergraph.runtime.items import Item
from infergraph.runtime.preparation import Preparation
from tests.unit.batching.manual_executor import ManualExecutor
from tests.unit.batching.workbench import SetDeadline
from tests.unit.runtime.workbench import settle

WHERE = "model 'asr'"


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> ManualExecutor:
    executor = ManualExecutor()
    monkeypatch.setattr(preparation, "preparation_pool", lambda: executor)
    monkeypatch.setattr(preparation, "_AT_ONCE", 3)
    return executor


def items(*values: Any) -> list[Item]:
    return [{"x": value} for value in values]


async def prepare_all(
    prepare: Callable[[Item], Item], values: list[Item], deadline: Deadline | None = None
) -> list[Item]:
    return await Preparation(WHERE).prepare_all(prepare, values, deadline)


def refuse_bad(item: Item) -> Item:
    if item["x"] == "bad":
        raise InvalidInput("not audio")
    return {"x": item["x"] * 2}


async def test_items_come_back_in_order_and_from_other_threads() -> None:
    threads: set[int] = set()

    def prepare(item: Item) -> Item:
        threads.add(threading.get_ident())
        return refuse_bad(item)

    assert await prepare_all(prepare, items(*range(50))) == items(*range(0, 100, 2))
    assert threading.get_ident() not in threads


async def test_the_first_bad_item_is_named_and_the_rest_is_left_out(
    executor: ManualExecutor,
) -> None:
    begun: list[str] = []

    def prepare(item: Item) -> Item:
        begun.append(item["x"])
        return refuse_bad(item)

    task = asyncio.ensure_future(prepare_all(prepare, items("a", "bad", "c")))
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
        await prepare_all(refuse_bad, items("bad"))


async def test_several_bad_items_leave_no_error_unretrieved() -> None:
    with pytest.raises(InvalidInput, match=r"^item [012]: not audio$"):
        await prepare_all(refuse_bad, items("bad", "bad", "bad"))


async def test_a_deadline_that_passes_does_not_wait_for_the_preparation(
    executor: ManualExecutor,
) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await prepare_all(refuse_bad, items("a", "b"), Deadline.after_ms(5))

    assert str(caught.value) == f"{WHERE}: the deadline of 5 ms passed"
    await settle()
    assert executor.cancelled == 2


async def test_a_deadline_that_holds_changes_nothing() -> None:
    deadline = Deadline.after_ms(60_000)

    assert await prepare_all(refuse_bad, items(1, 2), deadline) == items(2, 4)


async def test_a_cancelled_request_prepares_nothing_more(executor: ManualExecutor) -> None:
    task = asyncio.ensure_future(prepare_all(refuse_bad, items("a", "b", "c")))
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
        await prepare_all(prepare, items("a", "b"))


async def test_a_request_hands_over_a_few_items_at_a_time(executor: ManualExecutor) -> None:
    many = asyncio.ensure_future(prepare_all(refuse_bad, items(*range(10))))
    await settle()
    one = asyncio.ensure_future(prepare_all(refuse_bad, items(100)))
    await settle()
    assert executor.held == 4

    # The other request waits behind three of the ten, not behind all.
    for _ in range(4):
        executor.run_next()
        await settle()
    assert await one == items(200)
    assert not many.done()

    while executor.held:
        executor.run_next()
        await settle()
    assert await many == items(*range(0, 20, 2))


@pytest.mark.parametrize("ended_by", ["a bad item", "its caller", "its deadline"])
async def test_nothing_more_begins_once_a_request_is_over(
    executor: ManualExecutor, ended_by: str
) -> None:
    begun: list[Any] = []

    def prepare(item: Item) -> Item:
        begun.append(item["x"])
        return refuse_bad(item)

    deadline = Deadline.after_ms(5) if ended_by == "its deadline" else None
    first = "bad" if ended_by == "a bad item" else "a"
    task = asyncio.ensure_future(prepare_all(prepare, items(first, *"bcdefg"), deadline))
    await settle()
    if ended_by != "its deadline":
        executor.run_next()
    if ended_by == "its caller":
        task.cancel()
    with pytest.raises((InvalidInput, DeadlineExceeded, asyncio.CancelledError)):
        await task
    await settle()

    assert executor.held == executor.cancelled
    assert begun == ([] if ended_by == "its deadline" else [first])


async def test_too_little_memory_is_no_fault_of_the_item() -> None:
    def prepare(item: Item) -> Item:
        raise MemoryError

    with pytest.raises(Overloaded) as caught:
        await prepare_all(prepare, items("large"))

    assert str(caught.value) == "there is not enough memory to decode it now; try again later"
    assert caught.value.cause == "memory"


async def test_closing_takes_the_errors_of_what_nobody_waits_for() -> None:
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: logged.append(context))
    entered, released = threading.Event(), threading.Event()

    def prepare(item: Item) -> Item:
        entered.set()
        assert released.wait(timeout=60)
        raise InvalidInput("not audio")

    preparation_ = Preparation(WHERE)
    request = asyncio.ensure_future(preparation_.prepare_all(prepare, items("a"), None))
    await asyncio.to_thread(entered.wait, 60)
    request.cancel()
    closing = asyncio.ensure_future(preparation_.close())
    await settle()
    released.set()
    await closing
    del request, closing
    await settle()
    gc.collect()

    assert logged == []


async def test_closing_waits_for_what_runs_and_begins_no_more() -> None:
    entered, released = threading.Event(), threading.Event()
    prepared: list[Any] = []

    def prepare(item: Item) -> Item:
        entered.set()
        assert released.wait(timeout=60)
        prepared.append(item["x"])
        return item

    preparation_ = Preparation(WHERE)
    running = asyncio.ensure_future(preparation_.prepare_all(prepare, items(*range(50)), None))
    await asyncio.to_thread(entered.wait, 60)
    closing = asyncio.ensure_future(preparation_.close())
    await settle()
    assert not closing.done()

    released.set()
    await closing
    count = len(prepared)
    with pytest.raises(StageUnavailable, match=f"^(item [0-9]+: )?{WHERE}: it is being unloaded$"):
        await running
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await preparation_.prepare_all(prepare, items("late"), None)
    assert len(prepared) == count < 50


@pytest.mark.parametrize(
    ("ended_by", "kind"),
    [
        ("its caller", asyncio.CancelledError),
        ("a bad item", InvalidInput),
        ("its deadline", DeadlineExceeded),
        ("an unload", StageUnavailable),
    ],
)
async def test_an_item_that_is_being_prepared_ends_with_its_request(
    ended_by: str, kind: type[BaseException]
) -> None:
    entered, over, ended = threading.Event(), threading.Event(), threading.Event()
    steps: list[int] = []

    deadline = SetDeadline()

    def prepare(item: Item) -> Item:
        if item["x"] == "bad":
            assert entered.wait(timeout=60)
            raise InvalidInput("not audio")
        entered.set()
        assert over.wait(timeout=60)
        try:
            for step in range(3):
                check_wanted()
                steps.append(step)
        finally:
            ended.set()
        return item

    preparation_ = Preparation(WHERE)
    values = items("a", "bad") if ended_by == "a bad item" else items("a")
    task = asyncio.ensure_future(preparation_.prepare_all(prepare, values, deadline))
    await asyncio.to_thread(entered.wait, 60)
    closing = None
    if ended_by == "its caller":
        task.cancel()
    elif ended_by == "an unload":
        closing = asyncio.ensure_future(preparation_.close())
        await settle()
    elif ended_by == "a bad item":
        await asyncio.wait([task])
    else:
        deadline.set(0.0)
    over.set()
    if closing is not None:
        await closing
    with pytest.raises(
        (InvalidInput, DeadlineExceeded, StageUnavailable, asyncio.CancelledError)
    ) as caught:
        await task

    assert type(caught.value) is kind
    assert await asyncio.to_thread(ended.wait, 60)
    assert steps == []
