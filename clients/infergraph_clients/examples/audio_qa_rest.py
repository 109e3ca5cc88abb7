"""Asks the pipeline audio-qa a spoken question, over REST.

infergraph serve audio-qa
python -m infergraph_clients.examples.audio_qa_rest question.wav "Marie lives in Paris."
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path

import numpy as np
import tritonclient.http as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("audio", type=Path, help="WAV, FLAC, OGG or MP3")
    parser.add_argument("context", help="the text that holds the answer")
    parser.add_argument("--url", default="127.0.0.1:8080")
    args = parser.parse_args()

    # JSON cannot hold audio as it is: it goes as base64, and says so.
    encoded = base64.b64encode(args.audio.read_bytes())
    audio = triton.InferInput("audio", [1, 1], "BYTES")
    audio.set_data_from_numpy(np.array([[encoded]], dtype=object), binary_data=False)
    audio._parameters["content_type"] = "base64"  # tritonclient has no public way to set it
    context = triton.InferInput("context", [1, 1], "BYTES")
    context.set_data_from_numpy(np.array([[args.context]], dtype=object), binary_data=False)
    names = ("transcript", "answer", "score")
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in names]

    with triton.InferenceServerClient(args.url) as client:
        result = client.infer("audio-qa", [audio, context], outputs=outputs)

    print("heard: ", result.as_numpy("transcript")[0, 0])
    print("answer:", result.as_numpy("answer")[0, 0])
    print(f"score:  {result.as_numpy('score')[0, 0]:.3f}")


if __name__ == "__main__":
    main()
