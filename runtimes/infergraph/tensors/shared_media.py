"""Each medium of a pipeline's request is decoded once, however many of its steps look at it.

A pipeline opens the scope of a request; the models of this process that run inside of it find there
what another step has decoded, or wait while it does so. Nothing is shared between requests. What is
decoded goes with the scope, and before that, where no step is using it, when a decoder needs the
memory.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy.typing as npt

from .decode_memory import CHECK_SECONDS, Check, DecodeMemory, Reservation, decode_memory

Array = npt.NDArray[Any]
Decode = Callable[[], tuple[Array, Reservation]]
"""Decodes a file. The reservation is for the array's own bytes, and for those to work on it."""


class _Medium:
    """A file that was decoded, or is being so.

    Attributes:
        file: Its bytes, kept so that no other file gets their identity.
        key: The identity of its bytes, and the form.
        done: Set when it is decoded, or could not be.
        array: None until it is decoded, and when it is no longer shared.
        users: How many look at the array.
    """

    def __init__(self, file: bytes, key: tuple[int, int]) -> None:
        self.file = file
        self.key = key
        self.done = threading.Event()
        self.array: Array | None = None
        self.users = 0


class SharedMedia:
    """What the steps of one request have decoded, by the identity of the files: they share those.

    Args:
        memory: The budget of what is decoded.

    Attributes:
        closed: Whether the request is over; nothing more is shared then.
    """

    def __init__(self, memory: DecodeMemory) -> None:
        self._memory = memory
        self._media: dict[tuple[int, int], _Medium] = {}
        self.closed = False

    def get(
        self,
        file: bytes,
        decode: Decode,
        *,
        form: int,
        working: int,
        what: str,
        check: Check | None,
    ) -> Array:
        """What a file is decoded to, read-only; only the first of several calls decodes it.

        Args:
            file: The bytes.
            decode: Decodes them.
            form: What is decoded in another form is another array.
            working: The bytes that a step needs to work on the array, beside its own.
            what: Names the file, and its tensor, in error texts.
            check: Called while this waits; what it raises ends the wait.

        Raises:
            Overloaded: others held the memory to work on it for too long.
            InfergraphError: what `decode` raises.
        """
        with self._memory.lock:
            key = (id(file), form)
            medium = self._media.get(key)
            if is_first := medium is None:
                medium = _Medium(file, key)
                if not self.closed:
                    self._media[key] = medium
        if is_first:
            return self._decoded(medium, decode)
        while not medium.done.wait(CHECK_SECONDS):
            if check is not None:
                check()
        # Nothing is held while this waits for memory: what is shared may be dropped for it.
        reservation = self._memory.reserve(working, what, check)
        with self._memory.lock:
            if medium.array is not None:
                return self._view(medium, medium.array, reservation)
        reservation.release()
        # It was dropped, or that step failed: by the file's fault, or because it was cancelled. If
        # several wait, none of them waits for another one again.
        array, reservation = decode()
        reservation.follow(array)
        return _read_only(array)

    def close(self) -> None:
        """Forgets all of it; what a step still uses is freed when it ends."""
        with self._memory.lock:
            self.closed = True
            for medium in list(self._media.values()):
                self._forget(medium)

    def _decoded(self, medium: _Medium, decode: Decode) -> Array:
        try:
            array, reservation = decode()
            with self._memory.lock:
                reservation.split(array.nbytes).follow(array)
                if self._media.get(medium.key) is medium:
                    medium.array = array
                return self._view(medium, array, reservation)
        finally:
            if medium.array is None:
                self._forget(medium)
            medium.done.set()

    def _view(self, medium: _Medium, array: Array, reservation: Reservation) -> Array:
        """The array for one step, with the memory to work on it; called with the lock held."""
        self._memory.withdraw(medium)
        medium.users += 1
        view = _read_only(array)
        weakref.finalize(view, self._returned, medium, reservation).atexit = False
        return view

    def _returned(self, medium: _Medium, reservation: Reservation) -> None:
        with self._memory.lock:
            reservation.release()
            medium.users -= 1
            if not medium.users and medium.array is not None:
                self._memory.offer(medium, lambda: self._forget(medium))

    def _forget(self, medium: _Medium) -> None:
        with self._memory.lock:
            self._memory.withdraw(medium)
            medium.array = None
            if self._media.get(medium.key) is medium:
                del self._media[medium.key]


def _read_only(array: Array) -> Array:
    view: Array = array.view()
    view.flags.writeable = False
    return view


_scope: ContextVar[SharedMedia | None] = ContextVar("infergraph_shared_media", default=None)


@contextlib.contextmanager
def sharing_media() -> Iterator[None]:
    """The scope of a pipeline's request; inside of another scope it is the other one."""
    if shared_media() is not None:
        yield
        return
    media = SharedMedia(decode_memory())
    token = _scope.set(media)
    try:
        yield
    finally:
        media.close()
        _scope.reset(token)


def shared_media() -> SharedMedia | None:
    """What the steps of this request share; None outside of a pipeline's request."""
    media = _scope.get()
    # What a request began may outlast it, in its context.
    return None if media is None or media.closed else media
