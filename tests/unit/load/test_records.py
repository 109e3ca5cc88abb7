"""Records: handed over in parts, on disk while a run goes on, and readable whatever ended it."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from infergraph_clients.load.cli.main import main
from infergraph_clients.load.engine.records import (
    RECORD,
    RecordBuffer,
    RecordWriter,
    read_records,
    trace_lines,
)
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.transports import Exchange
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration, records


def test_a_buffer_hands_over_what_came_since() -> None:
    buffer = RecordBuffer(4, 1_000)
    exchange = Exchange(0, 1, False, 1_005, lambda _: None)
    exchange.sent, exchange.end = 1_006, 1_007
    for index in range(10_000):
        exchange.index = index
        buffer.add(exchange, Outcome.LOST)
        if index == 6_999:
            first = buffer.take()
    second = buffer.take()
    assert [*first["index"], *second["index"]] == list(range(10_000))
    assert set(second["process"].tolist()) == {4}
    last = second[-1]
    assert (last["intended_ns"], last["sent_ns"], last["end_ns"]) == (5, 6, 7)
    assert last["first_byte_ns"] == -1
    assert len(buffer.take()) == 0


def write(folder: Path, parts: int) -> RecordWriter:
    writer = RecordWriter(folder, {"model": "m"})
    for number in range(parts):
        rows = records(np.arange(1_000))
        rows["index"] += 1_000 * number
        writer.add(rows, trace_lines([(number, {"duration_us": number})]))
    return writer


def test_what_is_written_is_read(tmp_path: Path) -> None:
    writer = write(tmp_path / "new", 3)
    writer.close()
    document, rows, traces = read_records(tmp_path / "new")
    assert document == {"model": "m"}
    assert rows.dtype == RECORD
    assert rows["index"].tolist() == list(range(3_000))
    assert (rows["end_ns"][:1_000] == records(np.arange(1_000))["end_ns"]).all()
    assert traces == [(0, {"duration_us": 0}), (1, {"duration_us": 1}), (2, {"duration_us": 2})]


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_records_of_a_tester_that_was_killed(tmp_path: Path, cut: int) -> None:
    """Neither file has an end, and the last batch may break off anywhere."""
    with closing(write(tmp_path / "running", 3)):
        # As it is in the middle of a run.
        shutil.copytree(tmp_path / "running", tmp_path / "killed")
    file = tmp_path / "killed" / "records.arrows"
    file.write_bytes(file.read_bytes()[: -cut or None])
    with (tmp_path / "killed" / "traces.jsonl").open("a") as stream:
        stream.write(json.dumps([3, {}])[:-1])
    _, rows, traces = read_records(tmp_path / "killed")
    assert rows["index"].tolist() == list(range(3_000 if cut == 0 else 2_000))
    assert [index for index, _ in traces] == [0, 1, 2]


def test_a_tester_that_is_killed_while_it_writes_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former document stays whole; so it is with a disk that is full."""

    def killed(self: Path, text: str, **_: object) -> None:
        with self.open("w") as stream:
            stream.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    with closing(write(tmp_path, 1)) as writer:
        monkeypatch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            writer.note(began=5)
        document, rows, _ = read_records(tmp_path)
    assert (document, len(rows)) == ({"model": "m"}, 1_000)


@pytest.mark.parametrize("file", ["records.arrows", "traces.jsonl"])
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, file: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / file).symlink_to("/dev/full")

    def measured() -> None:
        with closing(RecordWriter(tmp_path / "full", {})) as writer:
            writer.add(records([5.0]), trace_lines([(0, {})]))

    with pytest.raises(LoadError, match=r"full' cannot be written: .*No space left on device"):
        measured()


def test_a_document_that_a_full_disk_does_not_take(tmp_path: Path) -> None:
    with closing(write(tmp_path, 1)) as writer:
        (tmp_path / "run.json.part").symlink_to("/dev/full")
        with pytest.raises(LoadError, match="cannot be written: No space left on device"):
            writer.note(began=5)
        assert read_records(tmp_path)[0] == {"model": "m"}


def test_the_last_of_several_loads_that_has_no_report_has_its_own(tmp_path: Path) -> None:
    document = {
        "configuration": configuration().model_dump(mode="json"),
        "payloads": ["p"],
        "scheduled": 1_000,
        "began": 0.0,
        "machine": {},
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").touch()
    with closing(RecordWriter(tmp_path / "b" / "partial", document)) as writer:
        writer.add(records(np.full(1_000, 5.0)))
    assert main(["report", str(tmp_path), "--quiet"]) == ExitStatus.INTERRUPTED
    assert json.loads((tmp_path / "b" / "report.json").read_text())["interrupted"]
    assert not (tmp_path / "b" / "partial").exists()
    assert {each.name for each in tmp_path.iterdir()} == {"a", "b"}


def test_no_records_yet(tmp_path: Path) -> None:
    with closing(write(tmp_path, 0)):
        _, rows, traces = read_records(tmp_path)
    assert (len(rows), len(traces)) == (0, 0)
    with pytest.raises(LoadError, match="holds no records: No such file"):
        read_records(tmp_path / "elsewhere")
