"""`Addresses`: where a host's name leads, and which of its servers gets the next connection."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
from collections import Counter
from collections.abc import Iterable

FRESH_SECONDS = 5.0
"""How long an answer of the resolver is used before it is asked again."""
LEFT_OUT_SECONDS = 10.0
"""How long an address that took no connection comes behind all others."""


class Addresses:
    """The addresses of one host, and how many connections each has.

    Args:
        host: A name, or an IP address, which is never looked up.
        port: The port of all of them.

    Attributes:
        is_name: Whether it may lead elsewhere later.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.is_name = not _is_address(host)
        self._known = [] if self.is_name else [host]
        self._asked = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._problem = ""
        self._connections: Counter[str] = Counter()
        self._left_out: dict[str, float] = {}
        self._turns: dict[str, int] = {}

    async def known(self) -> list[str]:
        """All of them.

        It waits for the resolver when it has never answered. Later it is asked meanwhile, and what
        it said before is used until it answers, also where it has no answer any more.

        Raises:
            OSError: the name leads nowhere.
        """
        loop = asyncio.get_running_loop()
        is_old = loop.time() - self._asked >= FRESH_SECONDS
        if self.is_name and self._asking is None and is_old:
            self._asking = loop.create_task(self._ask(loop))
        if not self._known and self._asking is not None:
            await asyncio.shield(self._asking)
        if not self._known:
            raise OSError(f"its name '{self._host}' cannot be resolved: {self._problem}")
        return list(self._known)

    def choose(self, among: Iterable[str]) -> str:
        """The one of fewest connections, of those that have not failed lately if there are any.

        It counts as a connection of it, until `closed`.
        """
        now = asyncio.get_running_loop().time()
        address = min(
            among,
            key=lambda each: (
                self._left_out.get(each, now) > now,
                self._connections[each],
                self._turns.get(each, 0),
            ),
        )
        self._connections[address] += 1
        self._turns[address] = max(self._turns.values(), default=0) + 1
        return address

    def closed(self, address: str) -> None:
        """Notes the end of a connection, or that it did not come about."""
        self._connections[address] -= 1
        if address not in self._known:
            self._forget(address)

    def failed(self, address: str) -> None:
        """Leaves an address out for a while: it took no connection."""
        self._left_out[address] = asyncio.get_running_loop().time() + LEFT_OUT_SECONDS

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            self._problem = error.strerror or str(error)
        else:
            gone = self._known
            self._known = list(dict.fromkeys(str(each[4][0]) for each in found))
            for address in gone:
                if address not in self._known:
                    self._forget(address)
        finally:
            if self._known:
                self._asked = loop.time()
            self._asking = None

    def _forget(self, address: str) -> None:
        self._left_out.pop(address, None)
        if self._connections[address] <= 0:
            del self._connections[address]
            self._turns.pop(address, None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
