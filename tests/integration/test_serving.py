"""The three ways to start the repository's models, asked with tritonclient over REST and gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jiwer
import pytest

from .conftest import MODELS, SAMPLES
from .server import ServerProcess
from .triton import PROTOCOLS, Protocol, TritonClient, TritonError


@pytest.fixture(scope="module")
def triton() -> Iterator[TritonClient]:
    with TritonClient() as client:
        yield client


@pytest.fixture(scope="module")
def speech_to_text() -> Iterator[ServerProcess]:
    """`mlserver start model-settings/speech-to-text`."""
    with ServerProcess(MODELS / "speech-to-text") as server:
        yield server


@pytest.fixture(scope="module")
def audio_qa(models: ServerProcess) -> Iterator[ServerProcess]:
    """`mlserver start model-settings/audio-qa`, its stages in `models`, over gRPC."""
    environment = {"INFERGRAPH_AUDIO_QA__ENDPOINTS": json.dumps({"*": models.grpc_url})}
    with ServerProcess(MODELS / "audio-qa", environment) as server:
        yield server


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_speech_to_text_alone(
    speech_to_text: ServerProcess,
    triton: TritonClient,
    samples: list[dict[str, Any]],
    protocol: Protocol,
) -> None:
    inputs = {"audio": [sample["audio"] for sample in samples]}
    answer = triton.infer(
        speech_to_text, protocol, "speech-to-text", inputs, request_id="request-1"
    )
    assert answer.texts("text") == [sample["transcript"] for sample in samples]
    assert answer.id == "request-1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_container_and_the_sample_rate_of_audio_do_not_matter(
    speech_to_text: ServerProcess,
    triton: TritonClient,
    samples: list[dict[str, Any]],
    protocol: Protocol,
) -> None:
    stem = SAMPLES / samples[-1]["name"]
    files = [stem.with_suffix(suffix) for suffix in (".wav", ".flac", ".ogg", ".mp3")]
    inputs = {"audio": [file.read_bytes() for file in files]}
    answer = triton.infer(speech_to_text, protocol, "speech-to-text", inputs)
    wav, flac, ogg, mp3 = answer.texts("text")
    assert wav == flac == samples[-1]["transcript"]
    # These lose something of the sound, and a letter with it now and then.
    assert jiwer.cer(wav, ogg) <= 0.1
    assert jiwer.cer(wav, mp3) <= 0.1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_audio_longer_than_a_chunk(
    speech_to_text: ServerProcess, triton: TritonClient, protocol: Protocol
) -> None:
    inputs = {"audio": [(SAMPLES / "long.flac").read_bytes()]}
    answer = triton.infer(speech_to_text, protocol, "speech-to-text", inputs)
    (text,) = answer.texts("text")
    assert jiwer.wer((SAMPLES / "long.txt").read_text().strip(), text) <= 0.1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_audio_qa_with_its_stages_on_another_server(
    audio_qa: ServerProcess,
    triton: TritonClient,
    samples: list[dict[str, Any]],
    protocol: Protocol,
) -> None:
    for sample in samples:
        inputs = {"audio": [sample["audio"]], "context": [sample["context"].encode()]}
        answer = triton.infer(audio_qa, protocol, "audio-qa", inputs, parameters={"trace": True})
        assert answer.texts("answer") == [sample["answer"]]
        assert answer.texts("transcript") == [sample["transcript"]]
        steps = json.loads(answer.parameters["trace"])["steps"]
        assert [(step["name"], step["transport"]) for step in steps] == [
            ("speech-to-text", "grpc"),
            ("question-answering", "grpc"),
        ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_models_in_one_server(
    models: ServerProcess, triton: TritonClient, samples: list[dict[str, Any]], protocol: Protocol
) -> None:
    audio = [sample["audio"] for sample in samples]
    questions = [sample["question"].encode() for sample in samples]
    contexts = [sample["context"].encode() for sample in samples]
    answers = [sample["answer"] for sample in samples]
    heard = triton.infer(models, protocol, "speech-to-text", {"audio": audio})
    assert heard.texts("text") == [sample["transcript"] for sample in samples]
    found = triton.infer(
        models, protocol, "question-answering", {"question": questions, "context": contexts}
    )
    assert found.texts("answer") == answers
    both = triton.infer(models, protocol, "audio-qa", {"audio": audio, "context": contexts})
    assert both.texts("answer") == answers
    assert both.outputs["score"].shape == (len(samples), 1)
    assert (both.outputs["score"] > 0).all()
    assert (both.outputs["score"] <= 1).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_the_requested_outputs_come(
    models: ServerProcess, triton: TritonClient, samples: list[dict[str, Any]], protocol: Protocol
) -> None:
    inputs = {"audio": [samples[0]["audio"]], "context": [samples[0]["context"].encode()]}
    answer = triton.infer(models, protocol, "audio-qa", inputs, outputs=["answer"])
    assert list(answer.outputs) == ["answer"]
    with pytest.raises(TritonError, match="no output tensor 'answr'"):
        triton.infer(models, protocol, "audio-qa", inputs, outputs=["answr"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        (
            "speech-to-text",
            {"audio": "BYTES", "samples": "FP32", "sampling_rate": "INT64"},
            {"text": "BYTES", "score": "FP32"},
        ),
        (
            "audio-qa",
            {"audio": "BYTES", "context": "BYTES"},
            {"answer": "BYTES", "score": "FP32", "transcript": "BYTES"},
        ),
    ],
)
def test_metadata_declares_the_tensors(
    models: ServerProcess,
    triton: TritonClient,
    protocol: Protocol,
    model: str,
    inputs: dict[str, str],
    outputs: dict[str, str],
) -> None:
    metadata = triton.metadata(models, protocol, model)
    assert {each["name"]: each["datatype"] for each in metadata["inputs"]} == inputs
    assert {each["name"]: each["datatype"] for each in metadata["outputs"]} == outputs
    assert triton.ready(models, protocol, model)
