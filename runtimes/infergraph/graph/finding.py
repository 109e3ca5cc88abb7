"""`Finding`: one thing that is wrong in a pipeline file or a manifest, its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Origin = Literal["seldon", "infergraph"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A finding; as a string it is one line, ``file:line: rule: message; fix: ...``.

    Attributes:
        file: The file as the caller named it.
        line: Counted from 1.
        rule: The rule's name; of pipeline files a key of `infergraph.graph.RULES`.
        message: What is wrong, with the value that is.
        fix: What to write instead.
        severity: An error keeps the pipeline from loading; a warning is legal, but not what was
            meant.
        origin: Whether Seldon Core v2 refuses it too, or only this lint does.
    """

    file: str
    line: int
    rule: str
    message: str
    fix: str
    severity: Severity = "error"
    origin: Origin = "infergraph"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}; fix: {self.fix}"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when one of `known` is close, else a list of them all."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return "use one of " + (", ".join(f"'{name}'" for name in names) or "none: there are none")


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
