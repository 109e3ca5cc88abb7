"""Writes the sample requests in `model-settings/`, out of the first sample in `tests/samples/`.

    python -m zoo.sample_requests

Audio goes as FLAC, which is exact and half as long, in base64.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import soundfile

SAMPLES = Path("tests/samples")
MODELS = Path("model-settings")


def main() -> None:
    sample = json.loads((SAMPLES / "samples.json").read_text())[0]
    audio = bytes_tensor("audio", as_flac((SAMPLES / sample["audio"]).read_bytes()))
    question = bytes_tensor("question", sample["question"].encode())
    context = bytes_tensor("context", sample["context"].encode())
    write("speech-to-text", audio)
    write("question-answering", question, context)
    write("audio-qa", audio, context)


def write(model: str, *inputs: dict[str, Any]) -> None:
    text = json.dumps({"inputs": inputs}, indent=2, ensure_ascii=False)
    (MODELS / model / "request.json").write_text(text + "\n", encoding="utf-8")


def bytes_tensor(name: str, item: bytes) -> dict[str, Any]:
    """A V2 tensor of one item; base64 unless it is text."""
    tensor = {"name": name, "datatype": "BYTES", "shape": [1, 1]}
    try:
        return {**tensor, "data": [item.decode()]}
    except UnicodeDecodeError:
        data = [base64.b64encode(item).decode("ascii")]
        return {**tensor, "parameters": {"content_type": "base64"}, "data": data}


def as_flac(encoded: bytes) -> bytes:
    """16-bit audio of any format as FLAC."""
    samples, rate = soundfile.read(io.BytesIO(encoded), dtype="int16")
    flac = io.BytesIO()
    soundfile.write(flac, samples, rate, format="FLAC", subtype="PCM_16")
    return flac.getvalue()


if __name__ == "__main__":
    main()
