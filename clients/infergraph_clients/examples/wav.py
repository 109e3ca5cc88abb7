"""Asks the pipeline audio-qa a spoken question: audio goes as the bytes of its file, over gRPC.

infergraph serve audio-qa
python -m infergraph_clients.examples.wav question.wav "Marie lives in Paris."
"""

import argparse
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("audio", type=Path, help="WAV, FLAC, OGG or MP3")
    parser.add_argument("context", help="the text that holds the answer")
    parser.add_argument("--url", default="127.0.0.1:8081")
    args = parser.parse_args()

    audio = triton.InferInput("audio", [1, 1], "BYTES")
    audio.set_data_from_numpy(np.array([[args.audio.read_bytes()]], dtype=object))
    context = triton.InferInput("context", [1, 1], "BYTES")
    context.set_data_from_numpy(np.array([[args.context.encode()]], dtype=object))

    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    with triton.InferenceServerClient(args.url, channel_args=direct) as client:
        result = client.infer("audio-qa", [audio, context])

    print("heard: ", result.as_numpy("transcript")[0, 0].decode())
    print("answer:", result.as_numpy("answer")[0, 0].decode())
    print(f"score:  {result.as_numpy('score')[0, 0]:.3f}")


if __name__ == "__main__":
    main()
