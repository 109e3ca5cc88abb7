"""What became of each request: rows of fixed size, in a worker's memory for a moment, then on disk.

A worker hands its rows over several times a second, and the coordinator appends them to a stream of
Arrow record batches. What has been written stays readable whatever ends next, so a worker or a
tester that dies loses a second, and neither grows with the number of requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...transports import UNKNOWN, Exchange
from ...transports.outcome import Outcome
from ..errors import LoadError

RECORD = np.dtype(
    [
        ("index", "<i8"),
        ("payload", "<i4"),
        ("process", "<i2"),
        ("outcome", "i1"),
        ("traced", "?"),
        ("status", "<i4"),
        ("answer_bytes", "<i4"),
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("first_byte_ns", "<i8"),
        ("end_ns", "<i8"),
        ("answers", "<i4"),
        ("first_answer_ns", "<i8"),
        ("longest_gap_ns", "<i8"),
    ]
)
"""Times are nanoseconds after the run's start; -1 where the time is not known. Of a stream: how
many answers it gave, when the first was there, and the longest time between two."""
Traces = Sequence[tuple[int, Mapping[str, Any]]]
"""(A request's index, its trace)."""
_ROWS = 4_096
_RECORDS, _TRACES, _RUN = "records.arrows", "traces.jsonl", "run.json"


class RecordBuffer:
    """Rows of requests that have ended and have not been handed over.

    Args:
        process: The number of this worker.
        start: The run's start, by `now_ns`.
    """

    def __init__(self, process: int, start: int) -> None:
        self._process = process
        self._start = start
        self._rows = np.empty(_ROWS, RECORD)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, exchange: Exchange, outcome: Outcome) -> None:
        """Adds a request that has ended, with its outcome after the check of the answer."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty(self._count, RECORD)])
        start = self._start
        first_byte, first_answer, gaps = exchange.first_byte, exchange.first_answer, exchange.gaps
        self._rows[self._count] = (
            exchange.index,
            exchange.payload,
            self._process,
            outcome,
            exchange.traced,
            exchange.status,
            len(exchange.body),
            exchange.intended - start,
            exchange.sent - start,
            first_byte - start if first_byte >= 0 else UNKNOWN,
            exchange.end - start,
            exchange.answers,
            first_answer - start if first_answer >= 0 else UNKNOWN,
            max(gaps) if gaps else UNKNOWN,
        )
        self._count += 1

    def take(self) -> npt.NDArray[Any]:
        """The rows since the last call, dtype RECORD."""
        rows: npt.NDArray[Any] = self._rows[: self._count].copy()
        self._count = 0
        return rows


def trace_lines(traces: Traces) -> bytes:
    """Traces as a `RecordWriter` takes them: JSON, each in a line."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in traces)


class RecordWriter:
    """Appends a run's records and traces to files of a folder while it goes on.

    Args:
        folder: Made if it is not there.
        document: What else is needed to make a report, as JSON.

    Raises:
        LoadError: the folder cannot be written.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        import pyarrow as pa

        self._folder = folder
        self._document = dict(document)
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what has been written survives this process.
            self._file = (folder / _RECORDS).open("wb", buffering=0)
            self._traces = (folder / _TRACES).open("wb", buffering=0)
        # Last: a folder with a document holds records.
        self.note()
        types = [(name, pa.from_numpy_dtype(RECORD[name])) for name in RECORD.names or ()]
        self._schema = pa.schema(types)
        self._stream = pa.ipc.new_stream(self._file, self._schema)

    def note(self, **more: Any) -> None:
        """Writes the document, with more that has become known. LoadError if it cannot be."""
        self._document |= more
        # In one step: a tester that is killed meanwhile leaves the former document, whole.
        part = self._folder / f"{_RUN}.part"
        with self._writing():
            part.write_text(json.dumps(self._document), encoding="utf-8")
            os.replace(part, self._folder / _RUN)

    def add(self, rows: npt.NDArray[Any], traces: bytes = b"") -> None:
        """Appends rows of dtype RECORD, and `trace_lines`. LoadError if they cannot be written."""
        import pyarrow as pa

        with self._writing():
            if len(rows):
                columns = [np.ascontiguousarray(rows[name]) for name in RECORD.names or ()]
                self._stream.write_batch(
                    pa.record_batch([pa.array(each) for each in columns], schema=self._schema)
                )
            self._traces.write(traces)

    def close(self) -> None:
        """Ends the files; `read_records` reads them whether or not this was called."""
        if self._file.closed:
            return
        # Its end tells nothing, and on a full disk what could not be written has been said.
        with contextlib.suppress(OSError):
            self._stream.close()
        self._file.close()
        self._traces.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LoadError(
                f"records '{self._folder}' cannot be written: {error.strerror or error}"
            ) from None


def read_records(folder: Path) -> tuple[dict[str, Any], npt.NDArray[Any], Traces]:
    """What a `RecordWriter` left: the document, rows of dtype RECORD, and traces.

    A batch that breaks off, because its writer was killed, is left out.

    Raises:
        LoadError: the folder holds no records.
    """
    import pyarrow as pa

    try:
        document: dict[str, Any] = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        with pa.memory_map(str(folder / _RECORDS)) as source:
            batches = _whole_batches(source)
            rows = np.empty(sum(map(len, batches)), RECORD)
            for name in RECORD.names or ():
                parts = [batch.column(name).to_numpy(zero_copy_only=False) for batch in batches]
                rows[name] = np.concatenate(parts) if parts else 0
        with (folder / _TRACES).open("rb") as stream:
            traces = [json.loads(line) for line in stream if line.endswith(b"\n")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"'{folder}' holds no records: {reason}") from None
    return document, rows, [(index, trace) for index, trace in traces]


def _whole_batches(source: Any) -> list[Any]:
    import pyarrow as pa

    batches: list[Any] = []
    with contextlib.suppress(pa.ArrowInvalid, OSError):
        # One by one: those before a batch that breaks off are kept.
        for batch in pa.ipc.open_stream(source):
            batches.append(batch)
    return batches


def remove_records(folder: Path) -> None:
    """Removes what a `RecordWriter` left, once a report holds it."""
    shutil.rmtree(folder, ignore_errors=True)
