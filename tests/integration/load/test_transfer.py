"""`infergraph-load transfer` against a real server: an echo, speech to text, and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli.main import main

from ..repositories import write_echo, write_server
from ..server import REPOSITORY, ServerProcess

SAMPLE = REPOSITORY / "tests" / "samples" / "question-1.wav"
AUDIO = {
    "fp32": ("rest-json", "rest-base64", "rest-gzip", "grpc-raw", "grpc-typed", "grpc-gzip"),
    "fp16": ("rest-json", "rest-base64", "rest-gzip", "grpc-raw", "grpc-gzip"),
    "wav": ("rest-base64", "rest-gzip", "grpc-raw", "grpc-bytes", "grpc-gzip"),
    "flac": ("rest-base64", "rest-gzip", "grpc-raw", "grpc-bytes", "grpc-gzip"),
}
Rows = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = write_server(tmp_path_factory.mktemp("transfer"))
    write_echo(root, "echo", {}, {}, {})
    write_echo(
        root,
        "words",
        {"text": ("BYTES", [-1, 1])},
        {"size": ("INT64", [-1, 1])},
        {"outputs": {"size": {"value": 7}}},
    )
    (root / "speech-to-text").symlink_to(REPOSITORY / "model-settings" / "speech-to-text")
    # `glob` of the helper does not follow links.
    with _Linked(root) as running:
        yield running


class _Linked(ServerProcess):
    def models(self) -> list[str]:
        return ["echo", "speech-to-text", "words"]


def transfer(server: ServerProcess, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Its exit status and transfer.json; tiny sizes."""
    status = main(
        [
            *("transfer", "--url", server.url, "--url", server.grpc_url),
            *("--metrics-url", f"http://127.0.0.1:{server.metrics_port}/metrics"),
            *("--seconds", "0.01", "--rounds", "1", "--requests", "1", "--quiet"),
            # Even on a busy machine requests are sent, not computed.
            *("--longest", "60", "--output", str(folder), *more),
        ]
    )
    found: dict[str, Any] = json.loads((folder / "transfer.json").read_text())
    return status, found


def rows_of(group: dict[str, Any]) -> Rows:
    return {(row["encoding"], row["wire"]): row for row in group["rows"]}


def test_audio_in_every_format(server: ServerProcess, tmp_path: Path) -> None:
    status, found = transfer(
        server,
        tmp_path,
        *("--kinds", "audio", "--audio", str(SAMPLE), "--audio-seconds", "1"),
        *("--bandwidths", "100M"),
    )

    assert status == 0
    assert found["notes"] == []
    assert [(each["model"], each["echoes"]) for each in found["groups"]] == [
        ("echo", True),
        ("speech-to-text", False),
    ]
    expected = {(encoding, wire) for encoding, wires in AUDIO.items() for wire in wires}
    for group in found["groups"]:
        rows = rows_of(group)
        assert rows.keys() == expected
        for name, row in rows.items():
            assert (row["problem"], row["answer"]) == ("", "same"), name
            assert row["client_ms"] > 0
            assert row["server_ms"] >= 0
            assert [cell["bits_per_second"] for cell in row["cells"]] == [None, 100e6]
            assert all(cell["requests"] >= 1 and cell["p50_ms"] > 0 for cell in row["cells"])
        assert {each["when"] for each in group["pays"]} <= {
            "always", "never", "below", "above", "equal",
        }  # fmt: skip
        assert group["fastest"][0]["above_bits_per_second"] == 0
    echo, speech = map(rows_of, found["groups"])
    check_bytes(echo, speech)


def check_bytes(echo: Rows, speech: Rows) -> None:
    """Of one second at 16 kHz: heads and framing come on top of what the tensors take."""
    contents = {
        ("fp32", "grpc-raw"): 64_000,
        ("fp16", "grpc-raw"): 32_000,
        ("wav", "grpc-raw"): 32_044,
        ("wav", "grpc-bytes"): 32_044,
        ("fp32", "grpc-typed"): 64_000,
        ("fp32", "rest-base64"): 4 * 64_000 // 3,
        ("wav", "rest-base64"): 4 * 32_044 // 3,
    }
    for form, size in contents.items():
        assert size < echo[form]["up_bytes"] < size + 700, form
        assert size < echo[form]["down_bytes"] < size + 700, form
        assert size < speech[form]["up_bytes"] < size + 700, form
        assert speech[form]["down_bytes"] < 1_200, form
    for plain, packed in (("grpc-raw", "grpc-gzip"), ("rest-base64", "rest-gzip")):
        for side in ("up_bytes", "down_bytes"):
            assert echo["wav", packed][side] < echo["wav", plain][side], (packed, side)
    # Lists of numbers are the largest, FLAC over gRPC the smallest.
    assert max(echo, key=lambda form: echo[form]["up_bytes"])[1] == "rest-json"
    assert min(echo, key=lambda form: echo[form]["up_bytes"])[0] == "flac"


def test_texts_images_and_what_the_server_does_not_have(
    server: ServerProcess, tmp_path: Path
) -> None:
    status, found = transfer(
        server,
        tmp_path,
        *("--kinds", "image,text", "--text-model", "words", "--image-model", "speech-to-text"),
        *("--image-sides", "16", "--text-characters", "40", "--bandwidths", "1k"),
        *("--longest", "0.5"),
    )

    assert status == 0
    titles = [(each["kind"], each["size"], each["model"]) for each in found["groups"]]
    assert titles == [
        ("image", "16 x 16", "echo"),
        ("image", "16 x 16", "speech-to-text"),
        ("text", "40 characters", "echo"),
        ("text", "40 characters", "words"),
    ]
    echo, recogniser, texts, words = map(rows_of, found["groups"])
    assert {encoding for encoding, _ in echo} == {"uint8", "fp32", "fp16", "png", "jpeg"}
    assert all(row["answer"] == "same" for row in echo.values())
    # Its one encoded input takes the image's file, which is no sound.
    assert "not audio (begins with" in recogniser["png", "grpc-raw"]["problem"]
    assert "no input of UINT8" in recogniser["uint8", "grpc-raw"]["problem"]
    wires = ("rest-json", "rest-base64", "rest-gzip", "grpc-raw", "grpc-bytes", "grpc-gzip")
    for rows in (texts, words):
        assert list(rows) == [("text", wire) for wire in wires]
        # At a kilobit per second nothing is sent; the time is computed.
        for row in rows.values():
            free, slow = row["cells"]
            wanted = free["p50_ms"] + 8 * (row["up_bytes"] + row["down_bytes"])
            assert slow["p50_ms"] == pytest.approx(wanted)
            assert slow["requests"] == 0
    cells = pq.read_table(tmp_path / "transfer.parquet").to_pylist()
    assert sum(cell["model"] == "words" for cell in cells) == 2 * len(wires)
    assert "Pays when" in (tmp_path / "transfer.html").read_text()


def test_a_slow_link_takes_the_time_of_the_bytes(server: ServerProcess, tmp_path: Path) -> None:
    _, found = transfer(
        server,
        tmp_path,
        *("--kinds", "audio", "--audio-model", "", "--audio-seconds", "1"),
        *("--encodings", "fp16", "--formats", "grpc-raw,rest-base64", "--bandwidths", "2M"),
        *("--round-trip-ms", "50"),
    )

    (group,) = found["groups"]
    for row in group["rows"]:
        # No sooner than the link allows, the last chunk that is in both directions at once aside.
        least = 50 + 8e3 * (row["up_bytes"] + row["down_bytes"] - 32_768) / 2e6
        assert row["cells"][1]["p50_ms"] > least
        assert row["cells"][1]["requests"] == 1


def test_rest_alone(server: ServerProcess, tmp_path: Path) -> None:
    status = main(
        [
            *("transfer", "--url", server.url, "--kinds", "text", "--text-model", "absent"),
            *("--text-characters", "10", "--seconds", "0.01", "--rounds", "1", "--requests", "1"),
            *("--bandwidths", "10M", "--quiet", "--output", str(tmp_path)),
        ]
    )

    found = json.loads((tmp_path / "transfer.json").read_text())
    assert status == 0
    no_cpu, no_grpc, no_model = found["notes"]
    assert no_cpu.startswith("the server's CPU is not known")
    assert no_grpc == "left out: gRPC's formats, since no --url is grpc://host:port"
    assert no_model == "left out: the server has no model 'absent' that is ready (text)"
    (group,) = found["groups"]
    assert [row["wire"] for row in group["rows"]] == ["rest-json", "rest-base64", "rest-gzip"]
    assert all(row["server_ms"] is None for row in group["rows"])


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            ["--echo-model", "absent", "--audio-model", "none"],
            "has none of the models 'absent', 'none'",
        ),
        (["--url", "grpc://127.0.0.1:9"], "server 'grpc://127.0.0.1:9' cannot be reached: "),
    ],
)
def test_one_line_of_what_is_wrong(
    more: list[str],
    text: str,
    server: ServerProcess,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["transfer", "--url", server.url, "--kinds", "audio", "--output", str(tmp_path)]

    assert main([*command, *more]) == 2

    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("infergraph-load transfer: ")
    assert text in said
