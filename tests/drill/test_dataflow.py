"""The imitation of Seldon's dataflow: joins, triggers, renames, and contents over REST and gRPC."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from mlserver.grpc import dataplane_pb2 as pb

from .dataflow import Dataflow, Message, StepFailed, Tensor, Unanswered, from_json, read, to_json

STEPS: Mapping[str, Sequence[str]] = {"a": ["x"], "b": ["y"], "c": [], "d": ["x", "y"]}
"""Model -> the tensors that it answers with; each holds the model's name."""


def run(spec: Mapping[str, Any], asked: dict[str, list[str]] | None = None) -> Dataflow:
    """A pipeline's run; `asked` is told the tensors that each step was asked with."""
    flow = Dataflow({"metadata": {"name": "p"}, "spec": spec})

    def call(step: str, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        if asked is not None:
            asked[step] = [each.name for each in request.inputs]
        if step == "bad":
            raise StepFailed("bad : no")
        response = pb.ModelInferResponse(model_name=step)
        for name in STEPS[step]:
            tensor = response.outputs.add(name=name, datatype="BYTES", shape=[1, 1])
            tensor.contents.bytes_contents.append(step.encode())
        return response

    flow.answer = flow.run(Message("7", {}, [text("t", b"in")]), call)  # type: ignore[attr-defined]
    return flow


def text(name: str, value: bytes, **parameters: str) -> Tensor:
    given = {key: pb.InferParameter(string_param=each) for key, each in parameters.items()}
    return Tensor(name, "BYTES", [1, 1], given, [value], None)


def answered(flow: Dataflow) -> list[tuple[str, str]]:
    message: Message = flow.answer  # type: ignore[attr-defined]
    return [(each.name, each.listed()[0].decode()) for each in message.tensors]


def steps(*named: Any) -> list[dict[str, Any]]:
    return [{"name": each} if isinstance(each, str) else each for each in named]


def test_sources_are_joined_in_the_order_in_which_they_are_named() -> None:
    flow = run({"steps": steps("a", "b"), "output": {"steps": ["b", "a.outputs.x"]}})

    assert answered(flow) == [("y", "b"), ("x", "a")]
    assert flow.stalls == []


def test_a_source_without_a_wanted_tensor_lets_nothing_fire() -> None:
    spec = {"steps": steps("c", {"name": "a", "inputs": ["c"]}), "output": {"steps": ["a"]}}

    with pytest.raises(Unanswered, match="no branch of pipeline 'p' answers"):
        run(spec)


def test_any_goes_on_with_whichever_comes() -> None:
    joined = {"name": "d", "inputs": ["c", "b.outputs.y"], "inputsJoinType": "any"}
    asked: dict[str, list[str]] = {}

    flow = run({"steps": steps("b", "c", joined), "output": {"steps": ["d.outputs.y"]}}, asked)

    assert asked["d"] == ["y"]
    assert answered(flow) == [("y", "d")]
    assert flow.stalls == []


def test_outer_waits_for_its_window_where_a_source_is_silent() -> None:
    output = {"steps": ["a", "c"], "stepsJoin": "outer"}

    flow = run({"steps": steps("a", "c"), "output": output})

    assert answered(flow) == [("x", "a")]
    assert flow.stalls == ["the output"]
    assert run({"steps": steps("a", "b"), "output": {**output, "steps": ["a", "b"]}}).stalls == []


@pytest.mark.parametrize(("trigger", "fires"), [("d.outputs.x", True), ("d.outputs.gone", False)])
def test_a_trigger_lets_a_step_fire_and_hands_nothing_on(trigger: str, fires: bool) -> None:
    asked: dict[str, list[str]] = {}
    spec = {
        "steps": steps("d", {"name": "b", "inputs": ["p.inputs.t"], "triggers": [trigger]}),
        "output": {"steps": ["d.outputs.y"]},
    }

    run(spec, asked)

    assert asked.get("b") == (["t"] if fires else None)


def test_a_tensor_is_renamed_where_it_is_received() -> None:
    renamed = {"name": "b", "inputs": ["d.outputs.x"], "tensorMap": {"d.outputs.x": "wanted"}}
    asked: dict[str, list[str]] = {}

    run({"steps": steps("d", renamed), "output": {"steps": ["b"]}}, asked)

    assert asked == {"d": ["t"], "b": ["wanted"]}


def test_a_step_beside_the_output_fails_the_request() -> None:
    with pytest.raises(StepFailed, match=r"^bad : no$"):
        run({"steps": steps("a", "bad"), "output": {"steps": ["a"]}})


def test_raw_and_typed_contents_become_raw_together() -> None:
    raw = Tensor("n", "INT64", [1, 2], {}, None, (5).to_bytes(8, "little") + bytes(8))
    request = Message("", {}, [text("t", b"in"), raw]).request("m")

    assert request.raw_input_contents[0] == b"\x02\x00\x00\x00in"
    assert [each.listed() for each in read(request).tensors] == [[b"in"], [5, 0]]


def test_rest_answers_in_base64_what_is_not_said_to_be_text() -> None:
    tensors = [text("said", b"in", content_type="str"), text("other", b"in")]

    answer = to_json(Message("", {}, tensors))

    assert [each["data"] for each in answer["outputs"]] == [
        ["in"],
        [base64.b64encode(b"in").decode()],
    ]
    again = from_json({"inputs": answer["outputs"]})
    # What came as base64 stays its text: the model has to decode it.
    assert again.tensors[1].listed() == [base64.b64encode(b"in")]
    assert again.tensors[0].parameters["content_type"].string_param == "str"
