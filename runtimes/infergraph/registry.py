"""The servables loaded in this process, for calls that need no hop.

It lives in a module of its own because MLServer reloads every `implementation` module, and module
state would be lost with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from .generations import newest_first, plain_name
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
_newest: dict[str, Servable] = {}
"""By plain name, the highest generation that is loaded."""


def register(servable: Servable) -> None:
    """Makes a servable callable by name; a newer one of the same name takes its place."""
    _loaded[servable.name] = servable
    _find_newest(servable.name)


def unregister(servable: Servable) -> None:
    """Forgets a servable, unless another one has taken its name since."""
    if _loaded.get(servable.name) is servable:
        del _loaded[servable.name]
        _find_newest(servable.name)


def find(name: str) -> Servable | None:
    """The newest servable of that name, else the highest generation of it, or None."""
    return _loaded.get(name) or _newest.get(name)


def _find_newest(name: str) -> None:
    plain = plain_name(name)
    found = newest_first(plain, _loaded)
    if found:
        _newest[plain] = _loaded[found[0]]
    else:
        _newest.pop(plain, None)
