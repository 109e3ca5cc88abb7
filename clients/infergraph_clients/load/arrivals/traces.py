"""Recorded workloads: rates, or the times of requests, in the formats that they are published in.

=============  ==========================================================================
format         file
=============  ==========================================================================
`rates`        `.txt`: requests per second, between white space (Twitter, NASA, WorldCup);
               `.csv`: `rate`, or `second,rate`
`azure-2019`   `.csv`: a row for each function, a column of calls for each minute, named 1, 2, ...
`azure-2021`   `.csv`: `app,func,end_timestamp,duration` in seconds; begun at end - duration
`azure-llm`    `.csv`: a column `TIMESTAMP` of dates
`mooncake`     `.jsonl`: objects with `timestamp` in milliseconds and `input_length`
`timestamps`   `.jsonl`: seconds, or objects with `timestamp` in seconds
=============  ==========================================================================
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import LoadError
from .profile import RateProfile
from .specification import Trace

_MINUTE = 60.0
Times = npt.NDArray[np.float64]
Lines = Iterator[tuple[int, str]]


def read_trace(trace: Trace) -> tuple[RateProfile | Times, float]:
    """What is played: the rates of a trace, or times in seconds; and for how many seconds.

    Raises:
        LoadError: the file cannot be read; the text names the line.
    """
    path = Path(trace.file)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = (pair for pair in enumerate(stream, 1) if pair[1].strip())
            found = _read(trace, path, lines)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"trace '{path}' cannot be read: {reason}") from None
    # The last request is a part of the recording.
    recorded = (
        found.duration if isinstance(found, RateProfile) else float(found[-1]) * (1 + 1e-12) + 1e-9
    )
    end = recorded if trace.end is None else min(trace.end, recorded)
    if trace.start >= end:
        raise LoadError(
            f"trace '{path}' has nothing from start {trace.start:g} to end {end:g}: it lasts "
            f"{recorded:g} s"
        )
    seconds = (end - trace.start) / trace.speed
    if isinstance(found, RateProfile):
        part = found.between(trace.start, end)
        if not part.expected > 0:
            raise LoadError(f"trace '{path}' has no request in it")
        return RateProfile(
            part.times / trace.speed, part.rates * trace.scale * trace.speed
        ), seconds
    if trace.scale > 1:
        raise LoadError(
            f"scale is {trace.scale:g}, but '{path}' holds times of requests; accepted: at most 1 "
            "(or a speed above 1)"
        )
    return (found[(found >= trace.start) & (found < end)] - trace.start) / trace.speed, seconds


def _read(trace: Trace, path: Path, lines: Lines) -> RateProfile | Times:
    first = next(lines, None)
    if first is None:
        raise LoadError(f"trace '{path}' is empty")
    kind = _format(path, first[1]) if trace.format == "auto" else trace.format
    if trace.function is not None and kind not in ("azure-2019", "azure-2021"):
        raise LoadError(f"trace '{path}' has no functions, so none is '{trace.function}'")
    lines = itertools.chain([first], lines)
    if kind in ("mooncake", "timestamps"):
        return _from_zero(path, _json_times(path, lines, 1e3 if kind == "mooncake" else 1.0))
    if kind == "rates":
        separated = _words if path.suffix == ".txt" else _rows
        return _rates(path, separated(lines))
    header, rows = _table(path, lines)
    if kind == "azure-2019":
        return _counts(path, header, rows, trace.function)
    if kind == "azure-2021":
        return _from_zero(path, _calls(path, header, rows, trace.function))
    column = _column(path, header, "TIMESTAMP")
    return _from_zero(path, [_date(path, number, row[column]) for number, row in rows])


def _format(path: Path, first: str) -> str:
    header = [cell.strip() for cell in first.split(",")]
    if path.suffix == ".jsonl":
        return "mooncake" if '"input_length"' in first or '"hash_ids"' in first else "timestamps"
    if path.suffix not in (".csv", ".txt"):
        raise LoadError(f"trace '{path}' ends in '{path.suffix}'; accepted: .csv, .txt, .jsonl")
    known = {"HashFunction": "azure-2019", "end_timestamp": "azure-2021", "TIMESTAMP": "azure-llm"}
    return next((kind for name, kind in known.items() if name in header), "rates")


def _words(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    return ((number, [word]) for number, line in lines for word in line.split())


def _rows(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    return ((number, next(csv.reader([line]))) for number, line in lines)


def _table(path: Path, lines: Lines) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and the rows, each with its line's number and as long as the header."""
    rows = _rows(lines)
    header = [cell.strip() for cell in next(rows)[1]]

    def checked() -> Iterator[tuple[int, list[str]]]:
        for number, row in rows:
            if len(row) != len(header):
                raise LoadError(
                    f"trace '{path}', line {number}: {len(row)} columns, but the header has "
                    f"{len(header)}"
                )
            yield number, row

    return header, checked()


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise LoadError(f"trace '{path}' has no column {name}; it has {', '.join(header)}")
    return header.index(name)


def _rates(path: Path, rows: Iterator[tuple[int, list[str]]]) -> RateProfile:
    seconds: list[float] = []
    rates: list[float] = []
    for place, (number, row) in enumerate(rows):
        if place == 0 and not _is_number(row[-1]):
            continue
        if len(row) > 2:
            raise LoadError(
                f"trace '{path}', line {number}: {len(row)} columns; accepted: 'rate', or "
                "'second,rate', or Azure's"
            )
        values = [_number(path, number, cell) for cell in row]
        seconds.append(values[0] if len(values) == 2 else float(len(rates)))
        rates.append(values[-1])
        if len(seconds) > 1 and seconds[-1] <= seconds[-2]:
            raise LoadError(
                f"trace '{path}', line {number}: second {seconds[-1]:g} is not after "
                f"{seconds[-2]:g}"
            )
    if not rates:
        raise LoadError(f"trace '{path}' has no rates")
    # Each rate holds until the next one's second; the last for as long as the one before it.
    starts = np.array(seconds) - seconds[0]
    last = starts[-1] - starts[-2] if len(starts) > 1 else 1.0
    return RateProfile.steps(rates, np.append(starts[1:], starts[-1] + last))


def _counts(
    path: Path, header: list[str], rows: Iterator[tuple[int, list[str]]], function: str | None
) -> RateProfile:
    minutes = [index for index, name in enumerate(header) if name.isdigit()]
    counts = np.zeros(len(minutes))
    for number, row in _chosen(path, header, rows, "HashFunction", function):
        cells = [row[index] for index in minutes]
        try:
            found = np.array(cells, np.float64)
        except ValueError:
            found = np.array([math.nan])
        if not (found >= 0).all() or not np.isfinite(found).all():
            found = np.array([_number(path, number, cell) for cell in cells])
        counts += found
    return RateProfile.steps(counts / _MINUTE, np.arange(1, len(minutes) + 1) * _MINUTE)


def _calls(
    path: Path, header: list[str], rows: Iterator[tuple[int, list[str]]], function: str | None
) -> list[float]:
    end, duration = (_column(path, header, name) for name in ("end_timestamp", "duration"))
    return [
        _number(path, number, row[end]) - _number(path, number, row[duration])
        for number, row in _chosen(path, header, rows, "func", function)
    ]


def _chosen(
    path: Path,
    header: list[str],
    rows: Iterator[tuple[int, list[str]]],
    name: str,
    function: str | None,
) -> Iterator[tuple[int, list[str]]]:
    """The rows of one function, or all: one at a time, since a day's are gigabytes."""
    column = _column(path, header, name)
    missing = True
    for number, row in rows:
        if function is None or row[column] == function:
            missing = False
            yield number, row
    if missing:
        raise LoadError(
            f"trace '{path}' has no "
            + ("request in it" if function is None else f"function '{function}'")
        )


def _json_times(path: Path, lines: Lines, per_second: float) -> list[float]:
    times = []
    for number, line in lines:
        try:
            value: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise LoadError(f"trace '{path}', line {number} is not JSON: {error.msg}") from None
        if isinstance(value, dict):
            value = value.get("timestamp")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LoadError(
                f"trace '{path}', line {number}: {line.strip()[:60]!r}; accepted: a number of "
                'seconds, or {"timestamp": seconds}'
            )
        times.append(_finite(path, number, float(value)) / per_second)
    return times


def _from_zero(path: Path, times: list[float]) -> Times:
    if not times:
        raise LoadError(f"trace '{path}' has no request in it")
    array = np.sort(np.array(times))
    return array - float(array[0])


def _date(path: Path, line: int, text: str) -> float:
    """Seconds since the epoch; of more than 6 decimals of a second, Python reads none."""
    whole, point, rest = text.strip().partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    try:
        date = datetime.fromisoformat(whole + rest[digits:])
    except ValueError:
        raise LoadError(
            f"trace '{path}', line {line}: '{text}' is no date; accepted: as 2024-05-10 00:00:00.5"
        ) from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return date.timestamp() + float(f"0{point}{rest[:digits]}" if digits else 0)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise LoadError(f"trace '{path}', line {line}: {cell.strip()!r} is not a number") from None
    if value < 0:
        raise LoadError(f"trace '{path}', line {line}: {value:g} is negative; accepted: 0 or more")
    return _finite(path, line, value)


def _finite(path: Path, line: int, value: float) -> float:
    if not math.isfinite(value):
        raise LoadError(f"trace '{path}', line {line}: {value} is not a finite number")
    return value
