"""`Client`: a few requests, each awaited; what `infergraph-infer` and `infergraph-video` send."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ..payloads import Metadata, Payload
from .codec import Answer, Codec
from .exchange import Exchange, now_ns
from .outcome import Outcome
from .route import Route
from .transport import failure, make_transport, not_v2

CONNECT_SECONDS = 10.0
GRACE_S = 1.0
"""How much longer than its deadline a client waits: the server's own error tells more."""


@dataclass(frozen=True)
class Reply:
    """An answer, and when it came.

    Attributes:
        answer: Of a stream, all answers as one.
        seconds: From the request to the last of it.
        first_s: From the request to the first answer of a stream; None for another answer.
        gaps: Seconds between the answers of a stream.
    """

    answer: Answer
    seconds: float
    first_s: float | None = None
    gaps: tuple[float, ...] = ()


class Client:
    """An async context manager; within one, its calls may run at the same time.

    Args:
        route: The model, and how it is called. The format `auto` is settled by `metadata`, and
            without it is that of servers that announce nothing.
    """

    def __init__(self, route: Route) -> None:
        # gRPC would write lines of its own beside our one.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._codec = Codec(route.settled(Metadata()))
        self._route = route

    async def __aenter__(self) -> Client:
        self._transport = make_transport(self._route)
        self._sent = 0
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.close()

    async def metadata(self) -> Metadata:
        """What the server says of itself and of the model; it settles the format of the requests.

        Raises:
            Unreachable: there is no connection to the server.
            ServerError: it refuses, does not answer in time, or answers with something else.
        """
        metadata = await self._transport.metadata()
        self._codec = Codec(self._route.settled(metadata))
        return metadata

    async def infer(
        self,
        payload: Payload,
        *,
        trace: bool = False,
        timeout_s: float | None = None,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> Reply:
        """Sends a request, and waits for its answer, or the last one of its stream.

        Args:
            payload: What is sent; its own id, if it has one.
            trace: Whether the answer should tell what each step cost.
            timeout_s: When the client gives up; None for never.
            on_answer: Of a stream, called with each answer as it comes.

        Raises:
            UsageError: the payload cannot be sent as it is.
            Unreachable, ServerError: why there is no answer.
        """
        codec, route = self._codec, self._route
        template = codec.encode(payload, trace=trace, own_id=True)
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(self._sent, 0, trace, now_ns(), ended.set_result)
        self._sent += 1
        problems: list[ValueError] = []
        if on_answer is not None:
            decode = codec.decode_message if route.endpoint.is_grpc else codec.decode_body

            def told(body: bytes) -> None:
                try:
                    on_answer(decode(body))
                except ValueError as error:
                    problems.append(error)

            exchange.on_answer = told
        self._transport.send(template, exchange)
        try:
            await asyncio.wait({ended}, timeout=timeout_s)
        finally:
            exchange.give_up(Outcome.TIMEOUT, "no answer")
        if exchange.outcome is Outcome.WRONG_ANSWER:
            raise not_v2(route, exchange.error)
        if exchange.outcome is not Outcome.OK:
            raise failure(route, exchange, timeout_s)
        try:
            if problems:
                raise problems[0]
            answer = codec.named(exchange, codec.decode(exchange))
        except ValueError as error:
            raise not_v2(route, str(error)) from None
        sent = exchange.sent
        return Reply(
            answer,
            (exchange.end - sent) / 1e9,
            (exchange.first_answer - sent) / 1e9 if exchange.answers else None,
            tuple(gap / 1e9 for gap in exchange.gaps),
        )
