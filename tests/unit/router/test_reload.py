"""Models and routers that are loaded anew, or unloaded, while requests run; and how many may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from infergraph import registry
from infergraph.errors import InfergraphError, InvalidInput, Overloaded, StageUnavailable
from infergraph.request import Deadline, RequestContext
from infergraph.router import PipelineRouter
from infergraph.v2 import Message
from tests.unit.router.world import CHAIN, Answer, Model, Never, mapping, request, values
from tests.unit.transports.peers import GrpcPeer

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]


class Held:
    """A model that answers, or raises, once it is released."""

    def __init__(self, error: InfergraphError | None = None) -> None:
        self.called = asyncio.Event()
        self.release = asyncio.Event()
        self._error = error

    async def __call__(self, message: Message, context: RequestContext) -> Message:
        self.called.set()
        await self.release.wait()
        if self._error is not None:
            raise self._error
        return message


def in_flight(pipeline: str) -> float | None:
    return REGISTRY.get_sample_value("infergraph_pipeline_in_flight", {"pipeline": pipeline})


def errors(pipeline: str, error: type[InfergraphError]) -> float:
    labels = {"pipeline": pipeline, "error": error.__name__}
    return REGISTRY.get_sample_value("infergraph_pipeline_errors_total", labels) or 0


def begin(router: PipelineRouter, context: RequestContext | None = None) -> asyncio.Task[Message]:
    return asyncio.create_task(router.infer(request(1), context or RequestContext()))


class TestModel:
    @pytest.mark.parametrize("kind", [StageUnavailable, Overloaded])
    async def test_a_call_that_an_old_instance_gave_up_goes_to_the_new_one(
        self, serve: Serve, chain: PipelineRouter, kind: type[InfergraphError]
    ) -> None:
        old = Held(kind("it is being unloaded"))
        serve("negate", old)
        call = begin(chain)
        await old.called.wait()
        new = serve("negate", mapping(np.negative))
        old.release.set()
        assert values(await call) == {"x": [-2]}
        assert len(new.messages) == 1

    async def test_it_goes_there_once(self, serve: Serve, chain: PipelineRouter) -> None:
        old, new = Held(StageUnavailable("old")), Held(StageUnavailable("new"))
        serve("negate", old)
        call = begin(chain)
        await old.called.wait()
        serve("negate", new)
        old.release.set()
        await new.called.wait()
        newest = serve("negate", mapping(np.negative))
        new.release.set()
        with pytest.raises(StageUnavailable, match=r"step 'negate' \(in process\): new$"):
            await call
        assert newest.messages == []

    async def test_without_a_new_instance_the_call_fails_as_it_did(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        for unregister in (False, True):
            held = Held(StageUnavailable("it is being unloaded"))
            model = serve("negate", held)
            call = begin(chain)
            await held.called.wait()
            if unregister:
                registry.unregister(model)
            held.release.set()
            with pytest.raises(StageUnavailable, match="it is being unloaded"):
                await call
            assert len(model.messages) == 1

    async def test_what_a_new_instance_would_refuse_too_is_not_sent_to_it(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        old = Held(InvalidInput("no"))
        serve("double", old)
        call = begin(chain)
        await old.called.wait()
        new = serve("double", mapping(np.negative))
        old.release.set()
        with pytest.raises(InvalidInput, match="no"):
            await call
        assert new.messages == []


class TestUnload:
    async def test_requests_in_flight_are_answered_and_new_ones_are_not_taken(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        held = Held()
        serve("negate", held)
        call = begin(chain)
        await held.called.wait()
        unload = asyncio.create_task(chain.unload())
        await asyncio.sleep(0)

        with pytest.raises(StageUnavailable, match="pipeline 'chain' is being unloaded"):
            await chain.infer(request(1), RequestContext())
        assert registry.find("chain") is None
        assert not unload.done()

        held.release.set()
        assert values(await call) == {"x": [2]}
        assert await unload
        with pytest.raises(StageUnavailable, match="pipeline 'chain' is not loaded"):
            await chain.infer(request(1), RequestContext())

    @pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
    async def test_connections_stay_until_the_last_request_is_answered(
        self, serve: Serve, loaded: Load, grpc_peer: GrpcPeer
    ) -> None:
        held = Held()
        serve("double", held)
        router = await loaded("chain", CHAIN, endpoints={"negate": grpc_peer.url})
        calls = [begin(router) for _ in range(3)]
        await held.called.wait()
        unload = asyncio.create_task(router.unload())
        await asyncio.sleep(0)
        held.release.set()
        assert [values(each) for each in await asyncio.gather(*calls)] == [{"x": [1]}] * 3
        assert await unload

    async def test_it_waits_a_limited_time(
        self, serve: Serve, loaded: Load, grpc_peer: GrpcPeer
    ) -> None:
        held = Held()
        serve("double", held)
        router = await loaded("chain", CHAIN, endpoints={"negate": grpc_peer.url}, drain_ms=1)
        call = begin(router)
        await held.called.wait()
        assert await router.unload()
        held.release.set()
        with pytest.raises(StageUnavailable) as caught:
            await call
        assert str(caught.value) == "pipeline 'chain' was unloaded while the request ran"

    async def test_a_new_router_takes_over(self, serve: Serve, loaded: Load) -> None:
        held = Held()
        serve("double", held)
        serve("negate", mapping(np.negative))
        old = await loaded("chain", CHAIN)
        call = begin(old)
        await held.called.wait()
        new = await loaded("chain", CHAIN)
        unload = asyncio.create_task(old.unload())
        serve("double", mapping(lambda data: data * 3))
        assert registry.find("chain") is new
        assert values(await new.infer(request(1), RequestContext())) == {"x": [-3]}
        held.release.set()
        assert values(await call) == {"x": [-1]}
        assert await unload
        assert registry.find("chain") is new

    async def test_twice_at_once(self, serve: Serve, chain: PipelineRouter) -> None:
        held = Held()
        serve("double", held)
        call = begin(chain)
        await held.called.wait()
        both = asyncio.gather(chain.unload(), chain.unload())
        held.release.set()
        await call
        assert await both == [True, True]


class TestInFlight:
    async def test_no_more_than_the_setting_says(self, serve: Serve, loaded: Load) -> None:
        held = Held()
        serve("double", held)
        serve("negate", mapping(np.negative))
        router = await loaded("chain", CHAIN, max_in_flight=2)
        refused = errors("chain", Overloaded)
        calls = [begin(router) for _ in range(2)]
        await held.called.wait()
        assert in_flight("chain") == 2

        with pytest.raises(Overloaded) as caught:
            await router.infer(request(1), RequestContext())
        assert str(caught.value) == (
            "pipeline 'chain': 2 requests are in flight; accepted: at most 2 at once "
            "(setting 'max_in_flight'); try again later"
        )
        assert errors("chain", Overloaded) == refused + 1

        held.release.set()
        assert [values(each) for each in await asyncio.gather(*calls)] == [{"x": [-1]}] * 2
        assert in_flight("chain") == 0
        assert values(await router.infer(request(2), RequestContext())) == {"x": [-2]}

    @pytest.mark.parametrize("deadline_ms", [None, 10.0])
    async def test_those_that_end_otherwise_leave_room(
        self, serve: Serve, loaded: Load, deadline_ms: float | None
    ) -> None:
        router = await loaded("chain", CHAIN, max_in_flight=1)
        for _ in range(3):
            never = Never()
            serve("double", never)
            deadline = None if deadline_ms is None else Deadline.after_ms(deadline_ms)
            call = begin(router, RequestContext(deadline))
            await never.called.wait()
            if deadline is None:
                call.cancel()
            result: Any = await asyncio.gather(call, return_exceptions=True)
            assert not isinstance(result[0], (Message, Overloaded))
            assert never.cancelled
        assert in_flight("chain") == 0

    async def test_errors_are_counted_by_class(self, serve: Serve, chain: PipelineRouter) -> None:
        before = errors("chain", InvalidInput)
        with pytest.raises(InvalidInput):
            await chain.infer(request(1, **{"nobody.beams": 1}), RequestContext())
        assert errors("chain", InvalidInput) == before + 1
