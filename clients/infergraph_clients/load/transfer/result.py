"""`Result`: all rows of a run, and what they advise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .advice import Advice, advice, fastest
from .break_even import Reign
from .encodings import ENCODINGS
from .rows import Row

_SCALED = (("image", "uint8"), ("image", "fp32"))


@dataclass(frozen=True)
class Group:
    """The rows of one stage and content.

    Attributes:
        rows: In order.
        encoded_already: See `Row.busy_ms`.
    """

    rows: Sequence[Row]
    encoded_already: bool

    @property
    def title(self) -> str:
        """As reports write it."""
        first = self.rows[0]
        return f"{first.kind} {first.size}, {'echo: ' if first.echoes else ''}{first.model}"

    @property
    def lossy(self) -> frozenset[str]:
        """Encodings of its kind that lose something."""
        kind = self.rows[0].kind
        return frozenset(each.name for each in ENCODINGS if each.kind == kind and each.lossy)

    @property
    def wrong(self) -> list[Row]:
        """Rows whose answer differs though nothing of the content was lost.

        Not of them are numbers for a model of images: scaling is then the client's, and its own.
        """
        return [
            row
            for row in self.rows
            if not row.problem
            and row.answer != "same"
            and (row.echoes or row.encoding not in self.lossy)
            and (row.echoes or (row.kind, row.encoding) not in _SCALED)
        ]

    def advice(self) -> list[Advice]:
        """When each change pays."""
        return advice(self.rows, encoded_already=self.encoded_already, lossy=self.lossy)

    def fastest(self, *, lossless: bool) -> list[Reign]:
        """The fastest form by bandwidth; with `lossless`, of those that lose nothing."""
        rows = [row for row in self.rows if not (lossless and row.encoding in self.lossy)]
        return fastest(rows, encoded_already=self.encoded_already)


@dataclass(frozen=True)
class Result:
    """A run.

    Attributes:
        groups: By stage and content.
        notes: What the reader must know.
        configuration: What was measured, for report.json.
    """

    groups: Sequence[Group]
    notes: Sequence[str]
    configuration: dict[str, Any]

    @property
    def advice_by_stage(self) -> dict[str, list[tuple[str, bool, list[Advice]]]]:
        """Stage and kind -> (change, whether it loses something, its advice by size)."""
        found: dict[str, dict[str, list[Advice]]] = {}
        for group in self.groups:
            first = group.rows[0]
            stage = f"{first.kind}, {'echo: ' if first.echoes else ''}{first.model}"
            for each in group.advice():
                found.setdefault(stage, {}).setdefault(each.change, []).append(each)
        return {
            stage: [(change, several[0].lossy, several) for change, several in changes.items()]
            for stage, changes in found.items()
        }


def grouped(rows: Sequence[Row], *, encoded_already: bool) -> list[Group]:
    """Rows by stage and content, in order."""
    found: dict[tuple[str, str, str, bool], list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.kind, row.size, row.echoes), []).append(row)
    return [Group(each, encoded_already) for each in found.values()]
