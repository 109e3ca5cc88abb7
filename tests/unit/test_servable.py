"""A model of ours under MLServer's own servers, which know its types only."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings
from mlserver.errors import MLServerError
from mlserver.types import (
    InferenceRequest,
    MetadataTensor,
    Parameters,
    RequestInput,
    RequestOutput,
)

from infergraph.errors import InfergraphError, Overloaded, StageFailure
from infergraph.request import RequestContext
from infergraph.servable import Servable, response_parameters
from infergraph.v2 import Message, Tensor


class Doubler(Servable):
    error: Exception | None = None

    async def infer(self, message: Message, context: RequestContext) -> Message:
        if self.error is not None:
            raise self.error
        doubled = Tensor.of("y", message.tensors[0].data * 2)
        trace = {"compute_us": 3} if context.trace else None
        return Message([doubled, doubled.renamed("z")], "its own", {"a": 1}, trace)


class Counter(Doubler):
    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncIterator[Message]:
        for part in range(2):
            yield Message([Tensor.of("y", np.array([part]))])
        if self.error is not None:
            raise self.error


def model(kind: type[Doubler] = Doubler, *declared: str) -> Doubler:
    outputs = [MetadataTensor(name=name, datatype="INT64", shape=[-1]) for name in declared]
    return kind(ModelSettings(name="m", implementation=kind, outputs=outputs))


def request(outputs: list[str] | None = None, **parameters: Any) -> InferenceRequest:
    return InferenceRequest(
        id="7",
        inputs=[RequestInput(name="x", datatype="INT64", shape=[2], data=[1, 2])],
        parameters=Parameters(**parameters),
        outputs=None if outputs is None else [RequestOutput(name=name) for name in outputs],
    )


async def test_it_answers_in_mlservers_types() -> None:
    response = await model().predict(request())

    assert response.model_dump() == {
        "model_name": "m",
        "id": "7",
        "parameters": {"a": 1},
        "outputs": [
            {"name": name, "shape": [2], "datatype": "INT64", "data": [2, 4]} for name in "yz"
        ],
    }


async def test_only_the_outputs_that_are_asked_for() -> None:
    response = await model(Doubler, "y", "sometimes").predict(request(["z", "sometimes"]))

    assert [each.name for each in response.outputs] == ["z"]
    with pytest.raises(MLServerError, match="model 'm': no output tensor 'no'; accepted: y, some"):
        await model(Doubler, "y", "sometimes").predict(request(["no"]))


async def test_a_trace_goes_as_json_beside_the_other_parameters() -> None:
    response = await model().predict(request(trace=True))

    assert response.parameters is not None
    extra = dict(response.parameters.model_extra or {})
    assert json.loads(extra.pop("trace")) == {"compute_us": 3}
    assert extra == {"a": 1}
    assert response_parameters(Message([], parameters={"b": 2})) == {"b": 2}


@pytest.mark.parametrize("error", [Overloaded("queue full"), StageFailure("broken")])
async def test_its_errors_have_mlservers_form(error: InfergraphError) -> None:
    failing = model(Counter)
    failing.error = error

    with pytest.raises(MLServerError) as caught:
        await failing.predict(request())
    assert (caught.value.status_code, str(caught.value)) == (error.status_code, str(error))


async def test_an_unexpected_error_is_logged_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = model()
    failing.error = ValueError("secret")

    with pytest.raises(MLServerError) as caught:
        await failing.predict(request())

    assert caught.value.status_code == 500
    assert str(caught.value) == (
        "model 'm': it failed with ValueError; the server's log has the details"
    )
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


async def payloads(*given: InferenceRequest) -> AsyncIterator[InferenceRequest]:
    for each in given:
        yield each


async def test_a_stream_of_one_part_by_default() -> None:
    responses = [each async for each in model().predict_stream(payloads(request(), request()))]

    assert [each.outputs[0].data.root for each in responses] == [[2, 4], [2, 4]]


async def test_a_stream_in_parts_and_its_failure() -> None:
    failing = model(Counter)
    failing.error = Overloaded("queue full")
    parts = []

    async def consume() -> None:
        async for each in failing.predict_stream(payloads(request())):
            parts.append(each.outputs[0].data.root)

    with pytest.raises(MLServerError, match="queue full"):
        await consume()
    assert parts == [[0], [1]]
