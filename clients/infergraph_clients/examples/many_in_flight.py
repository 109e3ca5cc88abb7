"""One request for each line of stdin, many of them in flight; the answers keep the lines' order.

infergraph serve sentiment
python -m infergraph_clients.examples.many_in_flight < reviews.txt
"""

import argparse
import asyncio
import sys

import numpy as np
import tritonclient.grpc.aio as triton


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-flight", type=int, default=16, help="most requests at a time")
    parser.add_argument("--url", default="127.0.0.1:8081")
    args = parser.parse_args()

    # Without a limit a server with a full queue would answer UNAVAILABLE.
    room = asyncio.Semaphore(args.in_flight)

    async def label(text: str) -> str:
        tensor = triton.InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text.encode()]], dtype=object))
        async with room:
            result = await client.infer("sentiment", [tensor])
        return str(result.as_numpy("label")[0, 0].decode())

    texts = sys.stdin.read().splitlines()
    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    async with triton.InferenceServerClient(args.url, channel_args=direct) as client:
        for text, answer in zip(texts, await asyncio.gather(*map(label, texts)), strict=True):
            print(f"{answer}\t{text}")


if __name__ == "__main__":
    asyncio.run(main())
