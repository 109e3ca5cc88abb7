"""Several texts in one request: the first dimension of each tensor is the batch.

infergraph serve sentiment
python -m infergraph_clients.examples.batch "I loved this film." "The food is terrible." ...
"""

import argparse

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--url", default="127.0.0.1:8081")
    args = parser.parse_args()

    values = np.array([[text.encode()] for text in args.texts], dtype=object)
    batch = triton.InferInput("text", list(values.shape), "BYTES")
    batch.set_data_from_numpy(values)

    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    with triton.InferenceServerClient(args.url, channel_args=direct) as client:
        result = client.infer("sentiment", [batch])

    labels, scores = result.as_numpy("label"), result.as_numpy("score")
    for text, label, score in zip(args.texts, labels[:, 0], scores[:, 0], strict=True):
        print(f"{label.decode()}\t{score:.3f}\t{text}")


if __name__ == "__main__":
    main()
