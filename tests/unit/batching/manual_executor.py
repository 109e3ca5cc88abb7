"""An executor whose calls run when a test says so, on the test's own thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class ManualExecutor(Executor):
    """Holds each call back until `run_next`, so that a test decides how long a batch takes.

    Args:
        on_submit: Told of the arguments of each call when it is handed over.
    """

    def __init__(self, on_submit: Callable[..., None] | None = None) -> None:
        self._on_submit = on_submit
        self._held: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def cancelled(self) -> int:
        """Calls that were cancelled before they ran."""
        return sum(future.cancelled() for future, _ in self._held)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._on_submit is not None:
            self._on_submit(*args)
        future: Future[Any] = Future()
        self._held.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run_next(self) -> None:
        future, call = self._held.popleft()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
