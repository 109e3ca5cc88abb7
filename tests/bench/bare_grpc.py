"""A gRPC server that hands every message back as the bytes that it is: the floor below any server.

    python -m tests.bench.bare_grpc PORT

It neither parses messages nor knows tensors; what it takes is grpc.aio's own transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc

from ..integration.server import REPOSITORY, free_ports

_SERVICE, _METHOD = "Bare", "Echo"
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class BareDriver:
    """Sends one message of the given bytes and waits for it to come back."""

    def __init__(self, port: int, message: bytes) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED)
        self._echo = self._channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
        self._message = message

    async def __call__(self) -> None:
        answer = await self._echo(self._message, wait_for_ready=True)
        if len(answer) != len(self._message):
            raise RuntimeError(f"{len(answer)} of {len(self._message)} bytes came back")

    async def close(self) -> None:
        await self._channel.close()


@contextlib.contextmanager
def bare_server() -> Iterator[int]:
    """A server process of its own; gives its port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", __name__, str(port)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


async def _serve(port: int) -> None:
    async def echo(message: bytes, context: Any) -> bytes:
        return message

    handler = grpc.method_handlers_generic_handler(
        _SERVICE, {_METHOD: grpc.unary_unary_rpc_method_handler(echo)}
    )
    server = grpc.aio.server(options=UNLIMITED)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
