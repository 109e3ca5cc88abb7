"""Nodes of a graph over REST: what the executor of Seldon Core 1 sends, and what it gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infergraph.node import Node
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import BODY, Answer, Echo, Front


def tensor(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": [1, 1], "data": [value]}


def answered(*tensors: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A node's answer, as the executor hands it on."""
    return {"model_name": "other", "id": "seven", "outputs": list(tensors), **fields}


async def post(front: Front, model: str, call: str, body: Any) -> Answer:
    return await front.post(model, json.dumps(body).encode(), call)


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.error
    return {each["name"]: each["data"] for each in answer.json["outputs"]}


async def node(front: Front, **place: Any) -> Echo:
    model = await front.load(Echo)
    model.node = Node(**place)
    return model


async def test_a_node_computes_of_its_tensors_and_hands_others_on(front: Front) -> None:
    model = await node(front, inputs={"x": ["a"]}, outputs={"x": "b"}, passes={"c": []})

    request = {"id": "seven", "inputs": [tensor("a", 1), tensor("c", 2), tensor("d", 3)]}
    answer = await post(front, "echo", "infer", request)

    assert outputs(answer) == {"b": [1], "c": [2]}
    assert answer.json["id"] == "seven"
    assert model.messages[0].names() == ["x"]


async def test_a_node_that_routes_answers_the_position_of_a_child(front: Front) -> None:
    model = await node(front, branches=[["a"], ["b"]], gives=["c"])

    for body, route in (
        (answered(tensor("b", 1)), [1]),
        (answered(tensor("a", 1), tensor("b", 1)), [-1]),
        (answered(tensor("c", 1)), [-2]),
        ({"inputs": [tensor("a", 1)]}, [0]),
    ):
        answer = await post(front, "echo", "route", body)
        assert (answer.status, answer.json) == (200, route)
        assert answer.headers["content-type"] == "application/json"
    assert model.messages == []


async def test_a_node_whose_model_has_computed_joins_answers(front: Front) -> None:
    model = await node(front, gives=["a", "b"])
    body = [answered(tensor("a", 1), tensor("z", 0)), answered(tensor("a", 9), tensor("b", 2))]

    answer = await post(front, "echo", "aggregate", body)

    assert outputs(answer) == {"a": [1], "b": [2]}
    assert answer.json["id"] == "seven"
    assert model.messages == []


@pytest.mark.parametrize("is_node", [False, True])
async def test_a_model_computes_of_the_answers_that_it_joins(front: Front, is_node: bool) -> None:
    model = await front.load(Echo)
    if is_node:
        model.node = Node(inputs={"l": ["a"], "r": ["b"]})

    answer = await post(
        front, "echo", "aggregate", [answered(tensor("a", 1)), answered(tensor("b", 2))]
    )

    assert outputs(answer) == ({"l": [1], "r": [2]} if is_node else {"a": [1], "b": [2]})
    assert model.messages[0].id == "seven"


@pytest.mark.parametrize(
    ("call", "body", "status", "text"),
    [
        ("route", {"inputs": [tensor("a", 1)]}, 400, "it has no branches to choose from"),
        ("route", {"inputs": 3}, 422, "inputs is a number"),
        ("route", [answered()], 422, "it is a list; accepted: an object"),
        ("aggregate", answered(), 422, "accepted: a list of answers, at least one"),
        ("aggregate", [], 422, "accepted: a list of answers, at least one"),
        ("aggregate", [answered(), 3], 422, "answer 1 is a number"),
        ("aggregate", [answered()] * 300, 413, "the body has 300 answers; accepted: at most 256"),
        ("aggregate", [answered(tensor("z", 1))], 400, "nothing reached the output"),
    ],
)
async def test_what_is_no_message_of_a_graph_is_refused(
    front: Front, call: str, body: Any, status: int, text: str
) -> None:
    await node(front, gives=["a"], answers=[["a"]])

    answer = await post(front, "echo", call, body)

    assert answer.status == status
    assert text in answer.error


async def test_who_is_no_node_neither_routes_nor_joins(front: Front) -> None:
    mine = await post(front, "echo", "route", BODY)
    other = await post(front, "mirror", "aggregate", [answered()])

    assert (mine.status, other.status) == (400, 400)
    assert "it is no node of a graph; give it the setting 'node'" in mine.error
    assert "is of another runtime" in other.error
    assert (await post(front, "nobody", "route", BODY)).status == 404


async def test_binary_tensors_do_not_travel_in_a_graph(front: Front) -> None:
    await node(front, branches=[["a"]])
    body = json.dumps(answered()).encode()

    answer = await front.post("echo", body, "route", inference_header_content_length=str(len(body)))

    assert answer.status == 400
    assert "binary tensor data came" in answer.error


async def test_a_node_is_asked_with_a_key_as_all_are(serve: Serve) -> None:
    front = await serve(inference_keys="a" * 16)
    await node(front, branches=[["a"]])

    assert (await post(front, "echo", "route", BODY)).status == 401
    assert (await post(front, "echo", "aggregate", [answered()])).status == 401


async def test_a_node_streams_its_answer_in_one_part(front: Front) -> None:
    await node(front, inputs={"x": ["a"]})

    answer = await post(front, "echo", "infer_stream", {"inputs": [tensor("a", 1)]})

    (event,) = answer.body.split(b"\n\n")[:-1]
    assert [each["name"] for each in json.loads(event[6:])["outputs"]] == ["x"]


async def test_a_node_takes_its_place_over_grpc_too(front: Front) -> None:
    await node(front, inputs={"x": ["a"]}, outputs={"x": "b"}, passes={"c": []})
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [1, 1], "contents": {"fp32_contents": [value]}}
        for name, value in (("a", 1.0), ("c", 2.0))
    ]

    async with front.grpc() as client:
        answer = await client.call("ModelInfer", model_name="echo", inputs=inputs)

    found = {each.name: list(each.contents.fp32_contents) for each in answer.outputs}
    assert found == {"b": [1.0], "c": [2.0]}
