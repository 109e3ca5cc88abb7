"""Texts in several languages to the pipeline nlp: each takes its own branch, or fails alone.

infergraph serve nlp
python -m infergraph_clients.examples.conditional french.txt italian.txt english.txt
"""

import argparse
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--url", default="127.0.0.1:8081")
    args = parser.parse_args()

    values = np.array([[path.read_bytes().strip()] for path in args.texts], dtype=object)
    text = triton.InferInput("text", list(values.shape), "BYTES")
    text.set_data_from_numpy(values)
    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    with triton.InferenceServerClient(args.url, channel_args=direct) as client:
        result = client.infer("nlp", [text])

    # A tensor that not every item has comes with the item of each of its rows.
    for name in ("language", "english", "summary", "error"):
        rows, items = result.as_numpy(name), result.as_numpy(f"{name}_item")
        if rows is not None:
            of_rows = range(len(rows)) if items is None else items.ravel()
            for item, row in zip(of_rows, rows.ravel(), strict=True):
                print(f"{args.texts[item].name} {name}: {row.decode()}")


if __name__ == "__main__":
    main()
