"""`Running`: items that are computed together, and that come and go while they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from ..errors import InfergraphError
from .ticket import Item, Result

_ItemIn = TypeVar("_ItemIn", contravariant=True)
_ResultOut = TypeVar("_ResultOut", covariant=True)


class Running(Protocol[_ItemIn, _ResultOut]):
    """Computes items in steps that they share; used in the worker's thread alone."""

    def add(self, number: int, item: _ItemIn) -> None:
        """Takes an item in, which joins at the next step or a later one.

        Args:
            number: Tells it from the others.
            item: As `MicroBatcher` was given it.
        """

    def drop(self, number: int) -> None:
        """Gives up an item that has no result yet."""

    def step(self) -> Iterable[tuple[int, _ResultOut | InfergraphError]]:
        """Computes a step; gives the number and the result of each item that has ended."""


def run_all(
    running: Running[Item, Result], items: Sequence[Item]
) -> list[Result | InfergraphError]:
    """The results of items that begin together, in order."""
    results: dict[int, Result | InfergraphError] = {}
    for number, item in enumerate(items):
        running.add(number, item)
    while len(results) < len(items):
        results.update(running.step())
    return [results[number] for number in range(len(items))]
