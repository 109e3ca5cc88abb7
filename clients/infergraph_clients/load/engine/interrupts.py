"""`Interrupts`: counts Ctrl-C and SIGTERM, instead of an exception in the middle of anything."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """A context manager; outside the main thread, where no signal arrives, it does nothing.

    A Ctrl-C that the shell has told background jobs to ignore is heard too.

    Attributes:
        count: How often the user has asked for the end.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
