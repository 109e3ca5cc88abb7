"""One budget of memory for all media that this process decodes, however many requests bring them.

A decoder reserves what it may need before it decodes, and waits while others hold the memory. The
reservation then follows the decoded array: it ends when the last reference to the array is gone.
What has to wait in a queue as large as it was decoded is kept: of that there may be half as much
again, and what is more is refused, so that decoders do not wait for it.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput, Overloaded
from ..machine import cgroup_folders

logger = logging.getLogger(__name__)

LIMIT_VARIABLE = "INFERGRAPH_DECODE_MEMORY_BYTES"
MAX_WAIT_SECONDS = 10.0
"""How long a decoder waits for memory that others hold."""
CHECK_SECONDS = 0.05
"""How often one that waits looks whether its request still needs it."""

_SHARE = 4
_KEPT_SHARE = 2
_LEAST_DEFAULT = 256 << 20

Check = Callable[[], None]
"""Raises when the request needs its answer no longer, or its deadline passed."""


class Reservation:
    """Bytes of a budget; given back by `release`, or with the object that it is tied to."""

    def __init__(self, memory: DecodeMemory, count: int) -> None:
        self._memory = memory
        self._count = count

    def split(self, count: int) -> Reservation:
        """Takes `count` of its bytes away, as a reservation of their own."""
        self._count -= count
        return Reservation(self._memory, count)

    def shrink(self, count: int) -> None:
        """Keeps at most `count` bytes."""
        kept = min(self._count, count)
        self._memory._give_back(self._count - kept)
        self._count = kept

    def release(self) -> None:
        """Gives back what is left; once more does nothing."""
        self.shrink(0)

    def follow(self, holder: Any) -> None:
        """Ties the reservation to an object: it ends when the object is freed."""
        weakref.finalize(holder, self.release).atexit = False


class DecodeMemory:
    """Counts the bytes that decoders hold. Decoders are served in the order in which they came.

    No decoder waits while it decodes, none waits for what is kept in a queue, and none waits longer
    than MAX_WAIT_SECONDS: there is no deadlock, also where memory is never given back.

    Args:
        size: Most bytes that decoders hold at a time; half as many may be kept besides.

    Attributes:
        lock: Re-entrant; held while something spare is dropped.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        # Re-entrant, as Condition's own lock is: the garbage collector may free an array, and
        # with it a reservation, in a thread that is just here.
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._spare: dict[object, Callable[[], None]] = {}
        self._held = 0
        self._kept = 0
        self._waiting: deque[object] = deque()

    @property
    def held(self) -> int:
        """Bytes that decoders hold."""
        return self._held

    @property
    def kept(self) -> int:
        """Bytes that wait in queues."""
        return self._kept

    def reserve(self, count: int, what: str, check: Check | None = None) -> Reservation:
        """Takes bytes out of the budget; waits until they are there.

        Args:
            count: Bytes.
            what: Names what is to be decoded, and its tensor, in error texts.
            check: Called now and then while this waits; what it raises ends the wait.

        Raises:
            InvalidInput: more bytes than the budget can ever have.
            Overloaded: others held the memory for too long.
        """
        if count > self.size:
            raise InvalidInput(
                f"{what}: decoding takes up to {count} bytes of memory; accepted: at most "
                f"{self.size} (environment variable {LIMIT_VARIABLE})"
            )
        place, until = object(), time.monotonic() + MAX_WAIT_SECONDS
        with self._changed:
            self._waiting.append(place)
            try:
                while self._waiting[0] is not place or self._held + count > self.size:
                    if self._waiting[0] is place and self._spare:
                        self._spare.pop(next(iter(self._spare)))()
                        continue
                    left = until - time.monotonic()
                    if left <= 0:
                        raise _overloaded(
                            f"{what}: decoding takes up to {count} bytes of memory, and others "
                            f"hold {self._held} of {self.size}"
                        )
                    self._changed.wait(left if check is None else min(left, CHECK_SECONDS))
                    if check is not None:
                        check()
                self._held += count
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()
        return Reservation(self, count)

    def offer(self, owner: object, drop: Callable[[], None]) -> None:
        """Says that something decoded is not in use; what has been so for longest is dropped first.

        Args:
            owner: Its name in `withdraw`; hashable.
            drop: Frees it; called where its memory is needed, with the lock held.
        """
        with self._changed:
            self._spare[owner] = drop
            # Who waits for memory can have it.
            self._changed.notify_all()

    def withdraw(self, owner: object) -> None:
        """Says that it is in use again, or no longer there; nothing happens if it is not spare."""
        with self._changed:
            self._spare.pop(owner, None)

    def keep(self, holder: Any, count: int, what: str) -> None:
        """Counts an object that waits in a queue, until it is freed.

        It does not wait for room: those that wait for each other's memory would wait in vain.

        Args:
            holder: What the bytes are in.
            count: Bytes.
            what: Names the object, and its tensor, in error texts.

        Raises:
            Overloaded: others keep the memory.
        """
        with self._changed:
            if self._kept + count > self.size // _KEPT_SHARE:
                raise _overloaded(
                    f"{what}: {count} bytes of it would wait in a queue beside {self._kept} of "
                    f"others; accepted: at most {self.size // _KEPT_SHARE} together (half of the "
                    f"environment variable {LIMIT_VARIABLE})"
                )
            self._kept += count
        weakref.finalize(holder, self._forget, count).atexit = False

    def _forget(self, count: int) -> None:
        with self._changed:
            self._kept -= count

    def _give_back(self, count: int) -> None:
        if count:
            with self._changed:
                self._held -= count
                self._changed.notify_all()


@functools.cache
def decode_memory() -> DecodeMemory:
    """The process's budget; its size is from the environment, else a quarter of the memory."""
    default = max(_LEAST_DEFAULT, available_memory() // _SHARE)
    value = os.environ.get(LIMIT_VARIABLE, str(default))
    if value.isdecimal() and int(value) > 0:
        return DecodeMemory(int(value))
    logger.warning(
        "%s=%r is not a number of bytes from 1; using %d", LIMIT_VARIABLE, value, default
    )
    return DecodeMemory(default)


def available_memory(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Bytes that this process may use: the least of the machine's and of its cgroups' limits.

    Args:
        cgroups: Where cgroups are mounted, of version 1 or 2.
        own: The file that says which of them the process is in.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for place in cgroup_folders("memory", cgroups, own):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                value = (place / name).read_text().strip()
            except OSError:
                continue
            if value.isdecimal():
                limits.append(int(value))
    return min(limits)


@contextmanager
def out_of_memory_as_overload(count: int, what: str) -> Iterator[None]:
    """Tells the lack of memory apart from damage, which is what decoders take it for.

    Around the decoding of something that may take `count` bytes, `what` in error texts.

    Raises:
        Overloaded: there was too little memory.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (InvalidInput, Overloaded)) or not _is_lack_of_memory(error, count):
            raise
        raise _overloaded(f"{what}: not enough memory to decode it now") from None


def _is_lack_of_memory(error: Exception, count: int) -> bool:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "malloc" in text:
        return True
    # The decoders of JPEG and WebP say only that they failed. By now they gave back what they had.
    try:
        np.empty(count, np.uint8)
    except MemoryError:
        return True
    return False


def _overloaded(text: str) -> Overloaded:
    return Overloaded(f"{text}; try again later", cause="memory")
