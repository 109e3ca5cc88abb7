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
    head = ["", "up", "down", "encode", "client", "server", *map(_link, links)]
    best = [min(row.cells[place].p50_ms for row in measured) for place in range(len(links))]
    rows = [_cells(row, best) for row in measured]
    return head, rows


def refusals(group: Group) -> list[str]:
    """Forms that were not measured, and why; those of one reason in one line."""
    found: dict[str, list[Row]] = {}
    for row in group.rows:
        if row.problem:
            found.setdefault(row.problem, []).append(row)
    return [f"not measured: {_names(group, rows)}: {why}" for why, rows in found.items()]


def differences(group: Group) -> list[str]:
    """Answers that differ from that to a file, or an echo's from what was sent."""
    found: dict[str, list[Row]] = {}
    for row in group.rows:
        if not row.problem and row.answer != "same":
            found.setdefault(row.answer, []).append(row)
    return [
        f"answers differ: {_names(group, rows)}: {how}"
        + ("" if any(row in group.wrong for row in rows) else " (it loses something)")
        for how, rows in found.items()
    ]


def _names(group: Group, rows: Sequence[Row]) -> str:
    """Of forms; an encoding alone where all of its wires are meant."""
    names: list[str] = []
    for encoding in dict.fromkeys(row.encoding for row in rows):
        of = [row for row in rows if row.encoding == encoding]
        whole = len(of) == sum(row.encoding == encoding for row in group.rows)
        names += [encoding] if whole else [row.name for row in of]
    return ", ".join(names)


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
    return [
        row.name,
        _size(row.up_bytes),
        _size(row.down_bytes),
        milliseconds(row.encode_ms),
        milliseconds(row.client_ms),
        milliseconds(row.server_ms),
        *(_time(cell, least) for cell, least in zip(row.cells, best, strict=True)),
    ]


def _size(count: int) -> str:
    for scale, unit in ((1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * scale:
            return f"{count / scale:#.3g}".rstrip(".") + f" {unit}"
    return f"{count} B"


def _time(cell: Cell, least: float) -> str:
    computed = "~" if not cell.requests else ""
    return f"{computed}{milliseconds(cell.p50_ms)}{'*' if cell.p50_ms == least else ''}"
