"""Every encoding over every wire: made, carried as V2, and read back as it was."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile
from PIL import Image

from infergraph_clients.load.corpus.check import difference
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.transfer.contents import KINDS, Content, Kind, contents
from infergraph_clients.load.transfer.encodings import ENCODINGS, Encoding
from infergraph_clients.load.transfer.stages import Input, Stage
from infergraph_clients.load.transfer.wires import WIRES, Codec, Wire
from infergraph_clients.load.v2.messages import ModelInferRequest, ModelInferResponse
from infergraph_clients.load.v2.payload import Payload
from infergraph_clients.transports.endpoint import Endpoint
from tests.sounds import encoded, sine

SIZES: dict[Kind, int] = {"audio": 1, "image": 24, "text": 300}
ECHO = Stage("echo", echoes=True)
FORMS = [(encoding, wire) for encoding in ENCODINGS for wire in WIRES if wire.takes(encoding)]


def content_of(kind: Kind) -> Content:
    (content,) = contents(kind, [SIZES[kind]], None, seed=3)
    return content


def echoed(wire: Wire, request: bytes) -> bytes:
    """What a server that echoes the tensors would answer, in the request's own form."""
    if wire.protocol == "grpc":
        asked = ModelInferRequest.FromString(request)
        answer = ModelInferResponse(raw_output_contents=asked.raw_input_contents)
        for tensor in asked.inputs:
            answer.outputs.add().MergeFrom(tensor)
        serialised: bytes = answer.SerializeToString()
        return serialised
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/echo/infer HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert (b"content-encoding: gzip" in head) is wire.gzip
    document = json.loads(gzip.decompress(body) if wire.gzip else body)
    return orjson.dumps({"outputs": document["inputs"]})


@pytest.mark.parametrize(
    ("encoding", "wire"), FORMS, ids=[f"{e.kind}-{e.name}-{w.name}" for e, w in FORMS]
)
def test_what_is_sent_comes_back(encoding: Encoding, wire: Wire) -> None:
    endpoint = Endpoint("grpc" if wire.protocol == "grpc" else "http", "127.0.0.1", 1)
    codec = Codec(wire, endpoint, "echo", {}, gzip_level=6)
    payload = ECHO.payload(encoding, content_of(encoding.kind))

    answer = codec.decode(echoed(wire, codec.encode(payload)))

    sent = {tensor.name: tensor for tensor in payload.tensors}
    assert difference(sent, answer.tensors, 0.0) is None


def test_every_format_of_the_issue_is_there() -> None:
    forms = {(encoding.kind, encoding.name, wire.name) for encoding, wire in FORMS}
    for datatype in ("fp32", "fp16"):
        for wire in ("rest-json", "rest-base64", "rest-gzip", "grpc-raw", "grpc-gzip"):
            assert {("audio", datatype, wire), ("image", datatype, wire)} <= forms
    for kind, name in (("audio", "wav"), ("audio", "flac"), ("image", "png"), ("image", "jpeg")):
        for wire in ("rest-base64", "rest-gzip", "grpc-raw", "grpc-bytes", "grpc-gzip"):
            assert (kind, name, wire) in forms
    assert ("audio", "wav", "rest-json") not in forms
    assert ("audio", "fp16", "grpc-typed") not in forms


def encoded_as(name: str, content: Content) -> Any:
    (encoding,) = [each for each in ENCODINGS if (each.kind, each.name) == (content.kind, name)]
    return encoding.make(content)


def test_audio_encodings_hold_the_samples() -> None:
    content = content_of("audio")
    for name in ("wav", "flac"):
        shape, (data,) = encoded_as(name, content)
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
        assert (shape, rate) == ((1, 1), content.rate)
        np.testing.assert_array_equal(samples, content.value)
    shape, single = encoded_as("fp32", content)
    assert shape == (1, len(content.value))
    np.testing.assert_array_equal(single * 32768, content.value)
    _, half = encoded_as("fp16", content)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, single, atol=2**-11)


def test_image_encodings_hold_the_pixels() -> None:
    content = content_of("image")
    _, (png,) = encoded_as("png", content)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), content.value)
    _, (jpeg,) = encoded_as("jpeg", content)
    assert np.asarray(Image.open(io.BytesIO(jpeg))).shape == content.value.shape
    shape, flat = encoded_as("uint8", content)
    np.testing.assert_array_equal(flat.reshape(shape)[0], content.value)
    shape, planes = encoded_as("fp32", content)
    assert shape == (1, 3, 24, 24)
    red = (content.value[..., 0] / 255 - 0.485) / 0.229
    np.testing.assert_allclose(planes.reshape(shape)[0, 0], red, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_made_contents_follow_from_the_seed(kind: Kind) -> None:
    first, again, other = (contents(kind, [SIZES[kind]], None, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.value, again.value)
    assert not np.array_equal(first.value, other.value)


def test_contents_of_files(tmp_path: Path) -> None:
    sound, image, text = tmp_path / "a.wav", tmp_path / "a.png", tmp_path / "a.txt"
    sound.write_bytes(encoded(sine(2.5, rate=8_000), rate=8_000))
    Image.new("L", (30, 20), 7).save(image)
    text.write_text("Käse " * 30)

    audio = contents("audio", [1, 5, 10], sound, 0)
    assert [(each.label, len(each.value), each.rate) for each in audio] == [
        ("1 s", 8_000, 8_000),
        ("2.5 s", 20_000, 8_000),
    ]
    (picture,) = contents("image", [16], image, 0)
    assert (picture.label, picture.value.shape, picture.value.max()) == ("16 x 16", (16, 16, 3), 7)
    texts = contents("text", [7, 9_999], text, 0)
    assert [each.label for each in texts] == ["7 characters", "150 characters"]
    assert texts[0].value == "Käse Kä"


@pytest.mark.parametrize(
    ("kind", "size", "data", "text"),
    [
        ("audio", 0, None, "size 0 of audio; accepted: 1 to 600 s"),
        ("image", 9_999, None, "size 9999 of image; accepted: 8 to 8192 px"),
        ("audio", 1, b"no sound", "is no WAV, FLAC, OGG or MP3 file"),
        ("audio", 1, encoded(sine(0)), "has zero length"),
        ("image", 9, b"no image", "is no JPEG, PNG or WebP file"),
        ("text", 9, b"\xff", "is not UTF-8"),
        ("text", 9, b"", "is empty"),
        ("text", 9, None, "cannot be read: No such file"),
    ],
)
def test_contents_that_are_none(
    kind: Kind, size: int, data: bytes | None, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    if data is not None:
        file.write_bytes(data)
    given = None if "size" in text else file
    with pytest.raises(LoadError, match=text):
        contents(kind, [size], given, 0)


STAGES = {
    "speech": Stage(
        "speech-to-text",
        False,
        (
            Input("audio", "BYTES", (-1, 1), True),
            Input("samples", "FP32", (-1, -1), True),
            Input("sampling_rate", "INT64", (-1, 1), True),
        ),
    ),
    "questions": Stage(
        "question-answering",
        False,
        (Input("question", "BYTES", (-1, 1)), Input("context", "BYTES", (-1, 1))),
    ),
    "letters": Stage("letters", False, (Input("letter", "BYTES", (-1, 1)),)),
    "images": Stage(
        "images",
        False,
        (Input("image", "BYTES", (-1, 1), True), Input("pixels", "FP32", (-1, 3, 16, 20), True)),
    ),
    "bytes": Stage("bytes", False, (Input("pixels", "UINT8", (-1, -1, -1, 3)),)),
}


def payload_of(stage: str, kind: Kind, name: str) -> Payload:
    (encoding,) = [each for each in ENCODINGS if (each.kind, each.name) == (kind, name)]
    return STAGES[stage].payload(encoding, content_of(kind))


@pytest.mark.parametrize(
    ("stage", "kind", "name", "tensors"),
    [
        ("speech", "audio", "wav", [("audio", "BYTES", (1, 1))]),
        (
            "speech",
            "audio",
            "fp16",
            [("samples", "FP16", (1, 16_000)), ("sampling_rate", "INT64", (1, 1))],
        ),
        (
            "questions",
            "text",
            "text",
            [("context", "BYTES", (1, 1)), ("question", "BYTES", (1, 1))],
        ),
        ("letters", "text", "text", [("letter", "BYTES", (1, 1))]),
        ("images", "image", "jpeg", [("image", "BYTES", (1, 1))]),
        ("images", "image", "fp32", [("pixels", "FP32", (1, 3, 16, 20))]),
        ("bytes", "image", "uint8", [("pixels", "UINT8", (1, 24, 24, 3))]),
    ],
)
def test_a_model_gets_what_it_declares(
    stage: str, kind: Kind, name: str, tensors: list[tuple[str, str, tuple[int, ...]]]
) -> None:
    payload = payload_of(stage, kind, name)
    assert [(each.name, each.datatype, each.shape) for each in payload.tensors] == tensors
    assert all(np.prod(each.shape) == len(each.values) for each in payload.tensors)


@pytest.mark.parametrize(
    ("stage", "kind", "name"),
    [
        ("images", "image", "uint8"),
        ("bytes", "image", "fp32"),
        ("letters", "audio", "fp32"),
        ("questions", "image", "png"),
    ],
)
def test_what_a_model_has_no_input_for(stage: str, kind: Kind, name: str) -> None:
    (encoding,) = [each for each in ENCODINGS if (each.kind, each.name) == (kind, name)]
    assert STAGES[stage].input_of(encoding) is None
