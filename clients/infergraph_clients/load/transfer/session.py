"""`Session`: requests of one form to one model, one at a time."""

from __future__ import annotations

import asyncio

from ...transports.exchange import Exchange, now_ns
from ..outcome import Outcome
from ..v2.payload import Answer, Payload
from .wires import Codec


class Refused(Exception):
    """The server did not answer with success; the text says what it said."""


class Session:
    """An asynchronous context manager: inside, there is a connection.

    Args:
        codec: Of the form, the server and the model.
        timeout: Seconds to wait for an answer.
    """

    def __init__(self, codec: Codec, timeout: float) -> None:
        self._codec, self._timeout = codec, timeout
        self._transport = codec.transport()

    async def __aenter__(self) -> Session:
        try:
            # Opens the connection, so that no request that is measured has to.
            await asyncio.wait_for(self._transport.is_ready(), self._timeout)
        except (ConnectionError, asyncio.TimeoutError) as error:
            await self._transport.close()
            raise Refused(f"no connection: {error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def ask(self, payload: Payload) -> Answer:
        """The answer to a request.

        Raises:
            Refused: it is an error, not V2, or does not come.
        """
        request = self._codec.encode(payload)
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(0, 0, False, now_ns(), ended.set_result)
        self._transport.send(request, exchange)
        await asyncio.wait({ended}, timeout=self._timeout)
        exchange.give_up(Outcome.TIMEOUT, f"no answer within {self._timeout:g} s")
        if exchange.outcome is not Outcome.OK:
            raise Refused(exchange.error)
        try:
            return self._codec.decode(exchange.body)
        except Exception as error:  # protobuf's own error is not a ValueError
            raise Refused(f"the answer is not V2: {error}") from None
