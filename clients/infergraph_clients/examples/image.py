"""An image to any model with an input `image`: REST carries the bytes of its file as base64.

python -m infergraph_clients.examples.image MODEL picture.jpg
"""

import argparse
import base64
from pathlib import Path

import numpy as np
import tritonclient.http as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image", type=Path, help="JPEG, PNG or whatever the model takes")
    parser.add_argument("--url", default="127.0.0.1:8080")
    args = parser.parse_args()

    # JSON cannot hold the file as it is: it goes as base64, and says so.
    encoded = base64.b64encode(args.image.read_bytes())
    image = triton.InferInput("image", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[encoded]], dtype=object), binary_data=False)
    image._parameters["content_type"] = "base64"  # tritonclient has no public way to set it

    with triton.InferenceServerClient(args.url) as client:
        result = client.infer(args.model, [image])

    for output in result.get_response()["outputs"]:
        print(output["name"], *output["data"])


if __name__ == "__main__":
    main()
