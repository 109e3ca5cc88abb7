"""A server that Seldon Core v2 runs: what its agent and its pipelines see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from infergraph.errors import InvalidInput, Overloaded
from infergraph.v2 import Message, Tensor
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import METHODS
from tests.unit.front_door.front import BODY, Echo, Front, ask, serving


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with serving(tmp_path, {"seldon": True}, load_models_at_startup=False) as front:
        yield front


async def test_a_bad_request_and_overload_do_not_look_like_a_model_that_is_gone(
    front: Front,
) -> None:
    echo = await front.load(Echo, "echo_2")
    async with front.grpc() as client:
        for error, status, code in (
            (InvalidInput("bad audio"), 422, grpc.StatusCode.INVALID_ARGUMENT),
            (Overloaded("full"), 429, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            echo.error = error
            answer = await front.post("echo_2")
            assert answer.status == status
            assert answer.error == f"{error} (status {error.status_code})"
            assert answer.headers["infergraph-error"] == type(error).__name__
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.infer(encode_request("echo_2", "", message(), {}, True))
            assert caught.value.code() is code

        answer = await front.post("echo_3")
        assert (answer.status, answer.error) == (404, "model 'echo_3' is not loaded")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call("ModelMetadata", name="echo_3")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "(status" not in (caught.value.details() or "")


def message() -> Message:
    return Message([Tensor.of_bytes("t", ["é".encode()]), Tensor.of_bytes("b", [b"\xff"])])


@pytest.mark.parametrize("is_raw", [True, False])
async def test_text_says_that_it_is_text_over_grpc(front: Front, is_raw: bool) -> None:
    await front.load(Echo, "echo_2")
    kinds = METHODS["ModelInfer"]
    sent = message()
    sent.tensors.append(Tensor.of("x", np.array([[1]], np.int32)))
    request = kinds.request.FromString(encode_request("echo_2", "", sent, {}, True))
    if not is_raw:
        for tensor, given in zip(request.inputs, sent.tensors, strict=True):
            field = "int_contents" if given.datatype == "INT32" else "bytes_contents"
            getattr(tensor.contents, field).extend(given.data.ravel().tolist())
        del request.raw_input_contents[:]
    async with front.grpc() as client:
        body = await client.infer(request.SerializeToString())
    answer = kinds.response.FromString(body)
    said = {
        each.name: {name: value.string_param for name, value in each.parameters.items()}
        for each in answer.outputs
    }
    assert said == {"t": {"content_type": "str"}, "b": {}, "x": {}}


async def test_text_says_that_it_is_text_over_rest(front: Front) -> None:
    await front.load(Echo, "echo_2")
    answer = await front.post("echo_2")
    text, number = sorted(answer.json["outputs"], key=lambda each: str(each["name"]))
    assert (text["data"], text["parameters"]) == (["é"], {"content_type": "str"})
    assert "parameters" not in number


async def test_elsewhere_text_says_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, {}) as plain:
        await plain.load(Echo)
        answer = await plain.post("echo", BODY)
        assert all("parameters" not in each for each in answer.json["outputs"])


async def test_a_server_whose_models_come_later_is_ready_without_any(front: Front) -> None:
    async with front.grpc() as client:
        assert (await client.call("ServerReady")).ready
        assert (await ask(front.app, "GET", "/v2/health/ready")).status == 200
        echo = await front.load(Echo, "echo_2")
        echo.ready = False
        assert not (await client.call("ServerReady")).ready
        # The agent would take 400 for a model to load.
        assert (await ask(front.app, "GET", "/v2/health/ready")).status == 503
        assert (await ask(front.app, "GET", "/v2/models/echo_2/ready")).status == 503
        assert (await ask(front.app, "GET", "/v2/models/echo_9/ready")).status == 404
