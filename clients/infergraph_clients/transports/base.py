"""`Transport`: the seam between the engine and the wire."""

from __future__ import annotations

from typing import Protocol

from .exchange import Exchange


class Transport(Protocol):
    """A way to one model of one server. It serves many requests at once, in one event loop."""

    async def open(self) -> None:
        """Makes the first connection; a server that refuses it is not an error yet."""
        ...

    async def is_ready(self) -> bool | None:
        """Whether the model is ready; None if the server does not know it.

        Raises:
            ConnectionError: the server cannot be reached.
        """
        ...

    def send(self, request: bytes, exchange: Exchange) -> None:
        """Sends a request; `exchange.finish` is called once, but never from within this call."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...
