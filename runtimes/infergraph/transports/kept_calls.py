"""`KeptCalls`: requests to a server of ours over gRPC calls that stay open, each for many of them.

Opening and ending a call is most of what a small request costs on `grpc.aio`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import grpc

from ..v2.grpc import embedded
from ..v2.schema import HOP_REQUEST, HOP_SERVICE, HopRequest, HopResponse

_LONGEST_SECONDS = 30.0
"""After so long a call is opened anew, so that servers that came since get their share."""
_MOST_IDLE = 64

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class KeptCallFailed(Exception):
    """The server answered with an error.

    Attributes:
        code: As it would be the status of a call.
        details: The text.
        name: The error's class.
    """

    def __init__(self, code: grpc.StatusCode, details: str, name: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.name = name


class KeptCalls:
    """Calls to one server, each used by one request at a time.

    Args:
        channel: To the server.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._open: Any = channel.stream_stream(f"/{HOP_SERVICE}/Infer")
        self._idle: deque[_Call] = deque()
        self._is_closed = False
        self._is_known = True

    async def infer(
        self, request: bytes, headers: Mapping[str, str], seconds: float | None
    ) -> bytes | None:
        """A serialised ModelInferResponse; or None if the server has not taken the request.

        Then it is to be sent by a call of its own. Cancelling this cancels it at the server.

        Args:
            request: A serialised ModelInferRequest.
            headers: What would be the metadata of the request's own call.
            seconds: Longest wait for the answer, or None.

        Raises:
            KeptCallFailed: the server answered with an error.
            asyncio.TimeoutError: no answer came in time.
            grpc.aio.AioRpcError: the call broke.
        """
        if not self._is_known:
            return None
        frame = HopRequest(headers=headers).SerializeToString() + embedded(HOP_REQUEST, [request])
        loop = asyncio.get_running_loop()
        call = self._take(loop)
        try:
            answer = await call.exchange(loop, frame, seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            # It announces what something between us and it does not let through.
            self._is_known = False
            return None
        if answer is None:
            return None
        if self._is_closed or len(self._idle) >= _MOST_IDLE:
            call.end()
        else:
            self._idle.append(call)
        response = HopResponse.FromString(answer)
        if response.code:
            code = _CODES.get(response.code, grpc.StatusCode.UNKNOWN)
            raise KeptCallFailed(code, response.details, response.error)
        content: bytes = response.response
        return content

    def close(self) -> None:
        """Ends the calls that are idle, and others once their requests are answered."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().end()

    def _take(self, loop: asyncio.AbstractEventLoop) -> _Call:
        while self._idle:
            # In turn: each call is to one of the name's servers.
            call = self._idle.popleft()
            if not call.is_done and loop.time() - call.opened < _LONGEST_SECONDS:
                return call
            call.end()
        return _Call(self._open(), loop.time())


class _Call:
    """One call.

    Attributes:
        opened: When, on the loop's clock.
    """

    __slots__ = ("_call", "_is_late", "opened")

    def __init__(self, call: Any, opened: float) -> None:
        self._call = call
        self._is_late = False
        self.opened = opened

    @property
    def is_done(self) -> bool:
        """Whether the server has ended it."""
        done: bool = self._call.done()
        return done

    def end(self) -> None:
        self._call.cancel()

    async def exchange(
        self, loop: asyncio.AbstractEventLoop, frame: bytes, seconds: float | None
    ) -> bytes | None:
        """The server's answer; None if it ended the call before it read the request."""
        timer = None if seconds is None else loop.call_later(seconds, self._expire)
        try:
            if not await self._wrote(frame):
                return None
            answer = await self._call.read()
        except asyncio.CancelledError:
            # Of this task, or of the call when its time was over.
            self.end()
            if self._is_late:
                raise asyncio.TimeoutError from None
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return None if answer is grpc.aio.EOF else answer

    async def _wrote(self, frame: bytes) -> bool:
        """Writes a request; False if the call has ended between two requests."""
        try:
            await self._call.write(frame)
        except asyncio.InvalidStateError:
            return False
        except grpc.aio.AioRpcError as error:
            # What gRPC says of a call whose end it is just reading.
            if error.code() is grpc.StatusCode.INTERNAL:
                return False
            raise
        return True

    def _expire(self) -> None:
        self._is_late = True
        self._call.cancel()
