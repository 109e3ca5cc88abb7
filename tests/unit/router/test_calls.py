"""Request parameters of one step, and items of a nested pipeline that failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from infergraph.errors import InvalidInput
from infergraph.request import RequestContext
from infergraph.router import PipelineRouter
from infergraph.router.calls import divide_parameters
from infergraph.v2 import Message
from tests.unit.router.world import CHAIN, Answer, Model, mapping, request

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]

OUTER = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: outer
spec:
  steps:
  - name: chain
    inputs: [outer.inputs.x]
  output:
    steps: [chain.outputs.x]
"""


def test_parameters_are_divided_by_step() -> None:
    plain, of_steps = divide_parameters(
        {"a": 1, "one.a": 2, "one.b.c": 3, "two.a": 4}, ["one", "two"]
    )
    assert plain == {"a": 1}
    assert of_steps == {"one": {"a": 2, "b.c": 3}, "two": {"a": 4}}


async def test_a_step_gets_its_own_parameters_and_no_other_does(serve: Serve, loaded: Load) -> None:
    double = serve("double", mapping(lambda data: data * 2))
    negate = serve("negate", mapping(lambda data: -data))
    chain = await loaded("chain", CHAIN)
    context = RequestContext()

    await chain.infer(request(1, beams=3, **{"negate.beams": 4, "double.depth": "x"}), context)

    # Those of no step go with the pipeline's inputs, so not beyond the first step.
    assert double.messages[0].parameters == {"beams": 3, "depth": "x"}
    assert negate.messages[0].parameters == {"beams": 4}
    await chain.infer(request(1), context)
    assert (double.messages[1].parameters, negate.messages[1].parameters) == ({}, {})


async def test_a_nested_pipeline_divides_what_is_left(serve: Serve, loaded: Load) -> None:
    double = serve("double", mapping(lambda data: data * 2))
    negate = serve("negate", mapping(lambda data: -data))
    await loaded("chain", CHAIN)
    outer = await loaded("outer", OUTER)

    await outer.infer(request(1, **{"chain.negate.beams": 4, "chain.size": 1}), RequestContext())

    assert double.messages[0].parameters == {"size": 1}
    assert negate.messages[0].parameters == {"beams": 4}


async def test_a_parameter_of_no_step_is_refused(chain: PipelineRouter) -> None:
    with pytest.raises(InvalidInput) as caught:
        await chain.infer(request(1, **{"negatee.beams": 4}), RequestContext())
    assert str(caught.value) == (
        "pipeline 'chain': parameter 'negatee.beams': no step 'negatee'; "
        "did you mean 'negate.beams'? accepted steps: double, negate"
    )


async def test_a_nested_pipeline_of_which_an_item_failed_fails_its_step(
    serve: Serve, loaded: Load
) -> None:
    async def refuse_threes(message: Message, context: RequestContext) -> Message:
        if 3 in message.tensors[0].data:
            raise InvalidInput("three is too much")
        return message

    serve("double", refuse_threes)
    serve("negate", mapping(lambda data: -data))
    per_item = CHAIN.replace(
        "  name: chain\n", '  name: chain\n  annotations: {infergraph.io/per-item: "true"}\n'
    )
    inner = await loaded("chain", per_item)
    outer = await loaded("outer", OUTER)

    answer = await inner.infer(request(1, 3, 5), RequestContext())
    assert answer.names() == ["x", "x_item", "error", "error_status", "error_item"]
    assert [each.data.ravel().tolist() for each in answer.tensors] == [
        [-1, -5],
        [0, 2],
        [b"pipeline 'chain', step 'double' (in process): three is too much"],
        [400],
        [1],
    ]
    # Of three rows only two are left: beside the rows of other steps they would be wrong answers.
    with pytest.raises(InvalidInput) as caught:
        await outer.infer(request(1, 3, 5), RequestContext())
    assert str(caught.value) == (
        "pipeline 'outer', step 'chain' (in process): item 1: "
        "pipeline 'chain', step 'double' (in process): three is too much"
    )
