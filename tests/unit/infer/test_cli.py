from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.errors import ServerError, Unreachable
from infergraph_clients.infer import cli
from infergraph_clients.payloads import Metadata, Payload, TensorSpec
from infergraph_clients.transports import Answer, Reply, Route
from tests.terminals import use_stdout

SPECS = (TensorSpec("text", "BYTES", (-1, 1)),)
TRACE = {
    "steps": [{"name": "reply", "transport": "grpc", "start_us": 0, "duration_us": 2000}],
    "duration_us": 2500,
}


class EchoServer:
    """A client of a server that answers with the inputs.

    Attributes:
        routes: What the command has connected to.
        asked: How often it has asked for metadata.
        payloads: What it has sent.
        traced: Whether the last of them asked for a trace.
        timeout_s: Its time limit.
        error: What a request ends with instead.
        fails_at: The request that ends so; None for all. The others then wait for ever.
        cancelled: How many requests were taken back.
        counting: Whether each answer differs.
    """

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.asked = 0
        self.payloads: list[Payload] = []
        self.traced = False
        self.timeout_s: float | None = None
        self.error: BaseException | None = None
        self.fails_at: int | None = None
        self.cancelled = 0
        self.counting = False
        self.trace: dict[str, Any] | None = TRACE

    def connect(self, route: Route) -> EchoServer:
        self.routes.append(route)
        return self

    async def __aenter__(self) -> EchoServer:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def metadata(self) -> Metadata:
        self.asked += 1
        return Metadata(SPECS, SPECS)

    async def infer(
        self,
        payload: Payload,
        *,
        trace: bool,
        timeout_s: float | None,
        on_answer: Callable[[Answer], None] | None,
    ) -> Reply:
        self.payloads.append(payload)
        self.traced, self.timeout_s = trace, timeout_s
        number = len(self.payloads)
        if self.error is not None and self.fails_at in (None, number):
            raise self.error
        if self.fails_at is not None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        tensors = list(payload.tensors)
        if self.counting:
            tensors.append(Tensor("n", "INT64", np.array([[number]])))
        parameters = {"trace": json.dumps(self.trace)} if self.trace is not None else {}
        answer = Answer(tensors, parameters, self.routes[0].model, payload.id)
        if not self.routes[0].stream:
            return Reply(answer, 0.01)
        if on_answer is not None:
            on_answer(answer)
        return Reply(answer, 0.03, 0.02)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> EchoServer:
    made = EchoServer()
    monkeypatch.setattr(cli, "Client", made.connect)
    return made


def test_an_answer_to_read(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["echo", "text=größer"]) == 0
    out, err = capsys.readouterr()
    first, *rest = out.splitlines()
    assert first.startswith("echo at grpc://127.0.0.1:8081: ")
    assert first.endswith(" ms")
    assert (rest, err) == (["  text  größer"], "")
    assert [str(route.endpoint) for route in server.routes] == ["grpc://127.0.0.1:8081"]


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
    assert server.traced
    assert [str(route.endpoint) for route in server.routes] == ["http://127.0.0.1:8080"]


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
    assert len(server.payloads) == 3
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
    assert server.asked == 1
    (route,) = server.routes
    assert (route.model, route.version, route.headers) == ("echo", "2", {"authorization": "x"})


@pytest.mark.parametrize("arguments", [["echo", "--unchecked"], ["echo.pipeline"]])
def test_metadata_are_not_asked(server: EchoServer, arguments: list[str]) -> None:
    assert cli.main([*arguments, "anything=a"]) == 0
    assert server.asked == 0
    assert [tensor.name for tensor in server.payloads[0].tensors] == ["anything"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["txt=a"], "no input 'txt'; did you mean 'text'? accepted: text"),
        ([], "no inputs; accepted: text BYTES [-1, 1]"),
        (["--unchecked"], "no inputs"),
        (["text=a", "--outputs", "label"], "no output 'label'; accepted: text"),
        (["text=a", "--url", "localhost:1"], "url 'localhost:1': it has no scheme"),
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
    assert (out, server.payloads) == ("", [])


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


def test_at_once_takes_the_rest_back_after_an_error(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.error, server.fails_at = ServerError("503", "busy"), 3
    assert cli.main(["echo", "text=a", "--async", "--repeat", "4"]) == 1
    assert capsys.readouterr().err == "infergraph-infer: echo: 503: busy\n"
    assert server.cancelled == 3


def test_in_turn_ends_with_the_first_error(server: EchoServer) -> None:
    server.error = ServerError("503", "busy")
    assert cli.main(["echo", "text=a", "--repeat", "4"]) == 1
    assert len(server.payloads) == 1


def test_the_client_waits_a_second_longer_than_the_deadline(server: EchoServer) -> None:
    assert cli.main(["echo", "text=a", "--deadline", "250"]) == 0
    assert server.routes[0].headers == {"infergraph-timeout-ms": "250"}
    assert server.timeout_s == 1.25


def test_a_stream_is_printed_as_it_comes(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["echo", "text=a", "--stream"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  text  a",
        "echo at grpc://127.0.0.1:8081: 30.0 ms; the first of 1 answers after 20.0 ms",
    ]
    assert cli.main(["echo", "text=a", "--stream", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["outputs"][0]["data"], content["stream"]["first_ms"]) == (["a"], 20.0)
