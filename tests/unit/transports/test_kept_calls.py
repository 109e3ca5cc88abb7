"""Hops over gRPC calls that stay open, to a front door as it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from infergraph.errors import (
    DeadlineExceeded,
    Forbidden,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    StageUnavailable,
    TooLarge,
    UnknownModel,
)
from infergraph.front_door.grpc_servicer import GrpcServicer
from infergraph.request import Deadline, RequestContext
from infergraph.transports import Transport, connect, kept_calls
from infergraph.v2 import Message, Tensor, schema
from tests.unit.front_door.front import Echo, Front, Mirror, serving
from tests.unit.transports.peers import GrpcPeer

_LONGEST_SECONDS = 30.0


def numbers(*values: float) -> Message:
    return Message([Tensor.of("x", np.array([values]))], str(values))


class Place:
    """A front door and the way to it; counts the calls of either kind that its server gets."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.kept = self.unary = 0
        self.servicer = GrpcServicer(front.desk)

    async def start(self) -> None:
        place = self

        class Counting(grpc.aio.ServerInterceptor):  # type: ignore[misc]
            async def intercept_service(self, continuation: Any, details: Any) -> Any:
                place.kept += details.method.startswith(f"/{schema.HOP_SERVICE}/")
                place.unary += details.method.endswith("/ModelInfer")
                return await continuation(details)

        self.server = grpc.aio.server(interceptors=[Counting()])
        self.server.add_generic_rpc_handlers(tuple(self.servicer.handlers()))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.transport: Transport = connect(f"grpc://127.0.0.1:{self.port}")

    async def infer(self, message: Message, model: str = "echo", **context: Any) -> Message:
        # Answers that are swapped are waited for by nobody's call.
        answering = self.transport.infer(model, message, RequestContext(**context))
        return await asyncio.wait_for(answering, _LONGEST_SECONDS)

    async def stop(self) -> None:
        await self.transport.close()
        await self.server.stop(None)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with serving(tmp_path, {}) as front:
        place = Place(front)
        await place.start()
        yield place
        await place.stop()


async def test_one_call_serves_requests_one_after_the_other(place: Place) -> None:
    await place.front.load(Echo)
    for number in range(20):
        answer = await place.infer(numbers(number))
        np.testing.assert_array_equal(answer.tensors[0].data, [[number]])
        assert answer.id == str((number,))

    assert (place.kept, place.unary) == (1, 0)


async def test_requests_at_once_never_share_a_call_or_swap_answers(place: Place) -> None:
    await place.front.load(Echo)

    async def caller(caller: int) -> None:
        for number in range(50):
            answer = await place.infer(numbers(caller, number))
            np.testing.assert_array_equal(answer.tensors[0].data, [[caller, number]])

    await asyncio.gather(*map(caller, range(16)))

    assert 1 < place.kept <= 16
    assert place.unary == 0


async def test_what_accompanies_a_request_reaches_the_model(place: Place) -> None:
    model = await place.front.load(Echo)

    await place.infer(numbers(1), headers={"x-tenant": "a"}, deadline=Deadline.after_ms(60_000))
    await place.infer(numbers(1), headers={"x-tenant": "b"})

    first, second = model.contexts
    assert (first.headers["x-tenant"], second.headers["x-tenant"]) == ("a", "b")
    assert 50 < first.deadline.remaining() <= 60
    assert second.deadline is None


async def test_a_model_that_is_not_ours_answers(place: Place) -> None:
    await place.front.load(Mirror)

    answer = await place.infer(numbers(1), "mirror", headers={"x-tenant": "a"})

    assert b'"x-tenant": "a"' in answer.tensors[0].data[0]
    assert place.kept == 1


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("not so"),
        Rejected("not that"),
        MalformedRequest("contradiction"),
        TooLarge("too much"),
        Forbidden("not you"),
        UnknownModel("none"),
        Overloaded("full"),
        StageUnavailable("away"),
        DeadlineExceeded("late"),
        StageFailure("broken " + "é" * 3000),
        ValueError("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_are_those_of_a_call_of_its_own(place: Place, error: Exception) -> None:
    model = await place.front.load(Echo)
    model.error = error
    raised = []
    for _ in range(2):
        with pytest.raises(InfergraphError) as caught:
            await place.infer(numbers(1))
        raised.append((type(caught.value), str(caught.value)))
        place.transport._transport._kept._is_known = False  # type: ignore[attr-defined]
    assert raised[0] == raised[1]
    assert (place.kept, place.unary) == (1, 1)


async def test_a_call_goes_on_after_an_error(place: Place) -> None:
    model = await place.front.load(Echo)
    model.error = InvalidInput("not so")
    with pytest.raises(InvalidInput, match="not so"):
        await place.infer(numbers(1))
    model.error = None

    answer = await place.infer(numbers(2))

    np.testing.assert_array_equal(answer.tensors[0].data, [[2]])
    assert place.kept == 1


async def test_the_deadline_ends_a_request_on_both_sides(place: Place) -> None:
    model = await place.front.load(Echo)
    model.gate = asyncio.Event()

    with pytest.raises(DeadlineExceeded, match="deadline of 50 ms"):
        await place.infer(numbers(1), deadline=Deadline.after_ms(50))

    await model.ended.wait()
    model.gate.set()
    np.testing.assert_array_equal((await place.infer(numbers(2))).tensors[0].data, [[2]])
    assert place.kept == 2


async def test_cancelling_reaches_the_server_and_leaves_no_answer_behind(place: Place) -> None:
    model = await place.front.load(Echo)
    await place.infer(numbers(0))
    model.gate, model.entered = asyncio.Event(), asyncio.Event()
    model.ended.clear()
    task = asyncio.create_task(place.infer(numbers(1)))
    await model.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await model.ended.wait()
    model.gate.set()
    np.testing.assert_array_equal((await place.infer(numbers(2))).tensors[0].data, [[2]])


async def test_a_server_that_stops_ends_idle_calls_and_answers_the_others(place: Place) -> None:
    model = await place.front.load(Echo)
    await asyncio.gather(place.infer(numbers(0)), place.infer(numbers(0)))
    model.gate, model.entered = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(place.infer(numbers(1)))
    await model.entered.wait()

    place.servicer.end_idle_calls()
    stopping = asyncio.create_task(place.server.stop(60))
    model.gate.set()

    np.testing.assert_array_equal((await running).tensors[0].data, [[1]])
    # At once: no call is left that the server would wait for.
    await asyncio.wait_for(stopping, 30)
    with pytest.raises(StageUnavailable, match=f"127.0.0.1:{place.port} is unavailable"):
        await place.infer(numbers(2))


async def test_a_request_to_a_call_that_the_server_ends_meanwhile_is_answered(
    place: Place,
) -> None:
    await place.front.load(Echo)
    await place.infer(numbers(0))
    place.servicer.end_idle_calls()

    np.testing.assert_array_equal((await place.infer(numbers(1))).tensors[0].data, [[1]])

    assert place.unary == 1


async def test_large_requests_take_a_call_of_their_own(place: Place) -> None:
    await place.front.load(Echo)
    values = np.arange(100_000.0)

    answer = await place.infer(Message([Tensor.of("x", values)]))

    np.testing.assert_array_equal(answer.tensors[0].data, values)
    assert (place.kept, place.unary) == (0, 1)


async def test_a_call_is_not_kept_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.front.load(Echo)
    monkeypatch.setattr(kept_calls, "_LONGEST_SECONDS", 0.0)
    for _ in range(3):
        await place.infer(numbers(1))

    assert (place.kept, place.unary) == (3, 0)


async def test_a_key_is_asked_for_with_each_request(tmp_path: Path) -> None:
    async with serving(tmp_path, {"inference_keys": ["a right and long key"]}) as front:
        await front.load(Echo)
        place = Place(front)
        await place.start()
        try:
            for key, error in (
                ("a right and long key", None),
                ("another and long key", StageFailure),
            ):
                transport = connect(f"grpc://127.0.0.1:{place.port}", key)
                kept = place.kept
                if error is None:
                    await transport.infer("echo", numbers(1), RequestContext())
                    assert place.kept == kept + 1
                else:
                    with pytest.raises(error):
                        await transport.infer("echo", numbers(1), RequestContext())
                await transport.close()
        finally:
            await place.stop()


async def test_a_server_that_announces_it_in_vain_gets_calls_of_their_own(
    grpc_peer: GrpcPeer, over_grpc: Transport
) -> None:
    grpc_peer.extensions = [schema.KEPT_CALLS_EXTENSION]
    for number in range(3):
        answer = await over_grpc.infer("m", numbers(number), RequestContext())
        np.testing.assert_array_equal(answer.tensors[0].data, [[number]])

    assert len(grpc_peer.requests) == 3
    assert grpc_peer.asked_for_extensions == 1


async def test_a_server_that_is_killed_makes_its_step_unavailable(place: Place) -> None:
    model = await place.front.load(Echo)
    model.gate = asyncio.Event()
    running = asyncio.create_task(place.infer(numbers(1)))
    await model.entered.wait()

    await place.server.stop(None)

    with pytest.raises((StageUnavailable, StageFailure)):
        await running
