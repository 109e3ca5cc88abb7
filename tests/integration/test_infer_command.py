"""`infergraph-infer` with real servers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FRONT_ENDS, HELD_QUEUE, SAMPLES, Echoes
from .infer_command import infer, infer_program, start
from .odd_servers import ODD_ANSWERS, odd_server
from .server import PROXIES, REPOSITORY, STOP_SECONDS, ServerProcess, wait_for

ECHO_REQUEST = REPOSITORY / "model-settings" / "echo" / "request.json"
CLIENTS = ([], ["--async"])
GONE = {"rest": "504", "grpc": "DEADLINE_EXCEEDED"}
INVALID = {"rest": "400", "grpc": "INVALID_ARGUMENT"}
UNKNOWN = {"rest": "404", "grpc": "NOT_FOUND"}
INTERNAL = {"rest": "500", "grpc": "INTERNAL"}


def url(server: ServerProcess, front_end: str) -> str:
    return server.url if front_end == "rest" else server.grpc_url


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_spoken_question(
    models: ServerProcess, samples: list[dict[str, Any]], front_end: str, client: list[str]
) -> None:
    sample = samples[0]
    done = infer_program(
        *("audio-qa", f"audio=@{SAMPLES / 'question-1.wav'}", f"context={sample['context']}"),
        *("--url", url(models, front_end), "--trace", *client),
    )
    answer, score, transcript, trace, head, hear, reply, in_all = done.lines
    assert done.output.startswith(f"audio-qa at {url(models, front_end)}: ")
    assert answer.split() == ["answer", sample["answer"]]
    assert score.split()[0] == "score"
    assert 0.5 < float(score.split()[1]) <= 1
    assert transcript.split() == ["transcript", *sample["transcript"].split()]
    assert (trace, head.split()[:3]) == ("trace", ["step", "transport", "start"])
    assert hear.split()[:2] == ["speech-to-text", "in-process"]
    assert reply.split()[:2] == ["question-answering", "in-process"]
    assert in_all.startswith("  in all: ")


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_batch_of_files(
    models: ServerProcess, samples: list[dict[str, Any]], front_end: str
) -> None:
    files = [f"audio=@{path}" for path in sorted(SAMPLES.glob("question-*.wav"))]
    contexts = [f"context={sample['context']}" for sample in samples]
    done = infer("audio-qa", *files, *contexts, "--url", url(models, front_end), "--json")
    assert done.outputs["answer"] == [sample["answer"] for sample in samples]
    assert done.outputs["transcript"] == [sample["transcript"] for sample in samples]
    assert done.content["outputs"][1]["shape"] == [len(samples), 1]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_wanted_outputs_alone(
    models: ServerProcess, samples: list[dict[str, Any]], front_end: str
) -> None:
    done = infer(
        *("audio-qa", f"audio=@{SAMPLES / 'question-1.wav'}"),
        *(f"context={samples[0]['context']}", "--outputs", "answer"),
        *("--url", url(models, front_end), "--json"),
    )
    assert done.outputs == {"answer": [samples[0]["answer"]]}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_datatype_there_and_back(
    models: ServerProcess, tmp_path: Path, front_end: str, client: list[str]
) -> None:
    arrays: dict[str, Any] = {
        "flag": np.array([[True], [False]]),
        "half": np.array([[0.5], [-1.5]], np.float16),
        "single": np.array([[0.5], [-1e30]], np.float32),
        "double": np.array([[0.1], [-1e300]]),
        **{
            f"{kind}{bits}": np.array([[limits.min], [limits.max]], limits.dtype)
            for kind in ("int", "uint")
            for bits in (8, 16, 32, 64)
            for limits in [np.iinfo(f"{kind}{bits}")]
        },
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    audio = SAMPLES / "question-1.wav"
    done = infer(
        *("echo", *(f"{name}=@{tmp_path / name}.npy" for name in arrays)),
        *("text=größer", "text=@@home", f"file=@{audio}", f"file=@{audio}"),
        *("--url", url(models, front_end), "--json", *client),
    )
    outputs = done.outputs
    for name, array in arrays.items():
        # Numbers are written as short as their datatype needs.
        assert np.array(outputs[name], array.dtype).tolist() == array.ravel().tolist(), name
    assert outputs["text"] == ["größer", "@home"]
    assert [base64.b64decode(each) for each in outputs["file"]] == [audio.read_bytes()] * 2


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_request_from_stdin(models: ServerProcess, front_end: str) -> None:
    done = infer(
        *("echo", "--request", "-", "--url", url(models, front_end), "--json"),
        stdin=ECHO_REQUEST.read_bytes(),
    )
    sent = json.loads(ECHO_REQUEST.read_text())["inputs"]
    assert done.outputs == {each["name"]: each["data"] for each in sent}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_parameters(models: ServerProcess, front_end: str) -> None:
    text = "text=Helen Gardner lives in Ottawa. She has a goat. Oscar Olsen met her in May."
    where = ("--url", url(models, front_end), "--json")
    whole = infer("summarization", text, *where)
    short = infer("summarization", text, *where, "--parameter", "max_new_tokens=2")
    # A fraction, which V2's gRPC messages cannot hold.
    fraction = infer("summarization", text, *where, "--parameter", "length_penalty=1.5")
    refused = infer("summarization", text, *where, "--parameter", "num_beems=2")
    (whole_text,), (short_text,) = whole.outputs["text"], short.outputs["text"]
    assert whole_text.startswith(short_text.rstrip())
    assert len(short_text) < len(whole_text)
    assert fraction.status == 0, fraction.errors
    assert (refused.status, refused.content["status"]) == (1, INVALID[front_end])
    assert "num_beems" in refused.error


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_headers_reach_the_model(echoes: Echoes, front_end: str, client: list[str]) -> None:
    done = infer(
        *("headers", "text=a", "--url", url(echoes.stages, front_end), "--json", *client),
        *("--header", "X-Team=search", "--seldon", "--deadline", "60000"),
    )
    seen = json.loads(done.outputs["headers"][0])
    assert (seen["x-team"], seen["seldon-model"]) == ("search", "headers")
    assert 0 < float(seen["infergraph-timeout-ms"]) <= 60000


@pytest.mark.parametrize("client", [[], ["--async"], ["--unchecked"]])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_proxy_of_the_environment_is_not_used(
    echoes: Echoes, front_end: str, client: list[str]
) -> None:
    where = ("--url", url(echoes.stages, front_end), "--json")
    done = infer_program("headers", "text=a", *where, *client, environment=PROXIES)
    assert list(done.outputs) == ["headers"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_letters_that_the_terminal_lacks_are_escaped(echoes: Echoes, front_end: str) -> None:
    given = ("picky", "text=Größe", "--url", url(echoes.stages, front_end))
    done = infer_program(*given, environment={"PYTHONIOENCODING": "ascii"})
    assert done.lines == ["  text  Gr\\u00f6\\u00dfe"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_seldon_pipeline_by_its_header(echoes: Echoes, front_end: str) -> None:
    done = infer("headers.pipeline", "text=a", "--url", url(echoes.stages, front_end), "--json")
    assert json.loads(done.outputs["headers"][0])["seldon-model"] == "headers.pipeline"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("front_end", "compression"),
    [("rest", "gzip"), ("rest", "deflate"), ("grpc", "gzip"), ("grpc", "deflate")],
)
def test_compression(
    models: ServerProcess, front_end: str, compression: str, client: list[str]
) -> None:
    text = "a text to compress " * 100
    done = infer(
        *("echo", f"text={text}", "--url", url(models, front_end), "--json"),
        *("--compression", compression, *client),
    )
    assert done.outputs == {"text": [text]}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_the_server_keeps_the_deadline(echoes: Echoes, front_end: str, client: list[str]) -> None:
    gate = echoes.gate("held")
    try:
        where = ("--url", url(echoes.stages, front_end), "--deadline", "300")
        done = infer("held", "text=late", *where, *client, "--json")
    finally:
        gate.open()
    assert (done.status, done.content["status"]) == (1, GONE[front_end])
    assert "deadline of 300 ms passed" in done.error


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_the_client_gives_up_on_a_server_that_never_answers(
    front_end: str, client: list[str]
) -> None:
    with odd_server(None) as silent:
        where = silent if front_end == "rest" else silent.replace("http", "grpc")
        done = infer("m", "text=a", "--unchecked", "--deadline", "50", "--url", where, *client)
    assert (done.status, done.output) == (1, "")
    assert done.error == f"timeout: no answer from {where} within 1050 ms"


@pytest.mark.parametrize(
    ("kind", "client"),
    [
        *((kind, []) for kind in ODD_ANSWERS),
        *((kind, ["--async"]) for kind in ("nothing", "half", "no http", "html")),
    ],
)
def test_odd_answers_are_one_line(kind: str, client: list[str]) -> None:
    with odd_server(ODD_ANSWERS[kind]) as where:
        done = infer("m", "text=a", "--url", where, "--json", *client)
    status = "502" if kind == "a proxy's error" else "no answer"
    assert (done.status, done.content["status"]) == (1, status)
    assert done.error == f"{status}: {done.content['error']}"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_at_once_is_at_once(echoes: Echoes, front_end: str) -> None:
    """All requests are in the server's hands before it answers the first."""
    gate = echoes.gate("held")
    count = HELD_QUEUE
    where = ("--url", url(echoes.stages, front_end))
    process = start("held", "text=a", *where, "--async", "--repeat", str(count))
    try:
        wait_for(lambda: len(gate.noted("arrived")) == count)
    finally:
        gate.open()
        output, errors = process.communicate(timeout=STOP_SECONDS)
    first, text = output.decode().splitlines()
    assert (process.returncode, errors) == (0, b"")
    assert f": {count} requests at once: shortest " in first
    assert text == "  text  a"


@pytest.mark.parametrize(
    ("front_end", "given", "problem"),
    [
        ("grpc", ["txt=a"], "no input 'txt'; did you mean 'text'? accepted: text"),
        ("rest", ["txt=a"], "no input 'txt'; did you mean 'text'? accepted: text"),
        ("grpc", ["text=a", "--outputs", "label"], "no output 'label'; accepted: text"),
        ("rest", ["text=@missing.wav"], "missing.wav: No such file or directory"),
        ("grpc", [], "no inputs; accepted: text BYTES [-1, 1]"),
    ],
)
def test_bad_input_ends_before_anything_is_sent(
    echoes: Echoes, front_end: str, given: list[str], problem: str
) -> None:
    gate = echoes.gate("held")
    done = infer("held", *given, "--url", url(echoes.stages, front_end))
    gate.open()
    assert (done.status, done.output, done.error) == (2, "", problem)
    assert gate.noted("arrived") == []


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_bad_arrays_end_before_anything_is_sent(
    echoes: Echoes, tmp_path: Path, front_end: str
) -> None:
    np.save(tmp_path / "numbers.npy", np.zeros((2, 3)))
    given = ("typed", "text=a", f"numbers=@{tmp_path / 'numbers.npy'}")
    done = infer(*given, "--url", url(echoes.stages, front_end))
    assert done.status == 2
    assert "input 'numbers' is FP32 [-1, 3]" in done.error
    assert "holds float64; save it with .astype('float32')" in done.error


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(
    ("model", "text", "statuses", "problem"),
    [
        ("picky", "poison", INVALID, "on which this model must fail"),
        ("broken", "a", INTERNAL, ""),
        ("nobody", "a", UNKNOWN, "nobody"),
    ],
)
def test_the_servers_errors(
    echoes: Echoes,
    front_end: str,
    model: str,
    text: str,
    statuses: dict[str, str],
    problem: str,
) -> None:
    done = infer(model, f"text={text}", "--url", url(echoes.stages, front_end), "--json")
    assert (done.status, done.content["status"]) == (1, statuses[front_end])
    assert problem in done.content["error"]
    assert done.error == f"{statuses[front_end]}: {done.content['error']}"
    assert "secret" not in done.output + done.errors


# Unchecked, the request itself finds nobody; else, the question for the metadata.
@pytest.mark.parametrize("client", [[], ["--unchecked"], ["--unchecked", "--async"]])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_no_server(echoes: Echoes, front_end: str, client: list[str]) -> None:
    where = echoes.nothing[front_end]
    done = infer_program("m", "text=a", "--url", where, *client)
    assert (done.status, done.output) == (2, "")
    assert done.error.startswith(f"no connection to {where}: ")


def test_a_reader_that_goes_away(models: ServerProcess) -> None:
    process = start("echo", "text=a", "--url", models.grpc_url)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(STOP_SECONDS) == 0
