from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infergraph_clients.errors import ClientError, ServerError, Unreachable, UsageError
from infergraph_clients.video.engine import (
    HELD_PER_IN_FLIGHT,
    Engine,
    NothingAnswered,
    ServerGone,
)
from infergraph_clients.video.frames import Frame, InputError, Result, UnreadableFrame
from infergraph_clients.video.output import OutputError
from infergraph_clients.video.tally import Tally
from tests.unit.video.runs import Frames, Run, Server, findings, frame

BUSY = ServerError("503", "busy")


async def test_answers_out_of_order_are_written_in_order() -> None:
    server = Server()
    run = Run(server, Frames(3), in_flight=3)
    await server.in_flight(0, 1, 2)
    for index in (2, 1):
        server.answer(index)
    await server.in_flight(0)
    assert run.pages.indices == []
    server.answer(0)
    await run.task
    assert run.pages.indices == [0, 1, 2]
    assert [result.findings and result.findings.count for result in run.pages.results] == [0, 1, 2]


async def test_no_more_in_flight_than_asked_for() -> None:
    server = Server()
    run = Run(server, Frames(9), in_flight=3)
    for index in range(9):
        await server.in_flight(*range(index, min(index + 3, 9)))
        server.answer(index)
    await run.task
    assert server.most == run.tally.most_in_flight == 3
    assert run.pages.indices == list(range(9))


async def test_a_slow_frame_holds_up_the_reading() -> None:
    server, frames = Server(), Frames()
    run = Run(server, frames, in_flight=2)
    held = HELD_PER_IN_FLIGHT * 2
    for index in range(1, held):
        await server.in_flight(0, index)
        server.answer(index)
    # Frame 0 is not answered, so none of those that were read can be let go.
    await server.in_flight(0)
    for _ in range(20):
        # Time enough for the thread that reads, if it would.
        await asyncio.to_thread(int)
    assert frames.read == held
    run.stop.set()
    await run.task


async def test_a_slow_writer_holds_up_the_reading() -> None:
    server, frames = Server(), Frames()
    run = Run(server, frames, in_flight=2)
    run.pages.gate.clear()
    held = HELD_PER_IN_FLIGHT * 2
    for index in range(held):
        await server.in_flight(*range(index, min(index + 2, held)))
        server.answer(index)
    await asyncio.to_thread(run.pages.began.wait)
    await server.in_flight()
    assert (frames.read, run.pages.indices) == (held, [])
    run.pages.gate.set()
    await server.in_flight(held, held + 1)
    run.stop.set()
    await run.task
    assert run.pages.indices == list(range(held))


async def test_a_frame_that_fails_keeps_its_place() -> None:
    server = Server()
    run = Run(server, Frames(3), in_flight=3)
    await server.in_flight(0, 1, 2)
    server.answer(0)
    server.answer(1, BUSY)
    server.answer(2)
    await run.task
    assert [result.error for result in run.pages.results] == [None, BUSY, None]
    assert run.tally.errors == {"503": 1}
    assert len(run.tally.latencies) == 2


async def test_failures_before_the_first_answer_are_written_after_it() -> None:
    server = Server()
    run = Run(server, Frames(3), in_flight=3)
    await server.in_flight(0, 1, 2)
    server.answer(0, BUSY)
    server.answer(1, BUSY)
    await server.in_flight(2)
    assert run.pages.indices == []
    server.answer(2)
    await run.task
    assert run.pages.indices == [0, 1, 2]


@pytest.mark.parametrize("count", [3, None], ids=["all frames", "the first frames"])
async def test_nothing_is_written_if_the_first_frames_all_fail(count: int | None) -> None:
    server = Server()
    run = Run(server, Frames(count), in_flight=3)
    await server.in_flight(0, 1, 2)
    for index in range(3):
        server.answer(index, ServerError("400", f"frame {index}"))
    text = "none of the first 3 frames was answered; the first: 400: frame 0"
    with pytest.raises(NothingAnswered, match=text) as caught:
        await run.task
    assert caught.value.exit_status == 2
    assert run.pages.indices == []
    assert server.waiting == {}


async def test_one_frame_that_fails_is_all_of_them() -> None:
    server = Server()
    run = Run(server, Frames(1), in_flight=3)
    await server.in_flight(0)
    server.answer(0, BUSY)
    with pytest.raises(NothingAnswered, match="the first frame was not answered: 503: busy"):
        await run.task


async def test_a_server_that_is_gone_ends_the_run() -> None:
    server = Server()
    run = Run(server, Frames(), in_flight=2)
    await server.in_flight(0, 1)
    server.answer(0)
    for index in (1, 2):
        await server.in_flight(index, index + 1)
        server.answer(index, Unreachable("no connection"))
    with pytest.raises(ServerGone, match="no connection; frame 2 is the last one") as caught:
        await run.task
    assert caught.value.exit_status == 1
    assert run.pages.indices == [0, 1, 2]


async def test_a_connection_lost_for_a_while_is_an_error_of_its_frames() -> None:
    server = Server()
    run = Run(server, Frames(5), in_flight=2)
    lost = (1, 3)
    for index in range(5):
        await server.in_flight(*range(index, min(index + 2, 5)))
        server.answer(index, Unreachable("no connection") if index in lost else None)
    await run.task
    assert [result.frame.index for result in run.pages.results if result.error] == list(lost)


async def test_when_stopped_what_was_answered_without_a_gap_is_written() -> None:
    server = Server()
    run = Run(server, Frames(), in_flight=3)
    await server.in_flight(0, 1, 2)
    server.answer(0)
    await server.in_flight(1, 2, 3)
    server.answer(2)
    await server.in_flight(1, 3, 4)
    run.stop.set()
    await run.task
    assert run.pages.indices == [0]
    assert sorted(server.cancelled) == [1, 3, 4]


async def test_when_stopped_while_writing_what_is_being_written_is_finished() -> None:
    server = Server()
    run = Run(server, Frames(), in_flight=1)
    run.pages.gate.clear()
    await server.in_flight(0)
    server.answer(0)
    await asyncio.to_thread(run.pages.began.wait)
    await server.in_flight(1)
    run.stop.set()
    run.pages.gate.set()
    await run.task
    assert run.pages.indices == [0]


async def test_stopped_before_anything_is_answered() -> None:
    server = Server()
    run = Run(server, Frames(), in_flight=2)
    await server.in_flight(0, 1)
    run.stop.set()
    await run.task
    assert run.pages.indices == []


class Broken(Frames):
    """Ends with an error."""

    def __init__(self, count: int, error: Exception) -> None:
        super().__init__(count)
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise self._error


@pytest.mark.parametrize("error", [InputError("broken"), RuntimeError("a bug")])
async def test_what_was_read_before_the_input_broke_is_written(error: Exception) -> None:
    server = Server()
    run = Run(server, Broken(2, error), in_flight=4)
    await server.in_flight(0, 1)
    server.answer(1)
    server.answer(0)
    with pytest.raises(type(error), match=str(error)):
        await run.task
    assert run.pages.indices == [0, 1]


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        (Frames(0), UsageError("the input has no frames")),
        (Broken(0, InputError("broken")), InputError("broken")),
    ],
)
async def test_no_frames(frames: Frames, error: ClientError) -> None:
    run = Run(Server(), frames, in_flight=4)
    with pytest.raises(type(error), match=str(error)):
        await run.task


async def test_an_unreadable_frame_is_not_sent() -> None:
    async def ask(sent: Frame) -> object:
        assert sent.index != 1
        return findings(sent.index)

    frames = [frame(0), Frame(1, 0.1, "b", problem=UnreadableFrame("b.jpg: broken")), frame(2)]
    written: list[Result] = []
    tally = Tally()
    engine = Engine(ask, written.append, 1, tally)  # type: ignore[arg-type]
    await engine.run(iter(frames), asyncio.Event())
    assert [str(result.error) for result in written] == ["None", "b.jpg: broken", "None"]
    assert tally.errors == {"UnreadableFrame": 1}


def unreadable(index: int) -> Frame:
    return Frame(index, index / 10, "b", problem=UnreadableFrame(f"{index}.jpg: broken"))


async def test_unreadable_frames_say_nothing_of_the_server() -> None:
    """However many come first, and in whatever memory holds."""

    async def ask(sent: Frame) -> object:
        return findings(sent.index)

    many = 10 * HELD_PER_IN_FLIGHT
    frames = [*map(unreadable, range(many)), frame(many)]
    written: list[Result] = []
    engine = Engine(ask, written.append, 1, Tally())  # type: ignore[arg-type]
    await engine.run(iter(frames), asyncio.Event())
    assert [result.frame.index for result in written] == list(range(many + 1))
    assert [result.error is None for result in written] == [*[False] * many, True]


async def test_the_first_frames_that_were_sent_decide() -> None:
    async def ask(sent: Frame) -> object:
        raise BUSY

    frames = [unreadable(0), frame(1), unreadable(2), frame(3), frame(4)]
    engine = Engine(ask, [].append, 2, Tally())  # type: ignore[arg-type]
    text = "none of the first 2 frames was answered; the first: 503: busy"
    with pytest.raises(NothingAnswered, match=text):
        await engine.run(iter(frames), asyncio.Event())


async def test_a_server_is_gone_whatever_cannot_be_read_between() -> None:
    async def ask(sent: Frame) -> object:
        if sent.index:
            raise Unreachable("no connection")
        return findings(0)

    frames = [frame(0), frame(1), unreadable(2), frame(3), frame(4)]
    written: list[Result] = []
    engine = Engine(ask, written.append, 2, Tally())  # type: ignore[arg-type]
    with pytest.raises(ServerGone, match="frame 3 is the last one"):
        await engine.run(iter(frames), asyncio.Event())
    assert [result.frame.index for result in written] == [0, 1, 2, 3]


async def test_an_output_that_cannot_be_written_ends_the_run() -> None:
    server = Server()

    def write(result: Result) -> None:
        raise OutputError("out.mp4: no space left")

    engine = Engine(server.ask, write, 2, Tally())
    task = asyncio.ensure_future(engine.run(iter(Frames()), asyncio.Event()))
    await server.in_flight(0, 1)
    server.answer(0)
    with pytest.raises(OutputError, match="no space left"):
        await task
    assert server.waiting == {}


def test_summary() -> None:
    tally = Tally()
    for seconds, error in ((0.010, None), (0.030, None), (0.020, BUSY), (0.020, BUSY)):
        tally.sent()
        tally.answered(Result(frame(0), seconds, error=error))
        tally.written()
    summary = tally.summary(1234)
    assert summary.startswith("4 frames in ")
    assert summary.endswith("; 1,234 objects; latency p50 20.0 ms, p95 29.0 ms; 2 errors (503: 2)")
