"""Payloads from files, their forms on the wire, and the checks of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.errors import UsageError
from infergraph_clients.load.cli.main import main
from infergraph_clients.load.configuration import PayloadSource, Target
from infergraph_clients.load.corpus import (
    AnswerCheck,
    payload_order,
    read_expected,
    read_payloads,
    settle,
)
from infergraph_clients.load.errors import LoadError
from infergraph_clients.payloads import Metadata, Payload, TensorSpec
from infergraph_clients.payloads.synthetic import Synthetic
from infergraph_clients.transports import Codec, Endpoint, Exchange, Route

TEXT = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["hé"]}
QUESTION = {"name": "question", "datatype": "BYTES", "shape": [1, 1], "data": ["why?"]}


def document(*inputs: Mapping[str, Any], **more: Any) -> str:
    return json.dumps({"inputs": inputs, **more})


def read(path: Path, **settings: Any) -> list[Payload]:
    return read_payloads(PayloadSource(path=str(path), **settings), Metadata())


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
    assert text.data.tolist() == [["hé".encode()]]
    assert numbers.data.tolist() == [[1, 2], [3, 4]]
    assert audio.data.tolist() == [b"\0\1\2"]


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
    assert found[0].tensors[0].data.tolist() == [[b"hello"]]
    assert found[1].tensors[0].data.tolist() == [[b"RIFF\xff"]]
    assert found[1].tensors[1].data.tolist() == [[b"why?"]]


@pytest.mark.parametrize(
    ("name", "content", "settings", "problem"),
    [
        ("r.json", "{", {}, "is not a V2 request"),
        ("r.json", "[]", {}, "it is a list"),
        ("r.json", document({"name": "x"}), {}, "its datatype is missing"),
        ("r.json", document({**TEXT, "datatype": "TEXT"}), {}, "datatype 'TEXT'; accepted: BOOL"),
        (
            "r.json",
            document({**TEXT, "shape": [3]}),
            {},
            r"shape \[3\] holds 3 values",
        ),
        ("r.json", document({**TEXT, "data": [1]}), {}, "1 .an integer.; accepted: strings"),
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
    with pytest.raises(UsageError, match=problem):
        read(tmp_path / name, **settings)


def test_order() -> None:
    def drawn(seed: int) -> list[int]:
        found: list[int] = payload_order("random", 3, 300, np.random.default_rng(seed)).tolist()
        return found

    assert payload_order("cycle", 3, 7, np.random.default_rng(0)).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert drawn(1) == drawn(1) != drawn(2)
    assert min(drawn(1).count(payload) for payload in range(3)) > 70


PAYLOAD = Payload("p", [Tensor.of_bytes("text", ["é".encode(), b""])])


DECODE = Codec(Route(Endpoint.parse("http://h"), "m")).decode


def ended(body: bytes, request_id: str = "0", payload: int = 0) -> Exchange:
    exchange = Exchange(0, payload, False, 0, lambda _: None)
    exchange.body, exchange.id = body, request_id.encode()
    return exchange


def answered(value: float, text: str = "a", request_id: str = "0", payload: int = 0) -> Exchange:
    outputs = [
        {"name": "score", "datatype": "FP32", "shape": [1], "data": [value]},
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]},
    ]
    return ended(orjson.dumps({"id": request_id, "outputs": outputs}), request_id, payload)


def test_a_consistent_answer_may_differ_in_its_id_and_rounding() -> None:
    check = AnswerCheck("consistent", DECODE)
    assert check.problem(answered(0.5)) is None
    assert check.problem(answered(0.5)) is None
    assert check.problem(answered(0.5000001, request_id="1")) is None
    assert check.problem(answered(0.6)) == (
        "output 'score' has another value: [0.6000000238418579]; wanted: [0.5]"
    )
    assert "output 'text' has another value" in str(check.problem(answered(0.5, "b")))
    # Another payload has another answer.
    assert check.problem(answered(0.6, "b", payload=1)) is None


def test_only_what_is_expected_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "expected.json"
    file.write_text(json.dumps({"outputs": [json.loads(answered(0).body)["outputs"][1]]}))
    expected = read_expected(str(file), [PAYLOAD])
    check = AnswerCheck("expected", DECODE, expected)
    assert check.problem(answered(123)) is None
    assert check.problem(answered(123, "b")) is not None
    text_alone = orjson.dumps({"outputs": json.loads(answered(0).body)["outputs"][:1]})
    assert check.problem(ended(text_alone)) == "output 'text' is missing"


def test_levels() -> None:
    assert AnswerCheck("none", DECODE).problem(ended(b"")) is None
    valid = AnswerCheck("valid", DECODE)
    assert valid.problem(answered(1)) is None
    assert valid.problem(answered(2)) is None
    assert "outputs is missing" in str(valid.problem(ended(b"{}")))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "are not JSON"),
        ("{}", "none for payload 'p'"),
        ("[]", "not for 1 payloads"),
        ('{"p": {}}', "outputs"),
        ('{"outputs": []}', "have one without outputs, which any answer would be"),
        ('[{"outputs": []}]', "have one without outputs, which any answer would be"),
    ],
)
def test_bad_expectations(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "expected.json"
    file.write_text(content)
    with pytest.raises(LoadError, match=problem):
        read_expected(str(file), [PAYLOAD])


def test_an_answer_that_is_the_same_is_not_parsed_again() -> None:
    parsed: list[Exchange] = []

    def decode(exchange: Exchange) -> Any:
        parsed.append(exchange)
        return DECODE(exchange)

    check = AnswerCheck("valid", decode)
    for number in range(10):
        assert check.problem(answered(1, request_id=f"run-{number}")) is None
    assert len(parsed) == 1
    assert check.problem(answered(2, request_id="run-11")) is None
    assert len(parsed) == 2


SPECS = Metadata(inputs=(TensorSpec("text", "BYTES", (-1, 1)), TensorSpec("n", "INT8", (-1, 1))))


def test_arguments_are_payloads_as_for_the_infer_command(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    inputs = (f"text=@{tmp_path / 'a.txt'}", "text=b", "n=[[1], [2]]")
    (payload,) = read_payloads(PayloadSource(inputs=inputs), SPECS)
    assert [tensor.data.tolist() for tensor in payload.tensors] == [
        [[b"hello"], [b"b"]],
        [[1], [2]],
    ]
    with pytest.raises(UsageError, match="no input 'txt'; did you mean 'text'"):
        read_payloads(PayloadSource(inputs=("txt=a",)), SPECS)


def test_synthetic_payloads() -> None:
    source = PayloadSource(synthetic=Synthetic(count=3, batch=2, ranges={"n": (5, 5)}))
    payloads = read_payloads(source, SPECS)
    assert len(payloads) == 3
    assert payloads[0].tensors[1].data.tolist() == [[5], [5]]
    with pytest.raises(UsageError, match="metadata declare its inputs"):
        read_payloads(source, Metadata())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "payload has no source; accepted: one of"),
        ({"path": "a", "inputs": ("b=c",)}, "payload has path and inputs; accepted: one of"),
    ],
)
def test_one_source(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(LoadError, match=problem):
        read_payloads(PayloadSource(**settings), SPECS)


def test_a_server_that_is_not_there_settles_the_simplest_format(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    file = tmp_path / "request.json"
    file.write_text(document(TEXT))
    target = Target(url=f"http://127.0.0.1:{unused_tcp_port}", model="m")
    settled, (payload,) = settle(target, PayloadSource(path=str(file)))
    assert (settled.format, settled.exact_parameters, payload.name) == ("json", False, "request")


@pytest.mark.parametrize("command", ["run", "profile"])
def test_synthetic_payloads_of_a_server_that_is_not_there_say_so(
    tmp_path: Path, unused_tcp_port: int, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    output = ("--output", str(tmp_path / "out"), "--synthetic")
    rate = ("--rate", "1") if command == "run" else ()
    assert main([command, "--url", url, "--model", "m", *rate, *output]) == 2
    assert capsys.readouterr().err == (
        f"infergraph-load {command}: the model's metadata cannot be read: no connection to {url}: "
        "Connection refused\n"
    )


def test_secrets_are_in_no_report_and_reach_the_server() -> None:
    headers = {"Authorization": "Bearer abc", "x-team": "a"}
    target = Target(url="http://h", model="m", headers=headers)
    assert target.model_dump(mode="json")["headers"] == {"Authorization": "***", "x-team": "a"}
    assert "abc" not in target.model_dump_json()
    # Workers are told what is to be sent.
    assert Target(**target.model_dump()).route().headers == headers
