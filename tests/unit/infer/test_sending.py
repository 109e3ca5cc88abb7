from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from infergraph_clients.infer.errors import ServerError
from infergraph_clients.infer.message import Answer, Request
from infergraph_clients.infer.sending import send_at_once, send_in_turn
from infergraph_clients.infer.tensors import Metadata
from infergraph_clients.infer.transport import Infer

REQUEST = Request("m", [])


class Scripted:
    """A transport that answers with the number of the request, or fails at one.

    Attributes:
        asked: How many requests came.
        cancelled: Numbers of the requests that were taken back.
    """

    def __init__(self, *, together: int = 1, fails_at: int | None = None) -> None:
        self.asked = 0
        self.cancelled: list[int] = []
        self._together = together
        self._fails_at = fails_at
        self._all_here = asyncio.Event()

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None: ...

    def metadata(self, model: str, version: str, headers: object) -> Metadata:
        return Metadata()

    def infer(self, request: Request) -> Answer:
        self.asked += 1
        if self.asked == self._fails_at:
            raise ServerError("500", "broken")
        return Answer(str(self.asked), [])

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[Infer]:
        async def infer(request: Request) -> Answer:
            number = self.asked = self.asked + 1
            if self.asked == self._together:
                self._all_here.set()
            try:
                await self._all_here.wait()
                if number != self._fails_at and self._fails_at is not None:
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            if number == self._fails_at:
                raise ServerError("503", "busy")
            return Answer(str(number), [])

        yield infer


def test_in_turn() -> None:
    replies = send_in_turn(Scripted(), REQUEST, 3)
    assert [reply.answer.model for reply in replies] == ["1", "2", "3"]
    assert all(reply.seconds >= 0 for reply in replies)


def test_in_turn_ends_with_the_first_error() -> None:
    transport = Scripted(fails_at=2)
    with pytest.raises(ServerError, match="500: broken"):
        send_in_turn(transport, REQUEST, 5)
    assert transport.asked == 2


async def test_at_once_is_all_in_flight_together() -> None:
    # None is answered before all three are there.
    replies = await send_at_once(Scripted(together=3), REQUEST, 3)
    assert [reply.answer.model for reply in replies] == ["1", "2", "3"]


async def test_at_once_takes_the_rest_back_after_an_error() -> None:
    transport = Scripted(together=4, fails_at=3)
    with pytest.raises(ServerError, match="503: busy"):
        await send_at_once(transport, REQUEST, 4)
    assert sorted(transport.cancelled) == [1, 2, 4]
