"""What a client sees when a request cannot be answered.

infergraph serve sentiment
python -m infergraph_clients.examples.errors
"""

import argparse

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="127.0.0.1:8081")
    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    client = triton.InferenceServerClient(parser.parse_args().url, channel_args=direct)

    text = triton.InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[b"I loved this film."]], dtype=object))
    number = triton.InferInput("text", [1, 1], "FP32")
    number.set_data_from_numpy(np.ones((1, 1), dtype=np.float32))
    at_once = {"infergraph-timeout-ms": "0.001"}

    for request in (
        {"model_name": "no-such-model", "inputs": [text]},
        {"model_name": "sentiment", "inputs": [number]},
        {"model_name": "sentiment", "inputs": [text], "headers": at_once},
    ):
        try:
            client.infer(**request)
        except InferenceServerException as error:
            # Over REST, error.status() is "404" and alike. UNAVAILABLE and 503 are worth a retry.
            print(f"{error.status()}: {error.message()}")


if __name__ == "__main__":
    main()
