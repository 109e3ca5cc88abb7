"""A report's folder.

::

    report.json      configuration, schedule's digest, summary
    records.parquet  one row for each request that was sent, with its times by the wall clock, UTC
    stages.parquet   one row for each part of each traced request
    seconds.csv      one row for each second
    report.html      plots, in one file that needs nothing else
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ...transports.outcome import Outcome
from ..engine.run import Run
from ..errors import LoadError
from ..statistics.distribution import encoded_histogram
from ..statistics.stages import Parts, parts_of
from ..statistics.summarising import measured_records
from ..statistics.summary import Summary
from .html import write_html
from .text import utc
from .timeline import Timeline, timeline

FORMAT = 2
"""Of report.json: raised when a reader of an older one would be misled."""
_MAY_LACK = ("first_byte_ns", "status", "first_answer_ns", "longest_gap_ns")
_STAGES = pa.schema(
    {
        "index": pa.int64(),
        "step": pa.string(),
        "kind": pa.string(),
        "duration_us": pa.float64(),
        "batch_size": pa.int64(),
    }
)


@dataclass(frozen=True)
class Report:
    """A report that was read back.

    Attributes:
        name: Its folder's.
        document: report.json.
        records: Columns of records.parquet.
    """

    name: str
    document: dict[str, Any]
    records: dict[str, npt.NDArray[Any]]


def write_report(folder: Path, run: Run, summary: Summary, *, page: bool = True) -> None:
    """Writes all files, the numbers first; without `page`, no report.html.

    Raises:
        LoadError: the folder cannot be written.
    """
    with writing("report", folder):
        write_json(folder / "report.json", report_document(run, summary))
        pq.write_table(_records_table(run), folder / "records.parquet")
        parts = parts_of(run.records[run.records["outcome"] == Outcome.OK], run.traces)
        pq.write_table(_stages_table(parts), folder / "stages.parquet")
        seconds = timeline(run.records, run.began)
        _write_seconds(folder / "seconds.csv", seconds)
        if page:
            write_html(folder / "report.html", run, summary, seconds)


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Makes the folder; LoadError if that, or what is written inside, cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise LoadError(f"{what} '{folder}' cannot be written: {error.strerror}") from None


def write_json(file: Path, document: dict[str, Any]) -> None:
    """Writes numbers, none of which is NaN."""
    text = json.dumps(document, indent=2, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")


def check_writable(folder: Path) -> None:
    """Makes the folder; LoadError if it cannot be written. Asked before a run, not after it."""
    with writing("report", folder):
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()


def report_document(run: Run, summary: Summary) -> dict[str, Any]:
    """What report.json holds; its histogram is of right answers, in microseconds."""
    measured = measured_records(run)
    right = measured[measured["outcome"] == Outcome.OK]
    schedule = None
    if run.schedule is not None:
        schedule = {"sha256": run.schedule.digest(), "requests": len(run.schedule)}
    return {
        "format": FORMAT,
        "configuration": run.configuration.model_dump(mode="json"),
        "schedule": schedule,
        "payloads": run.payload_names,
        "began": run.began,
        "began_utc": utc(run.began),
        "seconds": run.seconds,
        "interrupted": run.interrupted,
        "machine": run.machine,
        "summary": asdict(summary),
        "latency_histogram": encoded_histogram(right["end_ns"] - right["intended_ns"]),
    }


def read_report(folder: Path) -> Report:
    """A report; LoadError if the folder holds none."""
    file = folder / "report.json" if folder.is_dir() else folder
    try:
        document = orjson.loads(file.read_bytes())
        records = pq.read_table(file.parent / "records.parquet")
    except (OSError, orjson.JSONDecodeError, pa.ArrowInvalid) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"'{folder}' holds no report: {reason}") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise LoadError(f"'{file}' has format {found!r}; accepted: {FORMAT}")
    columns = {
        name: records.column(name).to_numpy(zero_copy_only=False) for name in records.column_names
    }
    return Report(file.parent.name, document, columns)


def _records_table(run: Run) -> pa.Table:
    columns: dict[str, Any] = {}
    for name in run.records.dtype.names or ():
        values = np.ascontiguousarray(run.records[name])
        if name == "outcome":
            labels = pa.array([outcome.label for outcome in Outcome])
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(values), labels)
        else:
            columns[name] = pa.array(values, mask=values < 0 if name in _MAY_LACK else None)
    for name in ("sent", "end"):
        # By which a request is found in a log, or beside a metric.
        wall = run.records[f"{name}_ns"] + round(run.began * 1e9)
        columns[f"{name}_utc"] = pa.array(wall, pa.timestamp("ns", tz="UTC"))
    return pa.table(columns)


def _stages_table(parts: list[Parts]) -> pa.Table:
    rows = []
    for each in parts:
        for name, seconds in each.seconds.items():
            step, _, kind = name.rpartition(": ")
            row = (each.index, step, kind, seconds * 1e6, each.batch_sizes.get(step))
            rows.append(dict(zip(_STAGES.names, row, strict=True)))
    return pa.Table.from_pylist(rows, _STAGES)


def _write_seconds(file: Path, seconds: Timeline) -> None:
    columns = seconds.columns()
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(
                "" if isinstance(value, float) and math.isnan(value) else value for value in row
            )
