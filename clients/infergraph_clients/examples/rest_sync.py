"""One request over REST: is a text positive or negative?

infergraph serve sentiment
python -m infergraph_clients.examples.rest_sync "I loved this film."
"""

import argparse

import numpy as np
import tritonclient.http as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--url", default="127.0.0.1:8080")
    args = parser.parse_args()

    text = triton.InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[args.text]], dtype=object))

    with triton.InferenceServerClient(args.url) as client:
        result = client.infer("sentiment", [text])

    label, score = result.as_numpy("label")[0, 0], result.as_numpy("score")[0, 0]
    print(f"{label.decode()} {score:.3f}")


if __name__ == "__main__":
    main()
