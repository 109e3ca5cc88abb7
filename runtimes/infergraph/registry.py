"""The servables loaded in this process, for calls that need no hop.

It lives in a module of its own because MLServer reloads every `implementation` module, and module
state would be lost with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from .request import RequestContext
from .v2 import Message

IN_PROCESS = "in-process"


class Servable(Protocol):
    """A loaded model or pipeline that answers messages.

    One that also answers in parts has `infer_stream`, see `Streams`.
    """

    @property
    def name(self) -> str: ...

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """The answer; raises an InfergraphError."""
        ...


Streams = Callable[[Message, RequestContext], AsyncGenerator[Message, None]]
"""A servable's `infer_stream`: the parts of the answer as they come; raises an InfergraphError."""

_loaded: dict[str, Servable] = {}


def register(servable: Servable) -> None:
    """Makes a servable callable by name; a newer one of the same name takes its place."""
    _loaded[servable.name] = servable


def unregister(servable: Servable) -> None:
    """Forgets a servable, unless another one has taken its name since."""
    if _loaded.get(servable.name) is servable:
        del _loaded[servable.name]


def find(name: str) -> Servable | None:
    """The newest servable of that name, or None."""
    return _loaded.get(name)
