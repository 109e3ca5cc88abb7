"""What is done to a gRPC call from within its task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from infergraph.server import grpc_call

CONTENT = b"the same again " * 2_000


class Tracer:
    """An interceptor is too late to see sizes on the wire, so the channel goes through this."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.down = 0

    async def __aenter__(self) -> Tracer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, onward = await asyncio.open_connection("127.0.0.1", self._port)

        async def pump(
            source: asyncio.StreamReader, target: asyncio.StreamWriter, counts: bool
        ) -> None:
            while data := await source.read(65_536):
                self.down += len(data) if counts else 0
                target.write(data)
            target.close()

        await asyncio.gather(pump(reader, onward, False), pump(back, writer, True))


@pytest.fixture
async def server() -> AsyncIterator[int]:
    """Answers with `CONTENT`, as a model does; its port."""

    async def method(request: bytes, call: Any) -> bytes:
        grpc_call.noting_the_call(call)
        grpc_call.set_trailing_metadata("infergraph-error", "None")
        await asyncio.create_task(grpc_call.compress_if_asked())
        return CONTENT

    handlers = {"M": grpc.unary_unary_rpc_method_handler(method)}
    served = grpc.aio.server()
    served.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.S", handlers),))
    port = served.add_insecure_port("127.0.0.1:0")
    await served.start()
    yield port
    await served.stop(None)


@pytest.mark.parametrize(
    ("metadata", "compressed"),
    [
        ((), False),
        ((("accept-encoding", "gzip"),), True),
        ((("accept-encoding", "gzip;q=0"),), False),
        ((("accept-encoding", "identity"),), False),
    ],
)
async def test_an_answer_is_compressed_when_the_call_asks_for_it(
    server: int, metadata: tuple[tuple[str, str], ...], compressed: bool
) -> None:
    async with Tracer(server) as tracer, grpc.aio.insecure_channel(tracer.address) as channel:
        call = channel.unary_unary("/x.S/M")(b"", metadata=metadata)
        answer = await call
        trailing = await call.trailing_metadata()

    assert answer == CONTENT
    assert (tracer.down < 2_000) is compressed
    assert (tracer.down > len(CONTENT)) is not compressed
    assert ("infergraph-error", "None") in [tuple(each) for each in trailing or ()]


async def test_outside_of_a_call_nothing_happens() -> None:
    grpc_call.set_trailing_metadata("infergraph-error", "None")
    await grpc_call.compress_if_asked()
