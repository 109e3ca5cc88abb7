from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infergraph_clients.errors import UsageError
from infergraph_clients.infer.cli import Asking, parse_arguments
from infergraph_clients.payloads import Metadata, Payload, TensorSpec

METADATA = Metadata(
    inputs=(TensorSpec("text", "BYTES", (-1, 1)), TensorSpec("question", "BYTES", (-1, 1))),
    outputs=(TensorSpec("summary", "BYTES", (-1, 1)), TensorSpec("answer", "BYTES", (-1, 1))),
)
BODY: dict[str, Any] = {
    "id": "seven",
    "parameters": {"num_beams": 2, "length": "short"},
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "b"]}],
    "outputs": [{"name": "answer"}],
}


def ask(*arguments: str, model: str = "sum-qa") -> Asking:
    return Asking.of(parse_arguments([model, *arguments]))


def body_file(folder: Path, **changes: Any) -> str:
    path = folder / "request.json"
    path.write_text(json.dumps({**BODY, **changes}))
    return str(path)


def outputs_of(payload: Payload) -> list[str]:
    return [output.name for output in payload.outputs]


def test_the_simplest_request() -> None:
    asking = ask("text=a", "text=b")
    payload = asking.payload(METADATA)
    (tensor,) = payload.tensors
    assert (asking.route.model, asking.route.version, payload.items) == ("sum-qa", "", 2)
    assert tensor.data.ravel().tolist() == [b"a", b"b"]
    assert (payload.parameters, asking.route.headers, payload.outputs) == ({}, {}, ())
    assert asking.route.compression is None


def test_all_options_together() -> None:
    asking = ask(
        "text=a", "--parameter", "num_beams=4", "--parameter", "trace=no", "--stream",
        *("--header", "x-team=search", "--outputs", "answer", "--model-version", "3"),
        *("--compression", "gzip", "--url", "https://h", "--ca", "ca.pem", "--format", "base64"),
    )  # fmt: skip
    payload, route = asking.payload(METADATA), asking.route
    assert payload.parameters == {"num_beams": 4, "trace": "no"}
    assert route.headers == {"x-team": "search"}
    assert (outputs_of(payload), route.version, route.compression) == (["answer"], "3", "gzip")
    assert (route.stream, route.tls.ca, route.format) == (True, "ca.pem", "base64")


def test_a_header_of_ones_own_holds_over_the_commands() -> None:
    arguments = ("text=a", "--deadline", "9", "--header", "Infergraph-Timeout-Ms=5")
    assert ask(*arguments).route.headers == {"Infergraph-Timeout-Ms": "5"}


def test_seldon_models_need_their_header() -> None:
    asking = ask("text=a", "--seldon")
    assert asking.route.headers == {"seldon-model": "sum-qa"}
    assert (asking.route.model, asking.unchecked) == ("sum-qa", False)


def test_seldon_pipelines_have_no_metadata_and_no_suffix_on_the_path() -> None:
    asking = ask("text=a", model="sum-qa.pipeline")
    assert asking.route.headers == {"seldon-model": "sum-qa.pipeline"}
    assert (asking.route.model, asking.unchecked) == ("sum-qa", True)
    assert asking.payload(Metadata()).tensors[0].datatype == "BYTES"


def test_a_request_from_a_file(tmp_path: Path) -> None:
    request = ask("--request", body_file(tmp_path)).payload(METADATA)
    assert request.tensors[0].data.ravel().tolist() == [b"a", b"b"]
    assert request.parameters == {"num_beams": 2, "length": "short"}
    assert (outputs_of(request), request.id) == (["answer"], "seven")


def test_options_hold_over_the_file(tmp_path: Path) -> None:
    options = ("--parameter", "num_beams=4", "--outputs", "summary")
    request = ask("--request", body_file(tmp_path), *options).payload(METADATA)
    assert request.parameters == {"num_beams": 4, "length": "short"}
    assert outputs_of(request) == ["summary"]


def test_a_request_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(json.dumps(BODY).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert ask("--request", "-").payload(METADATA).id == "seven"


def test_the_companion_of_an_output_may_be_asked_for() -> None:
    request = ask("text=a", "--outputs", "summary,summary_item").payload(METADATA)
    assert outputs_of(request) == ["summary", "summary_item"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["text"], "'text' is no input"),
        (["text=a", "--request", "r.json"], "inputs and --request exclude each other"),
        (["--request", "missing.json"], "--request missing.json: No such file or directory"),
        (["text=a", "--parameter", "x"], "--parameter 'x'; accepted: NAME=VALUE"),
        (["text=a", "--header", "x"], "--header 'x'; accepted: NAME=VALUE"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(*arguments)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["txt=a"], "no input 'txt'; did you mean 'text'? accepted: text, question"),
        (
            ["text=a", "text=b", "question=c"],
            "the inputs hold different numbers of items: 'text' 2, 'question' 1",
        ),
        (
            ["text=a", "--outputs", "sumary"],
            "no output 'sumary'; did you mean 'summary'? accepted: summary, answer",
        ),
    ],
)
def test_arguments_that_the_model_does_not_take(arguments: list[str], problem: str) -> None:
    asking = ask(*arguments)
    with pytest.raises(UsageError) as caught:
        asking.payload(METADATA)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "txt"}, "no input 'txt'"),
        ({"datatype": "FP32", "data": [1, 2]}, "input 'text' is FP32; accepted: BYTES"),
        ({"shape": [2]}, "input 'text' has shape [2]; accepted: [-1, 1]"),
    ],
)
def test_a_file_that_the_model_does_not_take(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    asking = ask("--request", body_file(tmp_path, inputs=[{**BODY["inputs"][0], **changes}]))
    with pytest.raises(UsageError) as caught:
        asking.payload(METADATA)
    assert problem in str(caught.value)


def test_a_model_that_declares_no_outputs_may_be_asked_for_any() -> None:
    request = ask("text=a", "--outputs", "whatever").payload(Metadata(METADATA.inputs))
    assert outputs_of(request) == ["whatever"]
