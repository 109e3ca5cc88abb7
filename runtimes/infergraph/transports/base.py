"""`Transport`: the seam between the router and the places where models run."""

from __future__ import annotations

from typing import Protocol

from ..declaration import ModelDeclaration
from ..request import RequestContext
from ..v2 import Message


class Transport(Protocol):
    """A way to the models of one place. It may be shared, and serves many requests at once."""

    @property
    def kind(self) -> str:
        """`in-process`, `grpc` or `rest`, as traces name it."""
        ...

    @property
    def endpoint(self) -> str:
        """The server's URL; empty for this process."""
        ...

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """The model's answer. It carries the id of `message`, whatever the server made of it.

        Cancelling it cancels the call at the server.

        Raises:
            InvalidInput: the model does not accept the message, or the wire cannot carry it.
            UnknownModel: the place has no model of that name.
            MalformedRequest: the server found the request contradictory.
            StageFailure: the model failed, or its answer is not V2.
            Overloaded: the server has no room for the request.
            StageUnavailable: the server cannot be reached.
            DeadlineExceeded: the deadline of `context` passed, or the server said so.
        """
        ...

    async def declaration(self, model: str) -> ModelDeclaration:
        """What the place says of a model; raises as `infer` does."""
        ...

    async def close(self) -> None:
        """Gives connections back. Calls in flight may finish; later ones fail."""
        ...
