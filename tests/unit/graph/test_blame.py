"""Whose fault a step's refusal is: 400 and 422 for the caller's, 500 for the pipeline's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from infergraph.errors import (
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    UnknownModel,
)
from infergraph.graph import GraphExecutor
from infergraph.v2 import Message, Tensor
from tests.unit.graph.graphs import CONTEXT, executor, failure, tensor

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")

CHAIN = """
steps:
- {name: first, inputs: [p.inputs.x]}
- {name: second, inputs: [first.outputs.y]}
output: {steps: [second]}
"""
JOINED = """
steps:
- {name: first, inputs: [p.inputs.x]}
- name: second
  inputs: [first.outputs.y, p.inputs.context]
  tensorMap: {first.outputs.y: question}
output: {steps: [second]}
"""
TRIGGERED = """
steps:
- {name: first}
- {name: second, inputs: [p.inputs.x], triggers: [first.outputs.y]}
output: {steps: [second]}
"""
INPUTS_OF_A_STEP = """
steps:
- {name: first}
- {name: second, inputs: [first.inputs.x], triggers: [first.outputs.y]}
output: {steps: [second]}
"""
THROUGH_INPUTS = """
steps:
- {name: first}
- {name: middle, inputs: [first.outputs.y]}
- {name: second, inputs: [middle.inputs.y]}
output: {steps: [second]}
"""
BATCHING = """
steps:
- {name: first}
- {name: second, inputs: [first.outputs.y], batch: {size: 2}}
"""

NAN = Tensor("y", "FP64", np.array([[np.nan]]))
TEXTS = Tensor.of_bytes("x", [b"un", b"deux", b"trois"])


class Refusing:
    """`second` refuses; `first` answers with given tensors, every other step with `z`."""

    def __init__(self, error: Exception, made: Tensor | None = None, **parameters: str) -> None:
        self.error = error
        self.made = made or tensor("y", 7)
        self.parameters = parameters

    async def __call__(self, step: str, request: Message, *_: object) -> Message:
        if step == "second":
            raise self.error
        return Message([self.made if step == "first" else tensor("z", 9)], "", {**self.parameters})


async def told(
    spec: str,
    models: Refusing,
    *tensors: Tensor,
    parameters: Mapping[str, str] | None = None,
    graph: GraphExecutor | None = None,
) -> InfergraphError:
    sent = list(tensors) or [tensor("x", 1), tensor("context", 2)]
    request = Message(sent, "request", dict(parameters or {}))
    error = await failure((graph or executor(spec)).execute(request, CONTEXT, models))
    assert isinstance(error, InfergraphError)
    return error


@pytest.mark.parametrize("kind", [InvalidInput, MalformedRequest])
@pytest.mark.parametrize("text", ["tensor 'y': it has values that are NaN", "not what I want"])
async def test_a_refusal_of_what_a_step_made_is_the_pipelines_failure(
    kind: type[InfergraphError], text: str
) -> None:
    refusal = kind(f"step 'second': {text}")
    error = await told(CHAIN, Refusing(refusal, NAN))
    assert type(error) is StageFailure
    assert error.status_code == 500
    assert str(error) == f"step 'second': {text}; step 'first' made tensor 'y'"
    assert error.__cause__ is refusal


@pytest.mark.parametrize("kind", [UnknownModel, StageFailure, Overloaded])
async def test_only_refusals_are_judged(kind: type[InfergraphError]) -> None:
    error = kind("tensor 'y': no")
    assert await told(CHAIN, Refusing(error)) is error


@pytest.mark.parametrize("spec", [TRIGGERED, INPUTS_OF_A_STEP], ids=["trigger", "inputs"])
@pytest.mark.parametrize("text", ["tensor 'x': too long", "too long"])
async def test_a_refusal_of_the_pipelines_inputs_is_the_callers(spec: str, text: str) -> None:
    error = InvalidInput(text)
    assert await told(spec, Refusing(error)) is error


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("model 'second': tensor 'context': empty text", None),
        ("model 'second': tensor 'question': empty text", "question"),
        ("no input tensor 'context'; accepted: text", None),
        # As another server may put it.
        ("[request id: 7] unexpected shape for input 'question' for model 'second'", "question"),
        ("of the tensors 'context' and 'question' only one is numeric", "question"),
        ("tensor 'context' holds 1 items and tensor 'question' 2", "question"),
        # A refusal that names no tensor may be about any of them.
        ("cannot be answered", "question"),
        ("'context' is a word", "question"),
    ],
)
async def test_of_several_tensors_those_are_in_question_that_the_refusal_names(
    text: str, maker: str | None
) -> None:
    refusal = InvalidInput(text)
    error = await told(JOINED, Refusing(refusal))
    if maker is None:
        assert error is refusal
    else:
        assert type(error) is StageFailure
        assert str(error) == f"{text}; step 'first' made tensor '{maker}'"


async def test_the_step_that_made_a_tensor_is_named_though_another_passes_it_on() -> None:
    error = await told(THROUGH_INPUTS, Refusing(InvalidInput("tensor 'y': no")))
    assert str(error) == "tensor 'y': no; step 'first' made tensor 'y'"


@pytest.mark.parametrize(
    "passed_on",
    [
        TEXTS.renamed("y"),
        Tensor.of_bytes("y", [b"deux"]),
        Tensor.of_bytes("y", [b"trois", b"un", b"un"]),
    ],
    ids=["the same array", "one row", "rows"],
)
async def test_what_a_step_passes_on_is_still_the_callers(passed_on: Tensor) -> None:
    refusal = InvalidInput("tensor 'y': too long")
    assert await told(CHAIN, Refusing(refusal, passed_on), TEXTS) is refusal


async def test_numbers_that_a_step_passes_on_are_still_the_callers() -> None:
    sent = Tensor("x", "FP64", np.array([[1.0, np.nan], [3, 4]]))
    copied = Tensor("y", "FP64", sent.data[:1].copy())
    refusal = InvalidInput("tensor 'y': NaN")
    assert await told(CHAIN, Refusing(refusal, copied), sent) is refusal


@pytest.mark.parametrize(
    "made",
    [
        Tensor.of_bytes("y", [b"un", b"one"]),
        Tensor.of_bytes("y", []),
        Tensor.of_bytes("y", [b"un", b"deux"], (1, 2)),
        Tensor.of("y", np.array([[1]])),
        Tensor("y", "BYTES", np.array(b"un", dtype=object)),
    ],
    ids=["a row of its own", "no rows", "another shape", "another datatype", "no dimension"],
)
async def test_what_is_only_like_the_callers_is_the_steps(made: Tensor) -> None:
    error = await told(CHAIN, Refusing(InvalidInput("no"), made), TEXTS)
    assert type(error) is StageFailure


async def test_what_was_gathered_over_requests_is_the_steps() -> None:
    graph = executor(BATCHING)
    models = Refusing(InvalidInput("no"))
    await graph.execute(Message([tensor("x", 1)]), CONTEXT, models)
    error = await told("", models, graph=graph)
    assert str(error) == "no; step 'first' made tensor 'y'"


@pytest.mark.parametrize(
    ("text", "sent", "made", "is_callers"),
    [
        # A parameter of `second.beams` never stands in the messages of the graph.
        ("parameter 'beams' = 99: at most 8", {}, {}, True),
        ("unknown parameter 'beams'; accepted: length", {"beams": "4"}, {"beams": "4"}, True),
        ("unknown parameter 'beams'; accepted: length", {}, {"beams": "4"}, False),
    ],
)
async def test_a_parameter_is_the_callers_unless_a_step_gave_it(
    text: str, sent: Mapping[str, str], made: Mapping[str, str], is_callers: bool
) -> None:
    refusal = InvalidInput(text)
    error = await told(CHAIN, Refusing(refusal, **made), parameters=sent)
    assert (error is refusal) is is_callers


async def test_a_model_that_judges_refuses_whatever_it_was_sent() -> None:
    refusal = Rejected("language 'it' is not supported")
    error = await told(CHAIN, Refusing(refusal))
    assert error is refusal
    assert error.status_code == 400


@pytest.mark.parametrize(
    ("tensor", "told_of"),
    [("question", "; step 'first' made tensor 'question'"), ("context", "")],
    ids=["of a step", "of the caller"],
)
async def test_nothing_in_a_tensor_is_told_with_the_step_that_made_it(
    tensor: str, told_of: str
) -> None:
    refusal = Rejected(f"step 'second': tensor '{tensor}': empty text")
    error = await told(JOINED, Refusing(refusal))
    assert type(error) is Rejected
    assert error.status_code == 400
    assert str(error) == f"{refusal}{told_of}"


async def test_each_item_is_judged_by_what_the_caller_sent_of_it() -> None:
    """The second item's step answers with the first item's text, which the caller did not send."""

    async def infer(step: str, request: Message, context: object, item: int | None) -> Message:
        if step == "second":
            raise InvalidInput("tensor 'y': too long")
        return Message([Tensor.of_bytes("y", [b"un"])])

    graph = executor(CHAIN, annotations='infergraph.io/per-item: "true"')
    sent = Message([Tensor.of_bytes("x", [b"un", b"deux"])])
    error = await failure(graph.execute(sent, CONTEXT, infer))
    assert type(error) is InvalidInput
    assert str(error) == "item 0: tensor 'y': too long"

    turned = Message([Tensor.of_bytes("x", [b"deux", b"un"])])
    error = await failure(graph.execute(turned, CONTEXT, infer))
    assert type(error) is StageFailure
    assert str(error) == "item 0: tensor 'y': too long; step 'first' made tensor 'y'"
