"""Timers, the two loops and the sender, with a transport that answers when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph_clients.load.configuration import Target
from infergraph_clients.load.engine.loops import ClosedLoop, OpenLoop
from infergraph_clients.load.engine.plan import ClosedPlan, LoadPlan, OpenPlan
from infergraph_clients.load.engine.records import RecordBuffer
from infergraph_clients.load.engine.run import prepare
from infergraph_clients.load.engine.sender import Sender
from infergraph_clients.load.engine.timer import SpinningTimer, Timer, TimerDescriptor
from infergraph_clients.load.engine.worker import Failures
from infergraph_clients.transports import (
    Answer,
    Endpoint,
    Exchange,
    Route,
    Template,
    Transport,
    now_ns,
)
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration

MakeTimer = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Timer]


class Wire(Transport):
    """A transport. `answers`: whether each request is answered at once, in the loop's next turn.

    Attributes:
        sent: The exchanges, in the order in which they were sent.
        has_sent: Set by the first.
        most: The most that were in flight at once.
    """

    def __init__(self, answers: bool = True) -> None:
        super().__init__(Route(Endpoint.parse("http://h:1"), "m"))
        self.answers = answers
        self.sent: list[Exchange] = []
        self.has_sent = asyncio.Event()
        self.most = 0
        self.in_flight = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def ask(self, question: str, exchange: Exchange) -> None:
        raise AssertionError(question)

    def send(self, request: Template, exchange: Exchange) -> None:
        exchange.sent = now_ns()
        self.sent.append(exchange)
        self.has_sent.set()
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if self.answers:
            asyncio.get_running_loop().call_soon(self.answer, exchange, request.body)

    def answer(self, exchange: Exchange, body: bytes = b"x") -> None:
        self.in_flight -= 1
        exchange.finish(Outcome.OK, 200, body)


def sender_of(
    wire: Wire, timeout_s: float = 60, check: Any = "none", decode: Any = None
) -> tuple[Sender, RecordBuffer]:
    target = Target(url="http://h:1", model="m", timeout_s=timeout_s)
    requests, traced = (
        [Template("", b"", text) for text in texts]
        for texts in ([b"a", b"b"], [b"traced a", b"traced b"])
    )
    plan = LoadPlan(target, requests, traced, open_plan([]), 0, check, [], 0.0, 0.0)
    records = RecordBuffer(0, now_ns())
    return Sender(plan, wire, records, decode or _decode), records


def _decode(exchange: Exchange) -> Answer:
    return Answer([], {"trace": json.dumps({"body": exchange.body.decode()})})


def open_plan(times_ms: list[float]) -> OpenPlan:
    count = len(times_ms)
    return OpenPlan(
        np.array([round(time * 1e6) for time in times_ms]),
        np.arange(count, dtype=np.int32) % 2,
        np.arange(count) % 4 == 1,
        index_step=3,
    )


def closed_plan(**settings: Any) -> ClosedPlan:
    defaults: dict[str, Any] = {
        "users": 1,
        "samples": 1,
        "count": None,
        "think_s": 0.0,
        "think": "constant",
        "all_at_start": False,
        "order": "cycle",
        "traced": 0.0,
        "entropy": 0,
        "spawn_key": (),
        "first_index": 0,
        "index_step": 1,
    }
    return ClosedPlan(**{**defaults, **settings})


@pytest.mark.parametrize("make", [TimerDescriptor, SpinningTimer])
async def test_a_timer_calls_back_at_its_time_and_not_before(make: MakeTimer) -> None:
    called: asyncio.Queue[int] = asyncio.Queue()
    timer = make(asyncio.get_running_loop(), lambda: called.put_nowait(now_ns()))
    for wait_ns in (-1_000, 0, 300_000, 5_000_000):
        when = now_ns() + wait_ns
        timer.set(when)
        assert await called.get() >= when
    timer.close()
    assert called.empty()


@pytest.mark.parametrize("make", [TimerDescriptor, SpinningTimer])
async def test_a_later_time_replaces_an_earlier_one(make: MakeTimer) -> None:
    called: asyncio.Queue[int] = asyncio.Queue()
    timer = make(asyncio.get_running_loop(), lambda: called.put_nowait(now_ns()))
    timer.set(now_ns() + 10**12)
    when = now_ns() + 3_000_000
    timer.set(when)
    assert await called.get() >= when
    # One that is closed stays silent while another, set for later, calls back.
    timer.set(now_ns() + 1_000_000)
    timer.close()
    other = make(asyncio.get_running_loop(), lambda: called.put_nowait(0))
    other.set(now_ns() + 3_000_000)
    assert await called.get() == 0
    other.close()
    assert called.empty()


async def test_the_open_loop_sends_all_in_order_and_none_early() -> None:
    wire, plan = Wire(), open_plan([0, 0, 1, 1.5, 4])
    sender, _ = sender_of(wire)
    start = now_ns()
    loop = OpenLoop(plan, sender, start)
    await loop.run()
    await sender.wait_until_idle()
    assert [each.index for each in wire.sent] == [0, 3, 6, 9, 12]
    assert [each.intended - start for each in wire.sent] == plan.times.tolist()
    assert all(each.sent >= each.intended for each in wire.sent)
    sent, rows, traces = sender.take()
    assert (sent, rows["payload"].tolist()) == (5, [0, 1, 0, 1, 0])
    assert traces == b'[3, {"body": "traced b"}]\n'
    assert loop.unsent == 0


async def test_an_answer_that_nobody_checks_is_right_also_where_a_trace_was_asked_for() -> None:
    def decode(exchange: Exchange) -> Answer:
        raise ValueError("the answer has no outputs")

    for check, outcome in (("none", Outcome.OK), ("valid", Outcome.WRONG_ANSWER)):
        wire = Wire()
        sender, _ = sender_of(wire, check=check, decode=decode)
        sender.send(0, 0, True, now_ns())
        await sender.wait_until_idle()
        _, rows, traces = sender.take()
        assert (rows["outcome"].tolist(), traces) == ([outcome], b"")


async def test_what_is_late_is_sent_all_the_same() -> None:
    wire, plan = Wire(answers=False), open_plan([0.0] * 100)
    sender, _ = sender_of(wire)
    # The run began a second ago, and nothing has been answered.
    await OpenLoop(plan, sender, now_ns() - 10**9).run()
    assert len(wire.sent) == wire.most == 100
    assert all(each.sent - each.intended >= 10**9 for each in wire.sent)


async def test_an_open_loop_that_is_stopped() -> None:
    wire, plan = Wire(answers=False), open_plan([0, 10**6, 10**6])
    sender, records = sender_of(wire)
    loop = OpenLoop(plan, sender, now_ns())
    running = asyncio.ensure_future(loop.run())
    await wire.has_sent.wait()
    loop.stop()
    await running
    assert loop.unsent == 2
    sender.cancel_all()
    assert records.take()["outcome"].tolist() == [Outcome.CANCELLED]


async def test_a_request_without_an_answer_times_out_and_is_abandoned() -> None:
    wire, plan = Wire(answers=False), open_plan([0, 0])
    sender, records = sender_of(wire, timeout_s=0.02)
    abandoned: list[int] = []
    await OpenLoop(plan, sender, now_ns()).run()
    for exchange in wire.sent:
        exchange.abandon = lambda index=exchange.index: abandoned.append(index)  # type: ignore[misc]
    wire.answer(wire.sent[0])
    await sender.wait_until_idle()
    assert records.take()["outcome"].tolist() == [Outcome.OK, Outcome.TIMEOUT]
    assert abandoned == [3]
    # What comes after the end changes nothing.
    wire.answer(wire.sent[1])
    assert len(records) == 0
    assert sender.errors == {Outcome.TIMEOUT: {"no answer within 0.02 s": 1}}


async def run_closed(wire: Wire, plan: ClosedPlan, duration_ns: int = 10**12) -> RecordBuffer:
    sender, records = sender_of(wire)
    loop = ClosedLoop(plan, 2, sender, now_ns(), duration_ns)
    await loop.run()
    await sender.wait_until_idle()
    return records


async def test_users_of_a_closed_loop_wait_for_their_answers() -> None:
    wire = Wire()
    records = (await run_closed(wire, closed_plan(users=3, count=50, index_step=2))).take()
    assert wire.most == 3
    assert records["index"].tolist() == list(range(0, 100, 2))
    assert records["payload"].tolist() == [0, 1] * 25


@pytest.mark.parametrize(
    ("arrivals", "counts"),
    [
        ({"kind": "closed", "concurrency": 4, "count": 2}, [1, 1]),
        ({"kind": "closed", "concurrency": 2, "count": 9}, [5, 4]),
        ({"kind": "closed", "concurrency": 3}, [None, None, None]),
        ({"kind": "offline", "concurrency": 64, "count": 3}, [1, 1, 1]),
    ],
)
def test_every_process_has_users_and_a_share_of_the_count(
    tmp_path: Path, arrivals: dict[str, Any], counts: list[int | None]
) -> None:
    file = tmp_path / "request.json"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}
    file.write_text(json.dumps({"inputs": [tensor]}))
    settings = configuration(payload={"path": str(file)}, arrivals=arrivals, processes=4)
    loads = [plan.arrivals for plan in prepare(settings).plans]
    assert [load.count for load in loads if isinstance(load, ClosedPlan)] == counts
    assert all(isinstance(load, ClosedPlan) and load.users > 0 for load in loads)


async def test_answers_are_looked_at_while_many_users_send() -> None:
    wire = Wire()
    await run_closed(wire, closed_plan(users=1_000, count=1_000))
    assert len(wire.sent) == 1_000
    # Else the first answer would seem to have come after the last request.
    assert wire.most <= 64


@pytest.mark.parametrize("make", [TimerDescriptor, SpinningTimer])
async def test_a_time_that_has_passed_calls_back_in_another_turn(make: MakeTimer) -> None:
    called: asyncio.Queue[int] = asyncio.Queue()
    timer = make(asyncio.get_running_loop(), lambda: called.put_nowait(now_ns()))
    timer.set(now_ns() - 10**9)
    assert called.empty()
    await called.get()
    timer.close()


async def test_thinking_comes_between_an_answer_and_the_next_request() -> None:
    wire = Wire()
    records = (await run_closed(wire, closed_plan(think_s=0.002, count=5))).take()
    thought = records["intended_ns"][1:] - records["end_ns"][:-1]
    assert (thought == 2_000_000).all()


async def test_a_query_is_sent_at_once_and_awaited_whole() -> None:
    wire = Wire()
    records = (await run_closed(wire, closed_plan(samples=4, count=12))).take()
    assert wire.most == 4
    intended = records["intended_ns"].reshape(3, 4)
    assert (intended == intended[:, :1]).all()
    assert (intended[1:, 0] >= records["end_ns"].reshape(3, 4).max(axis=1)[:-1]).all()


async def test_all_requests_of_the_offline_scenario_are_meant_for_the_start() -> None:
    wire = Wire()
    records = (await run_closed(wire, closed_plan(users=8, count=30, all_at_start=True))).take()
    assert len(records) == 30
    assert wire.most == 8
    assert len(set(records["intended_ns"].tolist())) == 1


async def test_the_duration_ends_a_closed_loop_that_waits() -> None:
    wire = Wire(answers=False)
    sender, _ = sender_of(wire)
    await ClosedLoop(closed_plan(users=2), 2, sender, now_ns(), 3 * 10**8).run()
    assert len(wire.sent) == 2


async def test_a_failure_of_our_own_ends_the_work_and_one_of_others_does_not() -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(asyncio.Event().wait())
    failures = Failures(work)
    loop.set_exception_handler(failures.heard)
    noise = asyncio.Event()
    loop.call_soon(_fails_elsewhere, noise)
    await noise.wait()
    assert not work.done()
    # A transport that ends a request twice over is told nothing; a broken check ends the run.
    broken = Exchange(0, 0, False, 0, lambda exchange: exchange.nothing)  # type: ignore[attr-defined]
    loop.call_soon(broken.finish, Outcome.OK)
    with pytest.raises(asyncio.CancelledError):
        await work
    assert isinstance(failures.first, AttributeError)


def _fails_elsewhere(done: asyncio.Event) -> None:
    done.set()
    raise OSError("of gRPC's poller, for example")


async def test_thinking_past_the_end_of_the_run_ends_with_it() -> None:
    thinkers = closed_plan(users=2, think_s=1_800)
    # Whoever waited for the think time would wait for half an hour.
    records = await asyncio.wait_for(run_closed(Wire(), thinkers, 3 * 10**8), 30)
    assert len(records) == 2


async def test_requests_are_made_ready_in_parts() -> None:
    wire, plan = Wire(), open_plan([0.0] * 10_000)
    sender, records = sender_of(wire)
    loop = OpenLoop(plan, sender, now_ns())
    assert len(loop._chunk) < 5_000
    await loop.run()
    await sender.wait_until_idle()
    assert records.take()["index"].tolist() == list(range(0, 30_000, 3))
