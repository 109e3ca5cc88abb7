"""What is asked before any load: whether the server is there, knows the model, and answers."""

from __future__ import annotations

import asyncio

from ...transports import Exchange, Template, make_transport, now_ns
from ..configuration import RunConfiguration
from ..errors import LoadError
from ..outcome import Outcome

_READY_SECONDS = 10.0


def ask_server(configuration: RunConfiguration, request: Template) -> None:
    """Asks for the model's readiness, and for one answer.

    An answer that is 500, 503 or 504, or does not come in time, is what a run may be meant to
    measure, so only what can never succeed is an error.

    Raises:
        LoadError: the server cannot be reached, does not know the model, or finds the request bad.
    """
    asyncio.run(_ask(configuration, request))


async def _ask(configuration: RunConfiguration, request: Template) -> None:
    target = configuration.target
    transport = make_transport(target.route())
    try:
        try:
            ready = await asyncio.wait_for(transport.is_ready(), _READY_SECONDS)
        except ConnectionError as error:
            raise LoadError(f"server '{target.url}' cannot be reached: {error}") from None
        except asyncio.TimeoutError:
            ready = False
        if ready is None:
            raise LoadError(f"server '{target.url}' has no model '{target.model}'")
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(-1, 0, False, now_ns(), ended.set_result)
        transport.send(request, exchange)
        await asyncio.wait({ended}, timeout=target.timeout_s)
        exchange.give_up(Outcome.TIMEOUT, "no answer")
        if exchange.outcome is Outcome.CLIENT_ERROR:
            raise LoadError(
                f"model '{target.model}' of '{target.url}' refused the first request: "
                f"{exchange.error}"
            )
        if exchange.outcome is Outcome.REFUSED:
            raise LoadError(f"server '{target.url}' cannot be reached: {exchange.error}")
    finally:
        await transport.close()
