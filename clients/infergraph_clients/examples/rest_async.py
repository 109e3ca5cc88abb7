"""Two requests at a time over REST, with asyncio.

infergraph serve sentiment
python -m infergraph_clients.examples.rest_async "I loved this film." "The food is terrible."
"""

import argparse
import asyncio

import numpy as np
import tritonclient.http.aio as triton


async def label(client: triton.InferenceServerClient, text: str) -> str:
    tensor = triton.InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text]], dtype=object))
    result = await client.infer("sentiment", [tensor])
    return str(result.as_numpy("label")[0, 0].decode())


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs=2)
    parser.add_argument("--url", default="127.0.0.1:8080")
    args = parser.parse_args()

    async with triton.InferenceServerClient(args.url) as client:
        print(*await asyncio.gather(*(label(client, text) for text in args.texts)))


if __name__ == "__main__":
    asyncio.run(main())
