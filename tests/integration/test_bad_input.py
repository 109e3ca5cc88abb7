"""Bad requests: the right status at both front ends, the cause in the text, a healthy server."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import soundfile
from mlserver.grpc import dataplane_pb2 as pb

from .conftest import FRONT_ENDS, Connect, Echoes
from .server import ServerProcess
from .v2 import Answer, Client, GrpcClient, Raw, RestClient, Values, pack_bytes

NUMBERS = np.array([[1, 2, 3]], np.float32)
GOOD: Mapping[str, Values] = {"numbers": NUMBERS, "text": ["a"]}
HOUR = 3600


def assert_refused(answer: Answer, status: int, *fragments: str) -> None:
    """The answer has this status; its text has all fragments, and shows nothing of the inside."""
    assert answer.status == status, answer.body
    for fragment in fragments:
        assert fragment in answer.error
    for inside in ("Traceback", 'File "', ".py", "0x7f"):
        assert inside not in answer.body


async def assert_healthy(client: Client) -> None:
    answer = await client.infer("typed", GOOD)
    assert answer["numbers"].tolist() == NUMBERS.tolist()


REFUSED_BY_THE_DECLARATION: Mapping[str, tuple[Mapping[str, Values | Raw], tuple[str, ...]]] = {
    "no such tensor": (
        {**GOOD, "nmbers": NUMBERS},
        ("no input tensor 'nmbers'", "numbers FP32 [-1, 3]", "text BYTES [-1, 1]"),
    ),
    "a tensor missing": ({"numbers": NUMBERS}, ("missing input tensor", "text BYTES")),
    "wrong datatype": (
        {**GOOD, "numbers": NUMBERS.astype(np.float64)},
        ("tensor 'numbers'", "FP64", "accepted: FP32"),
    ),
    "wrong shape": (
        {**GOOD, "numbers": np.zeros((1, 4), np.float32)},
        ("tensor 'numbers'", "[1, 4]", "accepted: [-1, 3]"),
    ),
    "wrong rank": (
        {**GOOD, "numbers": np.zeros(3, np.float32)},
        ("tensor 'numbers'", "[3]", "accepted: [-1, 3]"),
    ),
    "empty batch": (
        {"numbers": np.zeros((0, 3), np.float32), "text": []},
        ("tensor 'numbers'", "[0, 3]", "empty batch"),
    ),
    "batches of different sizes": (
        {"numbers": np.zeros((2, 3), np.float32), "text": ["a"]},
        ("'numbers'", "'text'", "2", "1"),
    ),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("name", REFUSED_BY_THE_DECLARATION)
async def test_a_request_that_is_not_as_declared_is_400(
    echoes: Echoes, connect: Connect, front_end: str, name: str
) -> None:
    client = connect(echoes.stages, front_end)
    tensors, fragments = REFUSED_BY_THE_DECLARATION[name]
    assert_refused(await client.infer("typed", tensors), 400, "model 'typed'", *fragments)
    await assert_healthy(client)


CONTRADICTORY_JSON: Mapping[str, tuple[Raw, tuple[str, ...]]] = {
    "too few values": (Raw("FP32", [2, 3], [1, 2, 3]), ("[2, 3]", "6", "3")),
    "too many values": (Raw("FP32", [1, 3], [1, 2, 3, 4]), ("[1, 3]", "3", "4")),
    "strings as numbers": (Raw("FP32", [1, 3], ["1", "2", "3"]), ("FP32", "numbers")),
    "fractions as integers": (Raw("INT64", [1, 3], [1.5, 2, 3]), ("INT64", "1.5", "integers")),
    "out of range": (Raw("UINT8", [1, 3], [1, 2, 300]), ("UINT8", "300")),
    "uneven nesting": (Raw("FP32", [1, 3], [[1, 2], [3]]), ("nested", "[1, 3]")),
    "a negative size": (Raw("FP32", [-1, 3], [1, 2, 3]), ("[-1, 3]", "negative")),
    "not base64": (
        Raw("BYTES", [1, 3], ["a", "b", "c"], {"content_type": "base64"}),
        ("base64",),
    ),
}


@pytest.mark.parametrize("name", CONTRADICTORY_JSON)
async def test_a_rest_request_that_contradicts_itself_is_422(
    echoes: Echoes, connect: Connect, name: str
) -> None:
    client = connect(echoes.stages, "rest")
    tensor, fragments = CONTRADICTORY_JSON[name]
    answer = await client.infer("typed", {**GOOD, "numbers": tensor})
    assert_refused(answer, 422, "tensor 'numbers'", *fragments)
    await assert_healthy(client)


BODIES: Mapping[str, tuple[bytes, str]] = {
    "not JSON": (b'{"inputs": [', "JSON"),
    "not an object": (b"[1, 2]", ""),
    "not UTF-8": (b'{"id": "\xff"}', ""),
    "no inputs": (b'{"id": "secret"}', "inputs"),
    "data is null": (
        json.dumps(
            {"inputs": [{"name": "numbers", "datatype": "FP32", "shape": [1], "data": None}]}
        ).encode(),
        "data",
    ),
    "an unknown datatype": (
        json.dumps(
            {"inputs": [{"name": "numbers", "datatype": "FP13", "shape": [1], "data": [7]}]}
        ).encode(),
        "datatype 'FP13'; accepted: BOOL",
    ),
    "no shape": (
        json.dumps({"inputs": [{"name": "numbers", "datatype": "FP32", "data": [7]}]}).encode(),
        "shape",
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_not_v2_is_422_and_not_repeated(
    echoes: Echoes, connect: Connect, name: str
) -> None:
    client = connect(echoes.stages, "rest")
    assert isinstance(client, RestClient)
    body, fragment = BODIES[name]
    answer = await client.post("typed", body)
    assert_refused(answer, 422, fragment)
    assert "secret" not in answer.body
    await assert_healthy(client)


def grpc_request(**contents: Any) -> pb.ModelInferRequest:
    """`numbers` [1, 3] and `text` [1, 1], without contents but the given raw ones."""
    request = pb.ModelInferRequest(model_name="typed", **contents)
    request.inputs.add(name="numbers", datatype="FP32", shape=[1, 3])
    request.inputs.add(name="text", datatype="BYTES", shape=[1, 1])
    return request


def typed_request(numbers: list[float]) -> pb.ModelInferRequest:
    request = grpc_request()
    request.inputs[0].contents.fp32_contents.extend(numbers)
    request.inputs[1].contents.bytes_contents.append(b"a")
    return request


RAW_TEXT = pack_bytes(["a"])
CONTRADICTORY_GRPC: Mapping[str, tuple[pb.ModelInferRequest, tuple[str, ...]]] = {
    "too few bytes": (
        grpc_request(raw_input_contents=[bytes(8), RAW_TEXT]),
        ("tensor 'numbers'", "12 bytes", "8"),
    ),
    "too many bytes": (
        grpc_request(raw_input_contents=[bytes(13), RAW_TEXT]),
        ("tensor 'numbers'", "12 bytes", "13"),
    ),
    "an element cut short": (
        grpc_request(raw_input_contents=[bytes(12), RAW_TEXT[:-1]]),
        ("tensor 'text'", "cut"),
    ),
    "a length cut short": (
        grpc_request(raw_input_contents=[bytes(12), b"\x01\x00"]),
        ("tensor 'text'", "length"),
    ),
    "too many elements": (
        grpc_request(raw_input_contents=[bytes(12), RAW_TEXT * 2]),
        ("tensor 'text'", "the shape holds 1 elements", "more"),
    ),
    "too few contents": (
        grpc_request(raw_input_contents=[bytes(12)]),
        ("2 tensors came with 1 raw contents",),
    ),
    "too many contents": (
        grpc_request(raw_input_contents=[bytes(12), RAW_TEXT, b""]),
        ("2 tensors", "3"),
    ),
    "typed contents too short": (typed_request([1, 2]), ("tensor 'numbers'", "[1, 3]", "2")),
    "no contents": (grpc_request(), ("tensor 'numbers'",)),
}


@pytest.mark.parametrize("name", CONTRADICTORY_GRPC)
async def test_a_grpc_request_that_contradicts_itself_is_invalid_argument(
    echoes: Echoes, connect: Connect, name: str
) -> None:
    client = connect(echoes.stages, "grpc")
    assert isinstance(client, GrpcClient)
    request, fragments = CONTRADICTORY_GRPC[name]
    assert_refused(await client.send(request), 400, *fragments)
    await assert_healthy(client)


async def test_typed_contents_are_accepted(echoes: Echoes, connect: Connect) -> None:
    client = connect(echoes.stages, "grpc")
    assert isinstance(client, GrpcClient)
    answer = await client.send(typed_request([1, 2, 3]))
    assert answer["numbers"].tolist() == NUMBERS.tolist()


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_an_unknown_model_is_404(echoes: Echoes, connect: Connect, front_end: str) -> None:
    client = connect(echoes.stages, front_end)
    assert_refused(await client.infer("no-such-model", GOOD), 404, "no-such-model")
    await assert_healthy(client)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", ["in-process", "grpc", "rest"])
async def test_a_model_that_crashes_is_500_and_tells_no_secret(
    echoes: Echoes, connect: Connect, front_end: str, transport: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer("through-broken", {"text": ["a"]})
    endpoint = {
        "in-process": "in process",
        "grpc": echoes.stages.grpc_url,
        "rest": echoes.stages.url,
    }
    assert_refused(answer, 500, "'through-broken'", "'broken'", endpoint[transport], "RuntimeError")
    assert "secret" not in answer.body
    assert (await client.infer("chain", {"numbers": NUMBERS}))["numbers"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", ["in-process", "grpc", "rest"])
async def test_a_pipeline_refuses_what_it_does_not_declare(
    echoes: Echoes, connect: Connect, front_end: str, transport: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer("chain", {"nmbers": NUMBERS})
    assert_refused(answer, 400, "'chain'", "'nmbers'", "numbers FP32 [-1, -1]")


def wav(samples: Any, rate: int = 16000, container: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype="PCM_16")
    return file.getvalue()


def bad_audio() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    silence = wav(np.zeros(16000))
    return {
        "not audio": (b"\x89PNG\r\n\x1a\n" + bytes(64), ("not audio", "WAV, FLAC, OGG or MP3")),
        "text": (b"What colour is the sky?", ("not audio", "WAV, FLAC, OGG or MP3")),
        "no bytes": (b"", ("no bytes", "WAV, FLAC, OGG or MP3")),
        "zero length": (wav(np.zeros(0)), ("zero length",)),
        "damaged": (silence[:20] + bytes(20), ("audio",)),
        # Constant, it takes 100 kB as FLAC: the limit is one of seconds, not of bytes.
        "an hour": (
            wav(np.zeros(HOUR * 8000, np.int16), 8000, "FLAC"),
            ("3600", "at most 600 s", "max_audio_seconds"),
        ),
    }


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("name", bad_audio())
async def test_bad_audio_is_400(
    models: ServerProcess,
    connect: Connect,
    samples: list[dict[str, Any]],
    front_end: str,
    name: str,
) -> None:
    client = connect(models, front_end)
    audio, fragments = bad_audio()[name]
    answer = await client.infer("speech-to-text", {"audio": [audio]})
    assert_refused(answer, 400, "model 'speech-to-text'", "tensor 'audio'", *fragments)
    answer = await client.infer("audio-qa", {"audio": [audio], "context": ["The sky is blue."]})
    assert_refused(answer, 400, "'audio-qa'", "'speech-to-text'", "tensor 'audio'", *fragments)
    good = await client.infer("speech-to-text", {"audio": [samples[0]["audio"]]})
    assert good.texts("text") == [samples[0]["transcript"]]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_question_of_silence_is_400(
    models: ServerProcess, connect: Connect, samples: list[dict[str, Any]], front_end: str
) -> None:
    """Audio without speech has an empty text, and an empty question has no answer."""
    client = connect(models, front_end)
    good, silence = samples[0], wav(np.zeros(48_000))
    heard = await client.infer("speech-to-text", {"audio": [silence, good["audio"]]})
    assert heard.texts("text") == ["", good["transcript"]]
    asked = {"audio": [good["audio"], silence], "context": [good["context"]] * 2}
    answer = await client.infer("audio-qa", asked)
    assert_refused(
        answer,
        400,
        "step 'question-answering'",
        "item 1: tensor 'question': empty text",
        "step 'speech-to-text' made tensor 'question'",
    )


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_text_that_is_not_utf8_is_400(
    models: ServerProcess, connect: Connect, front_end: str
) -> None:
    client = connect(models, front_end)
    good = {"question": ["Where is Anna?"], "context": ["Anna is in the garden."]}
    bad = {"question": ["Where is Anna?"], "context": [b"Anna is \xff"]}
    answer = await client.infer("question-answering", bad)
    assert_refused(
        answer, 400, "model 'question-answering'", "tensor 'context'", "UTF-8", "byte 8 is 0xff"
    )
    assert len((await client.infer("question-answering", good)).texts("answer")) == 1


async def test_audio_that_is_not_base64_is_422(models: ServerProcess, connect: Connect) -> None:
    client = connect(models, "rest")
    tensor = Raw("BYTES", [1, 1], ["UklGR***"], {"content_type": "base64"})
    answer = await client.infer("speech-to-text", {"audio": tensor})
    assert_refused(answer, 422, "tensor 'audio'", "base64")


async def test_undeclared_base64_is_named_as_such(models: ServerProcess, connect: Connect) -> None:
    client = connect(models, "rest")
    answer = await client.infer("speech-to-text", {"audio": ["UklGRiQAAABXQVZFZm10IBAAAAABAAEA"]})
    assert_refused(answer, 400, "tensor 'audio'", "content_type 'base64'")
