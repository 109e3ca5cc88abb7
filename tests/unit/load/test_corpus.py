"""Payloads from files, their forms on the wire, and the checks of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from infergraph_clients.load.configuration import PayloadSource
from infergraph_clients.load.corpus import AnswerCheck, payload_order, read_expected, read_payloads
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.v2 import Payload, Tensor
from infergraph_clients.load.v2.grpc_codec import decode_grpc, encode_grpc
from infergraph_clients.load.v2.json_codec import decode_json, encode_json
from infergraph_clients.load.v2.messages import ModelInferRequest, ModelInferResponse
from infergraph_clients.load.v2.payload import NUMPY_DTYPES

TEXT = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["hé"]}
QUESTION = {"name": "question", "datatype": "BYTES", "shape": [1, 1], "data": ["why?"]}


def document(*inputs: Mapping[str, Any], **more: Any) -> str:
    return json.dumps({"inputs": inputs, **more})


def read(path: Path, **settings: Any) -> list[Payload]:
    return read_payloads(PayloadSource(path=str(path), **settings))


def test_a_request(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    nested = {"name": "n", "datatype": "INT64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    media = {
        "name": "audio",
        "datatype": "BYTES",
        "shape": [1],
        "data": ["AAEC"],
        "parameters": {"content_type": "base64"},
    }
    file.write_text(document(TEXT, nested, media, parameters={"beams": 2}))
    (found,) = read(file)
    assert found.name == "request"
    assert found.parameters == {"beams": 2}
    text, numbers, audio = found.tensors
    assert text.values == ["hé".encode()]
    assert np.asarray(numbers.values).tolist() == [1, 2, 3, 4]
    assert audio.values == [b"\0\1\2"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_bytes(b"RIFF\xff")
    (tmp_path / "a.txt").write_text(" hello \n")
    (tmp_path / "c.json").write_text(document(TEXT))
    (tmp_path / "d.jsonl").write_text(document(TEXT) + "\n\n" + document(QUESTION))
    (tmp_path / "notes.md").write_text("no payload")
    (tmp_path / "template.ignored").write_text(document(TEXT, QUESTION))
    template = tmp_path.parent / "template.json"
    template.write_text(document(TEXT, QUESTION))
    found = read(tmp_path, input="text", template=str(template))
    assert [each.name for each in found] == ["a.txt", "b.wav", "c", "d:1", "d:3"]
    assert [tensor.name for tensor in found[0].tensors] == ["text", "question"]
    assert found[0].tensors[0].values == [b"hello"]
    assert found[1].tensors[0].values == [b"RIFF\xff"]
    assert found[1].tensors[1].values == [b"why?"]


@pytest.mark.parametrize(
    ("name", "content", "settings", "problem"),
    [
        ("r.json", "{", {}, "is not a V2 request"),
        ("r.json", "[]", {}, "it has no inputs"),
        ("r.json", document({"name": "x"}), {}, "has no 'datatype'"),
        ("r.json", document({**TEXT, "datatype": "TEXT"}), {}, "datatype 'TEXT'; accepted: BOOL"),
        ("r.json", document({**TEXT, "shape": [3]}), {}, r"shape \[3\], but 1 values"),
        ("r.json", document({**TEXT, "data": [1]}), {}, "not a text: 1"),
        ("r.jsonl", document(TEXT) + "\n{}", {}, "payload 'r:2'"),
        ("r.jsonl", "\n", {}, "no request in it"),
        ("r.wav", "RIFF", {}, "payload.input is missing"),
        ("r.txt", " ", {"input": "text"}, "is empty"),
        ("r.mov", "x", {}, "ends in '.mov'; accepted: .json"),
    ],
)
def test_bad_payloads(
    tmp_path: Path, name: str, content: str, settings: dict[str, Any], problem: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LoadError, match=problem):
        read(tmp_path / name, **settings)


def test_order() -> None:
    def drawn(seed: int) -> list[int]:
        found: list[int] = payload_order("random", 3, 300, np.random.default_rng(seed)).tolist()
        return found

    assert payload_order("cycle", 3, 7, np.random.default_rng(0)).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert drawn(1) == drawn(1) != drawn(2)
    assert min(drawn(1).count(payload) for payload in range(3)) > 70


PAYLOAD = Payload(
    "p",
    (
        *(
            Tensor(datatype, datatype, (2,), np.array([0, 1], dtype))
            for datatype, dtype in NUMPY_DTYPES.items()
        ),
        Tensor("text", "BYTES", (2, 1), ["é".encode(), b""]),
        Tensor("media", "BYTES", (1, 1), [b"\xff\x00"]),
    ),
    {"beams": 2, "greedy": True, "language": "de", "penalty": 0.5},
)


def same(tensor: Tensor, other: Tensor) -> bool:
    return (tensor.datatype, tensor.shape) == (other.datatype, other.shape) and np.array_equal(
        np.asarray(tensor.values), np.asarray(other.values)
    )


@pytest.mark.parametrize("all_base64", [False, True])
def test_json_and_back(all_base64: bool) -> None:
    body = orjson.loads(encode_json(PAYLOAD, "7", all_base64=all_base64, trace=True))
    assert body["id"] == "7"
    assert body["parameters"] == {**PAYLOAD.parameters, "trace": True}
    by_name = {tensor["name"]: tensor for tensor in body["inputs"]}
    assert by_name["media"]["parameters"] == {"content_type": "base64"}
    assert ("parameters" in by_name["text"]) == all_base64
    answer = decode_json(orjson.dumps({"outputs": body["inputs"]}))
    assert all(same(tensor, answer.tensors[tensor.name]) for tensor in PAYLOAD.tensors)


def test_protobuf_and_back() -> None:
    request = ModelInferRequest.FromString(encode_grpc(PAYLOAD, "7", "m", None, trace=True))
    assert (request.model_name, request.id) == ("m", "7")
    assert request.parameters["trace"].bool_param
    assert request.parameters["beams"].int64_param == 2
    assert request.parameters["penalty"].string_param == "0.5"
    answer = ModelInferResponse(raw_output_contents=request.raw_input_contents)
    for tensor in request.inputs:
        answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    answer.parameters["trace"].string_param = '{"duration_us": 5}'
    found = decode_grpc(answer.SerializeToString())
    assert found.trace == {"duration_us": 5}
    assert all(same(tensor, found.tensors[tensor.name]) for tensor in PAYLOAD.tensors)


def test_typed_contents_are_read() -> None:
    answer = ModelInferResponse()
    answer.outputs.add(name="n", datatype="INT8", shape=[2]).contents.int_contents.extend([1, -2])
    answer.outputs.add(name="t", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"x")
    found = decode_grpc(answer.SerializeToString()).tensors
    assert np.asarray(found["n"].values).tolist() == [1, -2]
    assert found["t"].values == [b"x"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"outputs": []}', b'{"outputs": [1]}'])
def test_what_is_no_answer_over_rest(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer|tensor"):
        decode_json(body)


def answered(value: float, text: str = "a", request_id: str = "0") -> bytes:
    outputs = [
        {"name": "score", "datatype": "FP32", "shape": [1], "data": [value]},
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]},
    ]
    return orjson.dumps({"id": request_id, "outputs": outputs})


def test_a_consistent_answer_may_differ_in_its_id_and_rounding() -> None:
    check = AnswerCheck("consistent", decode_json)
    assert check.problem(0, answered(0.5)) is None
    assert check.problem(0, answered(0.5)) is None
    assert check.problem(0, answered(0.5000001, request_id="1")) is None
    assert check.problem(0, answered(0.6)) == (
        "output 'score' has another value: [0.6000000238418579]; wanted: [0.5]"
    )
    assert "output 'text' has another value" in str(check.problem(0, answered(0.5, "b")))
    # Another payload has another answer.
    assert check.problem(1, answered(0.6, "b")) is None


def test_only_what_is_expected_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "expected.json"
    file.write_text(json.dumps({"outputs": [json.loads(answered(0))["outputs"][1]]}))
    expected = read_expected(str(file), [PAYLOAD])
    check = AnswerCheck("expected", decode_json, expected)
    assert check.problem(0, answered(123)) is None
    assert check.problem(0, answered(123, "b")) is not None
    text_alone = orjson.dumps({"outputs": json.loads(answered(0))["outputs"][:1]})
    assert check.problem(0, text_alone) == "output 'text' is missing"


def test_levels() -> None:
    assert AnswerCheck("none", decode_json).problem(0, b"") is None
    valid = AnswerCheck("valid", decode_json)
    assert valid.problem(0, answered(1)) is None
    assert valid.problem(0, answered(2)) is None
    assert valid.problem(0, b"{}") == "the answer has no outputs"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "are not JSON"),
        ("{}", "none for payload 'p'"),
        ("[]", "not for 1 payloads"),
        ('{"p": {}}', "outputs"),
    ],
)
def test_bad_expectations(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "expected.json"
    file.write_text(content)
    with pytest.raises(LoadError, match=problem):
        read_expected(str(file), [PAYLOAD])
