"""Two requests at a time over gRPC, with asyncio.

infergraph serve sentiment
python -m infergraph_clients.examples.grpc_async "I loved this film." "The food is terrible."
"""

import argparse
import asyncio

import numpy as np
import tritonclient.grpc.aio as triton


async def label(client: triton.InferenceServerClient, text: str) -> str:
    tensor = triton.InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()]], dtype=object))
    result = await client.infer("sentiment", [tensor])
    return str(result.as_numpy("label")[0, 0].decode())


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs=2)
    parser.add_argument("--url", default="127.0.0.1:8081")
    args = parser.parse_args()

    direct = [("grpc.enable_http_proxy", 0)]  # not by way of a proxy of the environment
    async with triton.InferenceServerClient(args.url, channel_args=direct) as client:
        print(*await asyncio.gather(*(label(client, text) for text in args.texts)))


if __name__ == "__main__":
    asyncio.run(main())
