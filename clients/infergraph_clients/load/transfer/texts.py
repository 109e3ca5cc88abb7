"""Rows and advice as texts, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence

from ..reports.numbers import milliseconds
from .advice import Advice
from .break_even import bandwidth
from .result import Group
from .rows import Cell, Row


def table(group: Group) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a group's table. The fastest form of each bandwidth has a star."""
    measured = [row for row in group.rows if not row.problem]
    links = measured[0].cells if measured else ()
    head = ["", "bytes up", "down", "encode", "client", "server", *map(_link, links), "answer"]
    best = [min(row.cells[place].p50_ms for row in measured) for place in range(len(links))]
    rows = [_cells(row, best) for row in measured]
    return head, rows


def refusals(group: Group) -> list[str]:
    """Forms that were not measured, and why; those of one reason in one line."""
    found: dict[str, list[str]] = {}
    for row in group.rows:
        if row.problem:
            found.setdefault(row.problem, []).append(row.name)
    return [f"not measured: {', '.join(names)}: {problem}" for problem, names in found.items()]


def differences(group: Group) -> list[str]:
    """Answers that differ from the first form's, or from what was sent."""
    found: dict[str, list[str]] = {}
    for row in group.rows:
        if not row.problem and row.answer != "same":
            found.setdefault(row.answer, []).append(row.name)
    return [f"answers differ: {', '.join(names)}: {how}" for how, names in found.items()]


def advice_line(change: str, lossy: bool, several: Sequence[Advice]) -> str:
    """`flac instead of wav, grpc-raw: pays below 23 Mbit/s (5 s), never pays (1 s)`."""
    sizes: dict[str, list[str]] = {}
    for each in several:
        sizes.setdefault(str(each.verdict), []).append(each.size)
    texts = (
        verdict if len(sizes) == 1 else f"{verdict} ({', '.join(of)})"
        for verdict, of in sizes.items()
    )
    return f"{change}{' (loses something)' if lossy else ''}: {'; '.join(texts)}"


def _link(cell: Cell) -> str:
    return "no limit" if cell.bits_per_second is None else bandwidth(cell.bits_per_second)


def _cells(row: Row, best: Sequence[float]) -> list[str]:
    answer = "same" if row.answer == "same" else "differs"
    return [
        row.name,
        f"{row.up_bytes:,}",
        f"{row.down_bytes:,}",
        milliseconds(row.encode_ms),
        milliseconds(row.client_ms),
        milliseconds(row.server_ms),
        *(_time(cell, least) for cell, least in zip(row.cells, best, strict=True)),
        answer,
    ]


def _time(cell: Cell, least: float) -> str:
    computed = "~" if not cell.requests else ""
    return f"{computed}{milliseconds(cell.p50_ms)}{'*' if cell.p50_ms == least else ''}"
