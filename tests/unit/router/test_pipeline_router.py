from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from mlserver.errors import MLServerError
from mlserver.types import InferenceRequest, Parameters, RequestInput, RequestOutput
from prometheus_client import REGISTRY

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
    UnknownModel,
)
from infergraph.request import Deadline, RequestContext
from infergraph.router import PipelineRouter
from infergraph.tensors.shared_media import shared_media
from infergraph.v2 import Message, Tensor
from tests.unit.router.world import (
    CHAIN,
    PARALLEL,
    Answer,
    Model,
    Never,
    Workspace,
    mapping,
    request,
    router_in,
    tensor,
    values,
)
from tests.unit.transports.peers import GrpcPeer, RestPeer

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]


def failing(error: BaseException) -> Answer:
    async def answer(message: Message, context: RequestContext) -> Message:
        raise error

    return answer


async def test_steps_run_in_process(chain: PipelineRouter) -> None:
    answer = await chain.infer(request(1, 2), RequestContext())
    assert values(answer) == {"x": [-2, -4]}
    assert answer.id == "7"
    assert answer.trace is None


async def test_steps_of_a_request_share_what_they_decode(loaded: Load, serve: Serve) -> None:
    seen: list[Any] = []

    async def looking(message: Message, context: RequestContext) -> Message:
        seen.append(shared_media())
        return Message([Tensor.of("x", message.tensors[0].data)])

    for name in ("double", "negate"):
        serve(name, looking)
    chain = await loaded("chain", CHAIN)
    outer = await loaded("outer", CHAIN.replace("chain", "outer").replace("double", "chain"))

    await chain.infer(request(1), RequestContext())
    await chain.infer(request(1), RequestContext(deadline=Deadline.after_ms(60_000)))
    await outer.infer(request(1), RequestContext())

    assert None not in seen
    assert [seen.index(each) for each in seen] == [0, 0, 2, 2, 4, 4, 4]
    assert shared_media() is None


async def test_a_pipeline_may_be_a_step(chain: PipelineRouter, loaded: Load) -> None:
    outer = await loaded("outer", CHAIN.replace("chain", "outer").replace("double", "chain"))
    answer = await outer.infer(request(3), RequestContext(trace=True))
    assert values(answer) == {"x": [6]}
    assert answer.trace is not None
    inner = answer.trace["steps"][0]
    assert (inner["name"], inner["model"], inner["transport"]) == ("chain", "chain", "in-process")
    assert [step["name"] for step in inner["steps"]] == ["double", "negate"]


CHOICE = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: choice
spec:
  steps:
  - name: sorter
  - name: double
    inputs: [sorter.outputs.first]
  output:
    steps: [double]
"""


@pytest.mark.parametrize(
    "inputs",
    [{}, {"inputs": [tensor("choice", "INT32", (-1,)), tensor("x", shape=(-1,))]}],
    ids=["any", "declared"],
)
async def test_inputs_need_not_be_one_batch(
    serve: Serve, workspace: Workspace, inputs: dict[str, Any]
) -> None:
    async def sort(message: Message, context: RequestContext) -> Message:
        choice, x = message.tensors
        name = "first" if choice.data[0] == 0 else "second"
        return Message([x.renamed(name)])

    serve("sorter", sort)
    serve("double", mapping(lambda data: data * 2))
    router = router_in(workspace.add_pipeline("choice", CHOICE, {}, **inputs))
    await router.load()
    x = Tensor.of("x", np.array([1, 2, 3, 4], np.float32))
    chosen = Message([Tensor.of("choice", np.array([0], np.int32)), x])
    assert values(await router.infer(chosen, RequestContext())) == {"x": [2, 4, 6, 8]}
    await router.unload()


@pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
async def test_endpoints_are_told_the_key_and_their_own_headers(
    loaded: Load, grpc_peer: GrpcPeer, rest_peer: RestPeer
) -> None:
    mesh = {"url": rest_peer.url, "headers": {"Seldon-Model": "negate.pipeline"}}
    router = await loaded(
        "chain",
        CHAIN,
        endpoints={"double": grpc_peer.url, "negate": mesh},
        endpoint_key="a right and long key",
    )
    await router.infer(request(1), RequestContext())
    (first,), (second,) = grpc_peer.headers, rest_peer.headers
    assert (first["seldon-model"], second["seldon-model"]) == ("double", "negate.pipeline")
    assert first["x-api-key"] == second["x-api-key"] == "a right and long key"


@pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
async def test_steps_run_at_their_endpoints(
    serve: Serve, loaded: Load, grpc_peer: GrpcPeer, rest_peer: RestPeer
) -> None:
    serve("double", mapping(lambda data: data * 2))
    router = await loaded(
        "chain", CHAIN, endpoints={"double": grpc_peer.url, "negate": rest_peer.url}
    )
    answer = await router.infer(request(1.5), RequestContext(trace=True))
    # Both peers echo.
    assert values(answer) == {"x": [1.5]}
    assert [each.model_name for each in grpc_peer.requests] == ["double"]
    assert rest_peer.paths[-1] == "/v2/models/negate/infer"
    assert answer.trace is not None
    assert [step["transport"] for step in answer.trace["steps"]] == ["grpc", "rest"]


class TestErrors:
    @pytest.mark.parametrize(
        "kind",
        [
            InvalidInput,
            UnknownModel,
            MalformedRequest,
            StageFailure,
            Overloaded,
            StageUnavailable,
            DeadlineExceeded,
        ],
    )
    async def test_errors_keep_their_class_and_say_where(
        self, serve: Serve, chain: PipelineRouter, kind: type[InfergraphError]
    ) -> None:
        serve("double", failing(kind("model 'double': no")))
        with pytest.raises(InfergraphError) as caught:
            await chain.infer(request(1), RequestContext())
        assert type(caught.value) is kind
        assert str(caught.value) == (
            "pipeline 'chain', step 'double' (in process): model 'double': no"
        )

    async def test_what_a_step_made_is_not_the_callers_fault(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        serve("double", mapping(lambda data: data * np.nan))
        serve("negate", failing(InvalidInput("tensor 'x': it has values that are NaN")))
        with pytest.raises(StageFailure) as caught:
            await chain.infer(request(1), RequestContext())
        assert str(caught.value) == (
            "pipeline 'chain', step 'negate' (in process): tensor 'x': it has values that are NaN; "
            "step 'double' made tensor 'x'"
        )

    async def test_the_unexpected_is_logged_and_not_told(
        self, serve: Serve, chain: PipelineRouter, caplog: pytest.LogCaptureFixture
    ) -> None:
        serve("negate", failing(ZeroDivisionError("secret")))
        with pytest.raises(StageFailure) as caught:
            await chain.infer(request(1), RequestContext())
        assert "step 'negate' (in process): it failed with ZeroDivisionError" in str(caught.value)
        assert "secret" not in str(caught.value)
        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.levelno == logging.ERROR

    async def test_an_endpoint_that_cannot_be_reached_is_named(
        self, serve: Serve, loaded: Load, unused_tcp_port: int
    ) -> None:
        serve("double", mapping(lambda data: data))
        url = f"grpc://127.0.0.1:{unused_tcp_port}"
        router = await loaded("chain", CHAIN, endpoints={"negate": url})
        with pytest.raises(StageUnavailable) as caught:
            await router.infer(request(1), RequestContext())
        assert str(caught.value).startswith(
            f"pipeline 'chain', step 'negate' (model at {url}): {url} is unavailable"
        )

    async def test_a_failing_step_ends_the_others(self, serve: Serve, loaded: Load) -> None:
        never = Never()

        async def fail(message: Message, context: RequestContext) -> Message:
            await never.called.wait()
            raise InvalidInput("no")

        serve("left", never)
        serve("right", fail)
        router = await loaded("parallel", PARALLEL)
        with pytest.raises(InvalidInput, match="step 'right'"):
            await router.infer(request(1), RequestContext())
        assert never.cancelled

    async def test_inputs_are_checked_before_any_step_runs(
        self, serve: Serve, workspace: Workspace
    ) -> None:
        double = serve("double", mapping(lambda data: data))
        router = router_in(workspace.add_pipeline("chain", CHAIN, {}, inputs=[tensor("x")]))
        await router.load()
        wrong = Message([Tensor.of("x", np.zeros((1, 2), np.float32))])
        with pytest.raises(InvalidInput, match=r"pipeline 'chain': tensor 'x' has shape \[1, 2\]"):
            await router.infer(wrong, RequestContext())
        assert double.messages == []
        await router.unload()

    @pytest.mark.parametrize("inputs", [{}, {"inputs": [tensor("x")]}], ids=["any", "declared"])
    async def test_two_tensors_of_one_name_are_refused(
        self, serve: Serve, workspace: Workspace, inputs: dict[str, Any]
    ) -> None:
        double = serve("double", mapping(lambda data: data))
        router = router_in(workspace.add_pipeline("chain", CHAIN, {}, **inputs))
        await router.load()
        twice = Message([*request(1).tensors, *request(2).tensors])
        with pytest.raises(InvalidInput, match="pipeline 'chain': tensor 'x' came more than once"):
            await router.infer(twice, RequestContext())
        assert double.messages == []
        await router.unload()

    async def test_an_unloaded_pipeline_is_unavailable(self, chain: PipelineRouter) -> None:
        await chain.unload()
        with pytest.raises(StageUnavailable, match="pipeline 'chain' is not loaded"):
            await chain.infer(request(1), RequestContext())


class TestDeadline:
    async def test_nothing_runs_on_after_it(self, serve: Serve, loaded: Load) -> None:
        left, right = Never(), Never()
        serve("left", left)
        serve("right", right)
        router = await loaded("parallel", PARALLEL)
        with pytest.raises(DeadlineExceeded) as caught:
            await router.infer(request(1), RequestContext(Deadline.after_ms(50)))
        assert str(caught.value) == (
            "pipeline 'parallel': the deadline of 50 ms passed "
            "while these steps ran: 'left', 'right'"
        )
        assert left.cancelled
        assert right.cancelled
        assert len(asyncio.all_tasks()) == 1

    @pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
    @pytest.mark.parametrize("budget_ms", [1e15, 1e300])
    async def test_it_may_be_far_away(
        self,
        serve: Serve,
        loaded: Load,
        grpc_peer: GrpcPeer,
        rest_peer: RestPeer,
        budget_ms: float,
    ) -> None:
        serve("double", mapping(lambda data: data * 2))
        for endpoints in ({}, {"negate": grpc_peer.url}, {"negate": rest_peer.url}):
            serve("negate", mapping(lambda data: data))
            router = await loaded("chain", CHAIN, endpoints=endpoints)
            answer = await router.infer(request(1), RequestContext(Deadline.after_ms(budget_ms)))
            assert values(answer) == {"x": [2]}

    async def test_later_steps_are_not_started(self, serve: Serve, chain: PipelineRouter) -> None:
        serve("double", Never())
        negate = serve("negate", mapping(np.negative))
        with pytest.raises(DeadlineExceeded, match="while these steps ran: 'double'"):
            await chain.infer(request(1), RequestContext(Deadline.after_ms(20)))
        assert negate.messages == []

    async def test_one_deadline_for_all_steps(self, serve: Serve, chain: PipelineRouter) -> None:
        double = serve("double", mapping(lambda data: data))
        negate = serve("negate", mapping(np.negative))
        deadline = Deadline.after_ms(60_000)
        await chain.infer(request(1), RequestContext(deadline))
        assert double.contexts[0].deadline is deadline
        assert negate.contexts[0].deadline is deadline

    @pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
    async def test_each_hop_is_told_what_is_left(self, loaded: Load, grpc_peer: GrpcPeer) -> None:
        router = await loaded("chain", CHAIN, endpoints={"*": grpc_peer.url})
        await router.infer(request(1), RequestContext(Deadline.after_ms(60_000)))
        first, second = (float(each["infergraph-timeout-ms"]) for each in grpc_peer.headers)
        assert 60_000 > first > second > 0

    @pytest.mark.parametrize(
        ("annotation", "extra", "budget"),
        [(None, {}, None), ("400", {}, 400), ("400", {"timeout_ms": 300}, 300)],
    )
    async def test_the_pipeline_s_own_is_for_requests_that_bring_none(
        self,
        serve: Serve,
        loaded: Load,
        annotation: str | None,
        extra: dict[str, Any],
        budget: float | None,
    ) -> None:
        text = CHAIN
        if annotation is not None:
            line = f'\n  annotations: {{infergraph.io/timeout-ms: "{annotation}"}}'
            text = CHAIN.replace("  name: chain", "  name: chain" + line)
        double = serve("double", mapping(lambda data: data))
        serve("negate", mapping(np.negative))
        router = await loaded("chain", text, **extra)

        await router.infer(request(1), RequestContext())
        given = Deadline.after_ms(60_000)
        await router.infer(request(1), RequestContext(given))

        own, callers = (context.deadline for context in double.contexts)
        assert (own and own.budget_ms) == budget
        assert callers is given

    async def test_cancelling_reaches_every_step(self, serve: Serve, loaded: Load) -> None:
        for context in (RequestContext(), RequestContext(Deadline.after_ms(60_000))):
            left, right = Never(), Never()
            serve("left", left)
            serve("right", right)
            router = await loaded("parallel", PARALLEL)
            call = asyncio.create_task(router.infer(request(1), context))
            await left.called.wait()
            await right.called.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert left.cancelled
            assert right.cancelled


class TestTrace:
    async def test_what_each_step_cost(self, chain: PipelineRouter) -> None:
        answer = await chain.infer(request(1), RequestContext(trace=True))
        assert answer.trace is not None
        assert set(answer.trace) == {"pipeline", "duration_us", "steps"}
        assert answer.trace["pipeline"] == "chain"
        double, negate = answer.trace["steps"]
        for step in (double, negate):
            assert {key: step[key] for key in step if key not in ("start_us", "duration_us")} == {
                "name": step["name"],
                "model": "fake",
                "transport": "in-process",
                "queue_us": 1,
                "compute_us": 2,
                "batch_size": 3,
            }
        assert (double["name"], negate["name"]) == ("double", "negate")
        assert 0 <= double["start_us"] <= double["start_us"] + double["duration_us"]
        assert double["start_us"] <= negate["start_us"] <= answer.trace["duration_us"]
        assert json.loads(json.dumps(answer.trace)) == answer.trace

    async def test_steps_that_are_not_ours_have_no_costs(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        async def plain(message: Message, context: RequestContext) -> Message:
            return Message(message.tensors)

        serve("double", plain)
        answer = await chain.infer(request(1), RequestContext(trace=True))
        assert answer.trace is not None
        assert set(answer.trace["steps"][0]) == {
            "name",
            "model",
            "transport",
            "start_us",
            "duration_us",
        }

    async def test_items_are_told_apart(self, serve: Serve, loaded: Load) -> None:
        line = '  name: chain\n  annotations: {infergraph.io/per-item: "true"}'
        serve("double", mapping(lambda data: data * 2))
        serve("negate", mapping(np.negative))
        router = await loaded("chain", CHAIN.replace("  name: chain", line))
        answer = await router.infer(request(1, 2), RequestContext(trace=True))
        assert values(answer) == {"x": [-2, -4]}
        assert answer.trace is not None
        calls = sorted((step["name"], step["item"]) for step in answer.trace["steps"])
        assert calls == [("double", 0), ("double", 1), ("negate", 0), ("negate", 1)]


async def test_every_step_is_measured(chain: PipelineRouter) -> None:
    def count(step: str) -> float:
        labels = {"pipeline": "chain", "step": step}
        return REGISTRY.get_sample_value("infergraph_step_seconds_count", labels) or 0

    before = count("double"), count("negate")
    await chain.infer(request(1), RequestContext())
    assert (count("double"), count("negate")) == (before[0] + 1, before[1] + 1)


class TestPredict:
    def payload(self, **fields: Any) -> InferenceRequest:
        x = RequestInput(name="x", datatype="FP32", shape=[2, 1], data=[1, 2])
        return InferenceRequest(**{"id": "7", "inputs": [x], **fields})

    async def test_json_in_json_out(self, chain: PipelineRouter) -> None:
        response = await chain.predict(self.payload())
        assert response.model_name == "chain"
        assert response.id == "7"
        (output,) = response.outputs
        assert (output.name, output.datatype, output.shape) == ("x", "FP32", [2, 1])
        assert output.data.root == [-2.0, -4.0]
        assert response.parameters is None

    async def test_arrays_are_taken_and_lists_given(self, chain: PipelineRouter) -> None:
        payload = self.payload()
        payload.inputs[0].data.root = np.array([1, 2], np.float32)
        response = await chain.predict(payload)
        assert response.outputs[0].data.root == [-2.0, -4.0]

    async def test_requested_outputs(self, chain: PipelineRouter) -> None:
        with pytest.raises(MLServerError, match="no output tensor 'y'") as caught:
            await chain.predict(self.payload(outputs=[RequestOutput(name="y")]))
        assert caught.value.status_code == 400

    async def test_a_trace_goes_out_as_json(self, chain: PipelineRouter) -> None:
        response = await chain.predict(self.payload(parameters=Parameters(trace=True)))
        assert response.parameters is not None
        trace = json.loads(response.parameters.model_extra["trace"])  # type: ignore[index]
        assert [step["name"] for step in trace["steps"]] == ["double", "negate"]

    async def test_only_allowed_headers_and_the_parameters_reach_the_steps(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        double = serve("double", mapping(lambda data: data))
        headers = {
            "authorization": "secret",
            "cookie": "secret",
            "x-tenant": "a",
            "traceparent": "00-1-2-01",
            "infergraph-timeout-ms": "5000",
        }
        await chain.predict(self.payload(parameters=Parameters(headers=headers, beams=4)))
        (context,), (message,) = double.contexts, double.messages
        assert context.headers == {"x-tenant": "a", "traceparent": "00-1-2-01"}
        assert context.deadline is not None
        assert context.deadline.budget_ms == 5000
        assert message.parameters == {"beams": 4}

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (InvalidInput("no"), 400),
            (MalformedRequest("no"), 422),
            (Overloaded("no"), 503),
            (DeadlineExceeded("no"), 504),
            (ZeroDivisionError("no"), 500),
        ],
    )
    async def test_errors_have_their_status(
        self, serve: Serve, chain: PipelineRouter, error: Exception, status: int
    ) -> None:
        serve("double", failing(error))
        with pytest.raises(MLServerError, match="pipeline 'chain', step 'double'") as caught:
            await chain.predict(self.payload())
        assert caught.value.status_code == status
        assert caught.value.__cause__ is None

    async def test_cancelling_predict_cancels_its_steps(
        self, serve: Serve, chain: PipelineRouter
    ) -> None:
        never = Never()
        serve("negate", never)
        call = asyncio.create_task(chain.predict(self.payload()))
        await never.called.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert never.cancelled
