"""`Network`: an address of its own for each container, and the names that lead to them."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path

_CLAIM_PORT = 20_000


class Network:
    """A /24 of loopback, which nobody else who asks here is given. Only Linux has them.

    Args:
        folder: Where files of names go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._prefix, self._claim = _claimed()
        self._numbers = itertools.count(2)

    def address(self) -> str:
        """An address that has not been given before."""
        number = next(self._numbers)
        assert number < 255, "a drill has at most 253 containers"
        return f"{self._prefix}.{number}"

    def file(self, name: str) -> Path:
        """The file of names that a container asks."""
        return self._folder / f"{name}.json"

    def write(self, name: str, known: dict[str, list[str]]) -> Path:
        """Has names lead to addresses from now on."""
        file = self.file(name)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.rename(file)
        return file

    def close(self) -> None:
        self._claim.close()


def _claimed() -> tuple[str, socket.socket]:
    for _ in range(1000):
        prefix = f"127.{random.randint(2, 254)}.{random.randint(1, 254)}"
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            claim.bind((f"{prefix}.1", _CLAIM_PORT))
            return prefix, claim
        claim.close()
    raise AssertionError("no free loopback network")


def in_cluster(name: str, namespace: str) -> Iterable[str]:
    """The names that a Service goes by."""
    suffixes = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    return [f"{name}{suffix}" for suffix in suffixes]
