"""Recorded workloads: rates per second, Azure Functions' counts per minute, timestamps.

Azure's format is that of the Azure Functions traces of 2019
(https://github.com/Azure/AzurePublicDataset): a column per minute of the day, named 1 to 1440.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import LoadError
from .profile import RateProfile
from .specification import Trace

_AZURE_INTERVAL = 60.0


def read_trace(trace: Trace) -> RateProfile | npt.NDArray[np.float64]:
    """The rates of a trace, or its timestamps in seconds from 0; scaled.

    Raises:
        LoadError: the file cannot be read; the text names the line.
    """
    path = Path(trace.file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"trace '{path}' cannot be read: {reason}") from None
    if path.suffix == ".jsonl":
        return _timestamps(path, text) * trace.time_scale
    if path.suffix != ".csv":
        raise LoadError(f"trace '{path}' ends in '{path.suffix}'; accepted: .csv, .jsonl")
    rows = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    if not rows:
        raise LoadError(f"trace '{path}' is empty")
    header = [cell.strip() for cell in rows[0][1]]
    if "HashFunction" in header:
        rates = _azure(path, header, rows[1:], trace.function) / _AZURE_INTERVAL
        ends = np.arange(1, len(rates) + 1) * _AZURE_INTERVAL
    else:
        if trace.function is not None:
            raise LoadError(f"trace '{path}' has no column HashFunction to look for a function in")
        rates, ends = _rates(path, rows)
    if not rates.sum() > 0:
        raise LoadError(f"trace '{path}' has no request in it")
    scale = trace.rate_scale / trace.time_scale
    return RateProfile.steps(rates * scale, ends * trace.time_scale)


def _rates(
    path: Path, rows: list[tuple[int, list[str]]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if not _is_number(rows[0][1][-1]):
        rows = rows[1:]
    seconds: list[float] = []
    rates: list[float] = []
    for number, row in rows:
        if len(row) > 2:
            raise LoadError(
                f"trace '{path}', line {number}: {len(row)} columns; accepted: 'rate', or "
                "'second,rate', or Azure's with HashFunction"
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
    return np.array(rates), np.append(starts[1:], starts[-1] + last)


def _azure(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]], function: str | None
) -> npt.NDArray[np.float64]:
    minutes = [index for index, name in enumerate(header) if name.isdigit()]
    column = header.index("HashFunction")
    counts = np.zeros(len(minutes))
    found = False
    for number, row in rows:
        if len(row) != len(header):
            raise LoadError(
                f"trace '{path}', line {number}: {len(row)} columns, but the header has "
                f"{len(header)}"
            )
        if function is None or row[column] == function:
            found = True
            counts += [_number(path, number, row[index]) for index in minutes]
    if not found:
        raise LoadError(f"trace '{path}' has no function '{function}'")
    return counts


def _timestamps(path: Path, text: str) -> npt.NDArray[np.float64]:
    times = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise LoadError(f"trace '{path}', line {number} is not JSON: {error.msg}") from None
        if isinstance(value, dict):
            value = value.get("timestamp")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LoadError(
                f"trace '{path}', line {number}: {line.strip()[:60]!r}; accepted: a number of "
                'seconds, or {"timestamp": seconds}'
            )
        times.append(_finite(path, number, float(value)))
    if not times:
        raise LoadError(f"trace '{path}' has no timestamps")
    array: npt.NDArray[np.float64] = np.sort(np.array(times))
    return array - float(array[0])


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
