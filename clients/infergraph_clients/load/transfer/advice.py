"""What rows of one content and stage advise: which change pays when, and which form is fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .break_even import Cost, Reign, Verdict, bandwidth, pays, reigns
from .encodings import INSTEAD_OF
from .rows import Row

_WIRE_CHANGES = (
    ("rest-gzip", "rest-json"),
    ("rest-gzip", "rest-base64"),
    ("rest-base64", "rest-json"),
    ("grpc-raw", "rest-json"),
    ("grpc-raw", "rest-base64"),
    ("grpc-gzip", "grpc-raw"),
    ("grpc-typed", "grpc-raw"),
)
"""A wire, and that which it is compared with; not with base64 of what also goes as text."""
_ENCODING_WIRES = ("grpc-raw", "rest-base64", "rest-json")
"""Encodings are compared over the first that there is."""


@dataclass(frozen=True)
class Advice:
    """When a change pays, for one size.

    Attributes:
        change: `flac instead of wav, grpc-raw`.
        size: The content's.
        verdict: When.
        lossy: Whether the change loses something of the content.
    """

    change: str
    size: str
    verdict: Verdict
    lossy: bool


def advice(rows: Sequence[Row], *, encoded_already: bool, lossy: frozenset[str]) -> list[Advice]:
    """What each change of wire or encoding brings.

    Args:
        rows: Of one stage and content.
        encoded_already: See `Row.busy_ms`.
        lossy: Encodings that lose something.
    """
    found = {(row.encoding, row.wire): row for row in rows if not row.problem}
    changes: list[tuple[Row, Row, str, bool]] = []
    for encoding in dict.fromkeys(row.encoding for row in rows):
        for wire, other in _WIRE_CHANGES:
            form, plain = found.get((encoding, wire)), found.get((encoding, other))
            if form is None or plain is None or (encoding == "text" and other == "rest-base64"):
                continue
            text = f"{wire} instead of {plain.wire}, {encoding}"
            changes.append((form, plain, text, False))
    over: dict[str, str] = {}
    for row in rows:
        first = next((wire for wire in _ENCODING_WIRES if (row.encoding, wire) in found), None)
        if first is not None:
            over[row.encoding] = first
    for encoding, wire in over.items():
        form = found[encoding, wire]
        plain = found.get((INSTEAD_OF.get((form.kind, encoding), ""), wire))
        if plain is not None:
            text = f"{encoding} instead of {plain.encoding}, {wire}"
            changes.append((form, plain, text, encoding in lossy))
    return [
        Advice(
            text,
            form.size,
            pays(
                cost(form, encoded_already=encoded_already),
                cost(plain, encoded_already=encoded_already),
            ),
            loses,
        )
        for form, plain, text, loses in changes
    ]


def fastest(rows: Sequence[Row], *, encoded_already: bool) -> list[Reign]:
    """The fastest form by bandwidth, of those of one stage and content that lose nothing."""
    costs = [cost(row, encoded_already=encoded_already) for row in rows if not row.problem]
    return reigns(costs) if costs else []


def cost(row: Row, *, encoded_already: bool) -> Cost:
    """What a row costs."""
    seconds = row.busy_ms(encoded_already=encoded_already) / 1e3
    return Cost(row.name, row.bytes, seconds, row.error_ms / 1e3)


def reign_text(reign: Reign) -> str:
    """`below 23 Mbit/s: flac grpc-raw`."""
    if reign.low == 0 and reign.high == float("inf"):
        where = "at any bandwidth"
    elif reign.low == 0:
        where = f"below {bandwidth(reign.high)}"
    elif reign.high == float("inf"):
        where = f"above {bandwidth(reign.low)}"
    else:
        where = f"{bandwidth(reign.low)} to {bandwidth(reign.high)}"
    return f"{where}: {reign.name}"
