"""An image to any model with an input `image`: its file goes as it is, as one BYTES element.

python -m infergraph_clients.examples.image MODEL picture.jpg
"""

import argparse
from pathlib import Path

import numpy as np
import tritonclient.http as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image", type=Path, help="JPEG, PNG or whatever the model takes")
    parser.add_argument("--url", default="127.0.0.1:8080")
    args = parser.parse_args()

    image = triton.InferInput("image", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[args.image.read_bytes()]], dtype=object))

    with triton.InferenceServerClient(args.url) as client:
        result = client.infer(args.model, [image])

    for output in result.get_response()["outputs"]:
        values = result.as_numpy(output["name"]).ravel().tolist()
        texts = [
            each.decode(errors="replace") if isinstance(each, bytes) else each for each in values
        ]
        print(output["name"], *texts)


if __name__ == "__main__":
    main()
