from __future__ import annotations

import asyncio
import contextvars

import pytest

from infergraph.request import Deadline
from infergraph.router.expiry import Expired, within

LATER = Deadline.after_ms(3_600_000)


class Work:
    """A coroutine that waits until it is released, and knows how it ended."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.end = "not yet"

    async def run(self) -> str:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.end = "cancelled"
            raise
        self.end = "done"
        return "result"


def nothing() -> None:
    pass


async def test_the_result_comes_through() -> None:
    work = Work()
    work.release.set()
    assert await within(LATER, work.run(), nothing) == "result"


async def test_an_error_comes_through() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        await within(LATER, fail(), nothing)


async def test_no_timer_is_left() -> None:
    loop = asyncio.get_running_loop()
    before = len(loop._scheduled)  # type: ignore[attr-defined]
    work = Work()
    work.release.set()
    await within(LATER, work.run(), nothing)
    live = [each for each in loop._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
    assert len(live) <= before


async def test_on_expiry_the_work_is_cancelled_before_it_is_reported() -> None:
    work = Work()
    states: list[str] = []
    with pytest.raises(Expired):
        await within(Deadline.after_ms(20), work.run(), lambda: states.append(work.end))
    assert states == ["not yet"]
    assert work.end == "cancelled"


class SlowToEnd:
    """A coroutine whose clean-up takes several turns of the event loop."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cleaned = False

    async def run(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.cleaned = True


async def test_expiry_waits_for_the_work_s_clean_up() -> None:
    work = SlowToEnd()
    with pytest.raises(Expired):
        await within(Deadline.after_ms(20), work.run(), nothing)
    assert work.cleaned


async def test_cancellation_waits_for_the_work_s_clean_up() -> None:
    work = SlowToEnd()
    caller = asyncio.create_task(within(LATER, work.run(), nothing))
    await work.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.cleaned


async def test_a_deadline_that_passed_starts_nothing() -> None:
    work = Work()
    with pytest.raises(Expired):
        await within(Deadline(0.0, 5), work.run(), nothing)
    assert not work.started.is_set()


async def test_cancelling_the_caller_cancels_the_work_and_is_no_expiry() -> None:
    work = Work()
    caller = asyncio.create_task(within(LATER, work.run(), nothing))
    await work.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.end == "cancelled"


async def test_a_cancellation_at_the_moment_of_expiry_is_not_swallowed() -> None:
    work = Work()
    caller: asyncio.Task[str] | None = None

    def cancel_caller() -> None:
        assert caller is not None
        caller.cancel()

    caller = asyncio.create_task(within(Deadline.after_ms(20), work.run(), cancel_caller))
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.end == "cancelled"


async def test_work_that_cancels_itself_is_no_expiry() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await within(LATER, work(), nothing)


async def test_context_variables_reach_the_work() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")

    async def work() -> str:
        return variable.get()

    assert await within(LATER, work(), nothing) == "seen"
