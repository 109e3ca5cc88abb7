"""`RequestLimit`: what all items of one request may be together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import InvalidInput


class RequestLimit:
    """Sums up the items of a request, in whichever threads they are prepared.

    Args:
        most: The largest sum accepted.
        explain: From a sum that is larger to what is wrong with it, as an error's text.
    """

    def __init__(self, most: float, explain: Callable[[float], str]) -> None:
        self._most = most
        self._explain = explain
        self._lock = threading.Lock()
        self._sum = 0.0
        self._measured = False

    def take(self, amount: float) -> None:
        """Adds to the sum.

        Raises:
            InvalidInput: the sum is too large.
        """
        with self._lock:
            self._sum += amount
            self._check()

    def take_once(self, measure: Callable[[], float]) -> None:
        """Adds what all items claim to be; only the first call measures it, the others wait for it.

        So the items of a request that is too large are refused before one of them is decoded.

        Raises:
            InvalidInput: the sum is too large.
        """
        with self._lock:
            if not self._measured:
                self._sum += measure()
                self._measured = True
            self._check()

    def _check(self) -> None:
        if self._sum > self._most:
            raise InvalidInput(self._explain(self._sum))
