"""From rows to advice, tables and files."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from infergraph_clients.load.transfer.folder import document, write_result
from infergraph_clients.load.transfer.result import Group, Result, grouped
from infergraph_clients.load.transfer.rows import Cell, Row
from infergraph_clients.load.transfer.terminal import print_result
from infergraph_clients.load.transfer.texts import differences, refusals, table

MEGABIT = 1e6


def row(encoding: str, wire: str, bytes_up: int, busy_ms: float, **more: Any) -> Row:
    """Of an echo; 1 ms of its CPU is the client's, and its latency twice the CPU."""
    cells = tuple(
        Cell(bits, 2 * busy_ms + (8e3 * (bytes_up + 100) / bits if bits else 0), 3)
        for bits in (None, 10 * MEGABIT)
    )
    plain = Row(
        "echo", True, "audio", "1 s", encoding, wire, "", "same", bytes_up, 100, 0.0, 1.0,
        busy_ms - 1, 0.0, cells,
    )  # fmt: skip
    return replace(plain, **more)


ROWS = [
    row("fp32", "rest-json", 300_100, 21),
    row("fp32", "rest-gzip", 100_100, 61),
    row("fp32", "grpc-raw", 64_000, 2),
    row("fp16", "grpc-raw", 32_000, 2.1, answer="output 'samples' is FP16"),
    row("wav", "grpc-raw", 32_000, 1.9),
    row("flac", "grpc-raw", 20_000, 6.9, encode_ms=4.0, server_ms=1.9),
    row("flac", "grpc-gzip", 20_000, 9),
]


def verdicts(rows: list[Row], *, encoded_already: bool = False) -> dict[str, str]:
    (group,) = grouped(rows, encoded_already=encoded_already)
    return {each.change: str(each.verdict) for each in group.advice()}


def test_when_what_pays() -> None:
    assert verdicts(ROWS) == {
        # 1.6 Mbit for 40 ms.
        "rest-gzip instead of rest-json, fp32": "pays below 40 Mbit/s",
        "grpc-raw instead of rest-json, fp32": "always pays",
        "grpc-gzip instead of grpc-raw, flac": "never pays",
        # 256 kbit for 0.1 ms.
        "fp16 instead of fp32, grpc-raw": "pays below 2.6 Gbit/s",
        "wav instead of fp32, grpc-raw": "always pays",
        # 96 kbit for 5 ms.
        "flac instead of wav, grpc-raw": "pays below 19 Mbit/s",
    }


def test_what_a_text_is_compared_with() -> None:
    wires = ("rest-json", "rest-base64", "rest-gzip", "grpc-raw", "grpc-gzip")
    rows = [row("text", wire, 1_000, 2, kind="text") for wire in wires]
    assert list(verdicts(rows)) == [
        "rest-gzip instead of rest-json, text",
        "rest-base64 instead of rest-json, text",
        "grpc-raw instead of rest-json, text",
        "grpc-gzip instead of grpc-raw, text",
    ]


def test_encoding_is_free_for_who_has_files() -> None:
    # 96 kbit for 1 ms: FLAC's own 4 ms are not counted.
    assert verdicts(ROWS, encoded_already=True)["flac instead of wav, grpc-raw"] == (
        "pays below 96 Mbit/s"
    )


def test_without_the_servers_cpu_latencies_count() -> None:
    rows = [replace(each, server_ms=None) for each in ROWS]
    # Twice the CPU, in this test.
    assert verdicts(rows)["rest-gzip instead of rest-json, fp32"] == "pays below 20 Mbit/s"


def test_the_fastest() -> None:
    (group,) = grouped(ROWS, encoded_already=False)
    assert [each.name for each in group.fastest(lossless=False)] == [
        "flac grpc-raw",
        "wav grpc-raw",
    ]
    assert group.lossy == {"fp16"}


def test_rows_are_grouped_by_stage_and_size() -> None:
    rows = [*ROWS, replace(ROWS[0], size="5 s"), replace(ROWS[0], model="asr", echoes=False)]
    groups = grouped(rows, encoded_already=False)
    assert [(group.title, len(group.rows)) for group in groups] == [
        ("audio 1 s, echo: echo", 7),
        ("audio 5 s, echo: echo", 1),
        ("audio 1 s, asr", 1),
    ]


def test_what_is_wrong() -> None:
    def wrong(**changes: Any) -> list[str]:
        rows = [replace(each, answer="other", **changes) for each in ROWS]
        return [each.name for each in Group(rows, False).wrong]

    assert len(wrong()) == 7
    # A model may hear half precision otherwise.
    assert wrong(echoes=False) == [each.name for each in ROWS if each.encoding != "fp16"]
    assert wrong(problem="refused") == []
    # Scaling of images is then the client's.
    assert wrong(echoes=False, kind="image", encoding="fp32") == []


def test_the_table_marks_the_fastest_and_what_was_computed() -> None:
    slow = replace(ROWS[0], cells=(ROWS[0].cells[0], Cell(10 * MEGABIT, 9_000, 0)))
    (group,) = grouped([slow, *ROWS[1:]], encoded_already=False)
    head, rows = table(group)
    assert head == ["", "up", "down", "encode", "client", "server", "no limit", "10 Mbit/s"]
    assert rows[0] == [
        "fp32 rest-json",
        "300 kB",
        "100 B",
        "0.000",
        "1.00",
        "20.0",
        "42.0",
        "~9000",
    ]
    assert rows[4][-2] == "3.80*"
    assert (rows[4][-1], rows[5][-1]) == ("29.5*", "29.9")


def test_reasons_name_forms_once() -> None:
    refused = [replace(each, problem="no") for each in ROWS if each.encoding == "fp32"]
    others = [each for each in ROWS if each.encoding != "fp32"]
    half = replace(others[-1], problem="no")
    (group,) = grouped([*refused, *others[:-1], half], encoded_already=False)
    assert refusals(group) == ["not measured: fp32, flac grpc-gzip: no"]
    assert differences(group) == ["answers differ: fp16: output 'samples' is FP16"]


def result() -> Result:
    rows = [*ROWS, replace(ROWS[0], kind="image", encoding="png", problem="refused", cells=())]
    configuration = {"urls": ["http://127.0.0.1:8080"], "began": "now"}
    return Result(grouped(rows, encoded_already=False), ["a note"], configuration)


def test_the_files(tmp_path: Path) -> None:
    write_result(tmp_path / "report", result())

    read = json.loads((tmp_path / "report" / "transfer.json").read_text())
    assert read == json.loads(json.dumps(document(result())))
    audio, image = read["groups"]
    assert audio["pays"][0] == {
        "change": "rest-gzip instead of rest-json, fp32",
        "lossy": False,
        "when": "below",
        "bits_per_second": pytest.approx(40e6),
        "bound": False,
    }
    assert audio["fastest"][1]["below_bits_per_second"] is None
    assert image["rows"][0]["problem"] == "refused"
    assert image["fastest"] == []
    cells = pq.read_table(tmp_path / "report" / "transfer.parquet").to_pylist()
    assert len(cells) == 2 * len(ROWS) + 1
    assert cells[1]["bits_per_second"] == 10e6
    assert cells[1]["up_bytes"] == 300_100
    page = (tmp_path / "report" / "transfer.html").read_text()
    assert "rest-gzip instead of rest-json, fp32: pays below 40 Mbit/s" in page
    assert "<script src" not in page


def test_what_is_printed() -> None:
    file = io.StringIO()
    print_result(Console(file=file, width=40), result())
    text = file.getvalue()
    for line in (
        "audio 1 s, echo: echo",
        "image 1 s, echo: echo",
        "  not measured: png: refused",
        "  fastest: above 19 Mbit/s: wav grpc-raw; below 19 Mbit/s: flac grpc-raw",
        "pays when (audio, echo: echo)",
        "  flac instead of wav, grpc-raw: pays below 19 Mbit/s",
        "  fp16 instead of fp32, grpc-raw (loses something): pays below 2.6 Gbit/s",
        "note: a note",
    ):
        assert line in text.splitlines(), line
    assert "flac grpc-raw   20.0 kB" in text
