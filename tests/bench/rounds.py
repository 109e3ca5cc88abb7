"""Measures several targets in turn, round by round, so that the machine's noise falls on all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .drivers import Sample, measure


class Driver(Protocol):
    async def __call__(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Target:
    """Something to measure.

    Attributes:
        label: Its row in the table.
        driver: Makes one call.
        alone: Rounds at concurrency 1.
        together: Rounds at the higher concurrency.
    """

    label: str
    driver: Driver
    alone: list[Sample] = field(default_factory=list)
    together: list[Sample] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """Milliseconds at concurrency 1, the median of the rounds."""
        return statistics.median(sample.percentile(50) for sample in self.alone)

    @property
    def p99(self) -> float:
        return statistics.median(sample.percentile(99) for sample in self.alone)

    @property
    def throughput(self) -> float:
        """Calls per second at the higher concurrency, the median of the rounds."""
        return statistics.median(sample.throughput for sample in self.together)


async def measure_in_turn(
    targets: Sequence[Target], rounds: int, calls: int, *, concurrency: int = 0, together: int = 0
) -> None:
    """Every round measures each target once at concurrency 1 and, if asked, once at `concurrency`.

    Args:
        targets: What to measure; samples are added to them.
        rounds: How often; the first target of a round changes from round to round.
        calls: Calls per round and target at concurrency 1.
        concurrency: The higher concurrency; 0 leaves it out.
        together: Calls per round and target at the higher concurrency.
    """
    for target in targets:
        await measure(target.driver, max(20, calls // 10), max(1, concurrency))
    for number in range(rounds):
        shift = number % len(targets)
        for target in [*targets[shift:], *targets[:shift]]:
            target.alone.append(await measure(target.driver, calls, 1))
            if concurrency:
                target.together.append(await measure(target.driver, together, concurrency))


async def answering(wire: str, targets: Sequence[Target]) -> list[Target]:
    """The targets whose first call is answered; of each other one, a line says what it got."""
    found = []
    for target in targets:
        try:
            await target.driver()
        except RuntimeError as error:
            print(f"\n{wire}, {target.label}: left out; {error}")
        else:
            found.append(target)
    return found


def paired_ratio(numerator: Target, denominator: Target) -> float:
    """The median over rounds of the ratio of two targets' p50, each pair from one round."""
    return statistics.median(
        a.percentile(50) / b.percentile(50)
        for a, b in zip(numerator.alone, denominator.alone, strict=True)
    )


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A plain text table with a title."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(["", title, "-" * len(title), lines[0], *lines[1:]])
