from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest

from infergraph_clients.infer import cli
from infergraph_clients.infer.endpoint import Endpoint
from infergraph_clients.infer.errors import ServerError, Unreachable
from infergraph_clients.infer.message import Answer, Request
from infergraph_clients.infer.tensors import Metadata, Tensor, TensorSpec
from infergraph_clients.infer.transport import Infer
from tests.terminals import use_stdout

SPECS = (TensorSpec("text", "BYTES", (-1, 1)),)
TRACE = {
    "steps": [{"name": "reply", "transport": "grpc", "start_us": 0, "duration_us": 2000}],
    "duration_us": 2500,
}


class EchoServer:
    """A transport to a server that answers with the inputs.

    Attributes:
        endpoints: Where the command has connected to.
        asked: The models whose metadata it has asked for, with version and headers.
        requests: What it has sent.
        error: What a request ends with instead.
        counting: Whether each answer differs.
    """

    def __init__(self) -> None:
        self.endpoints: list[str] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.requests: list[Request] = []
        self.error: BaseException | None = None
        self.counting = False
        self.trace: dict[str, Any] | None = TRACE

    def connect(self, endpoint: Endpoint) -> EchoServer:
        self.endpoints.append(str(endpoint))
        return self

    def __enter__(self) -> EchoServer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def metadata(self, model: str, version: str, headers: Mapping[str, str]) -> Metadata:
        self.asked.append((model, version, dict(headers)))
        return Metadata(SPECS, SPECS)

    def infer(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        tensors = list(request.tensors)
        if self.counting:
            tensors.append(Tensor("n", "INT64", np.array([[len(self.requests)]])))
        parameters = {"trace": json.dumps(self.trace)} if self.trace is not None else {}
        return Answer(request.model, tensors, parameters, request.id)

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[Infer]:
        async def infer(request: Request) -> Answer:
            return self.infer(request)

        yield infer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> EchoServer:
    made = EchoServer()
    monkeypatch.setattr(cli, "connect", made.connect)
    return made


def test_an_answer_to_read(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["echo", "text=größer"]) == 0
    out, err = capsys.readouterr()
    first, *rest = out.splitlines()
    assert first.startswith("echo at grpc://127.0.0.1:8081: ")
    assert first.endswith(" ms")
    assert (rest, err) == (["  text  größer"], "")
    assert server.endpoints == ["grpc://127.0.0.1:8081"]


def test_a_batch_and_its_trace(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["echo", "text=a", "text=b", "--trace", "--protocol", "rest"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "item 0",
        "  text  a",
        "item 1",
        "  text  b",
        "trace",
        "  step   transport   start  queue  compute   total  batch",
        "  reply  grpc       0.0 ms      -        -  2.0 ms      -",
        "  in all: 2.5 ms",
    ]
    assert server.requests[0].parameters == {"trace": True}
    assert server.endpoints == ["http://127.0.0.1:8080"]


def test_a_server_that_knows_no_trace(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.trace = None
    assert cli.main(["echo", "text=a", "--trace"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "no trace: the server does not know the parameter"
    )


def test_json_alone_on_stdout(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["echo", "text=größer", "--json", "--trace", "--repeat", "2"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert "größer" in out
    assert content["outputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["größer"]}
    ]
    assert (content["model_name"], content["trace"], err) == ("echo", TRACE, "")
    assert len(content["times_ms"]) == 2


def test_letters_that_the_terminal_lacks_are_escaped(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = use_stdout(monkeypatch, "ascii")
    assert cli.main(["m", "text=Größe"]) == 0
    assert printed().splitlines()[1] == "  text  Gr\\u00f6\\u00dfe"


def test_json_stays_json_on_a_terminal_that_lacks_letters(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = use_stdout(monkeypatch, "ascii")
    assert cli.main(["m", "text=Größe \N{GRINNING FACE}", "--json"]) == 0
    assert json.loads(printed())["outputs"][0]["data"] == ["Größe \N{GRINNING FACE}"]


@pytest.mark.parametrize(
    ("arguments", "how"), [([], "3 requests in turn: "), (["--async"], "3 requests at once: ")]
)
def test_repeats(
    server: EchoServer, capsys: pytest.CaptureFixture[str], arguments: list[str], how: str
) -> None:
    assert cli.main(["echo", "text=a", "--repeat", "3", *arguments]) == 0
    assert len(server.requests) == 3
    out = capsys.readouterr().out
    assert how in out
    assert "differ" not in out


def test_repeats_that_differ_are_told(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.counting = True
    assert cli.main(["echo", "text=a", "--repeat", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "the answers differ; this is the last one",
        "  text  a",
        "  n     3",
    ]


def test_metadata_are_asked_with_the_same_version_and_headers(server: EchoServer) -> None:
    arguments = ["echo", "text=a", "--model-version", "2", "--header", "authorization=x"]
    assert cli.main(arguments) == 0
    assert server.asked == [("echo", "2", {"authorization": "x"})]


@pytest.mark.parametrize("arguments", [["echo", "--unchecked"], ["echo.pipeline"]])
def test_metadata_are_not_asked(server: EchoServer, arguments: list[str]) -> None:
    assert cli.main([*arguments, "anything=a"]) == 0
    assert server.asked == []
    assert [tensor.name for tensor in server.requests[0].tensors] == ["anything"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["txt=a"], "no input 'txt'; did you mean 'text'? accepted: text"),
        ([], "no inputs; accepted: text BYTES [-1, 1]"),
        (["--unchecked"], "no inputs"),
        (["text=a", "--outputs", "label"], "no output 'label'; accepted: text"),
        (["text=a", "--url", "localhost:1"], "--url 'localhost:1': it has no scheme"),
        (["text=@missing.wav"], "missing.wav: No such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_2_and_nothing_is_sent(
    server: EchoServer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    assert cli.main(["echo", *arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith(f"infergraph-infer: echo: {problem}")
    assert (out, server.requests) == ("", [])


@pytest.mark.parametrize(
    ("error", "status", "line", "content"),
    [
        (
            ServerError("503", "the queue is full"),
            1,
            "503: the queue is full",
            {"error": "the queue is full", "status": "503"},
        ),
        (
            Unreachable("no connection to grpc://h:1"),
            2,
            "no connection to grpc://h:1",
            {"error": "no connection to grpc://h:1", "status": None},
        ),
    ],
)
@pytest.mark.parametrize("asynchronous", [[], ["--async"]])
def test_errors(
    server: EchoServer,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    line: str,
    content: dict[str, Any],
    asynchronous: list[str],
) -> None:
    server.error = error
    assert cli.main(["echo", "text=a", *asynchronous]) == status
    assert capsys.readouterr() == ("", f"infergraph-infer: echo: {line}\n")
    assert cli.main(["echo", "text=a", "--json", *asynchronous]) == status
    out, err = capsys.readouterr()
    assert json.loads(out) == content
    assert err == f"infergraph-infer: echo: {line}\n"


def test_ctrl_c(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.error = KeyboardInterrupt()
    assert cli.main(["echo", "text=a"]) == 130
    assert capsys.readouterr() == ("", "")
