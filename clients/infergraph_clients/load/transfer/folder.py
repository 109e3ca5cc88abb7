"""A result's folder.

::

    transfer.json     configuration, rows, and when what pays
    transfer.parquet  one row for each form and bandwidth
    transfer.html     tables and plots, in one file that needs nothing else
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import LoadError
from .html import write_html
from .result import Group, Result

FORMAT = 1
"""Of transfer.json: raised when a reader of an older one would be misled."""


def write_result(folder: Path, result: Result) -> None:
    """Writes all files; LoadError if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document(result), indent=2, allow_nan=False)
        (folder / "transfer.json").write_text(text + "\n", encoding="utf-8")
        pq.write_table(_table(result), folder / "transfer.parquet")
        write_html(folder / "transfer.html", result)
    except OSError as error:
        raise LoadError(f"report '{folder}' cannot be written: {error.strerror}") from None


def document(result: Result) -> dict[str, Any]:
    """What transfer.json holds."""
    return {
        "format": FORMAT,
        "configuration": result.configuration,
        "notes": list(result.notes),
        "groups": [_group(group) for group in result.groups],
    }


def _group(group: Group) -> dict[str, Any]:
    first = group.rows[0]
    return {
        "model": first.model,
        "echoes": first.echoes,
        "kind": first.kind,
        "size": first.size,
        "rows": [asdict(row) for row in group.rows],
        "pays": [
            {
                "change": each.change,
                "lossy": each.lossy,
                "when": each.verdict.when,
                "bits_per_second": each.verdict.bits_per_second,
                "bound": each.verdict.bound,
            }
            for each in group.advice()
        ],
        "fastest": _reigns(group, lossless=False),
        "fastest_lossless": _reigns(group, lossless=True),
    }


def _reigns(group: Group, *, lossless: bool) -> list[dict[str, Any]]:
    return [
        {
            "form": each.name,
            "above_bits_per_second": each.low,
            "below_bits_per_second": None if each.high == float("inf") else each.high,
        }
        for each in group.fastest(lossless=lossless)
    ]


def _table(result: Result) -> pa.Table:
    columns = {
        "model": pa.string(),
        "echoes": pa.bool_(),
        "kind": pa.string(),
        "size": pa.string(),
        "encoding": pa.string(),
        "wire": pa.string(),
        "problem": pa.string(),
        "answer": pa.string(),
        "up_bytes": pa.int64(),
        "down_bytes": pa.int64(),
        "encode_ms": pa.float64(),
        "client_ms": pa.float64(),
        "server_ms": pa.float64(),
        "error_ms": pa.float64(),
        "bits_per_second": pa.float64(),
        "p50_ms": pa.float64(),
        "requests": pa.int64(),
    }
    rows = []
    for row in (row for group in result.groups for row in group.rows):
        plain = asdict(row)
        for cell in plain.pop("cells") or [{}]:
            rows.append({**plain, **cell})
    return pa.Table.from_pylist(rows, schema=pa.schema(columns.items()))
