"""`infergraph-load profile` on a real model, and on servers that misbehave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli.main import main

from ..server import REPOSITORY, ServerProcess, wait_for
from .runs import PROTOCOLS, Stub

ECHO = REPOSITORY / "model-settings" / "echo"
# The tests' machine may be busy; its lateness is not what is tested.
RELAXED = ("--set", "limits.dispatch_delay_ms=5000", "--set", "limits.cpu=100")


@pytest.fixture(scope="module")
def echo() -> Iterator[ServerProcess]:
    with ServerProcess(ECHO) as server:
        yield server


def arguments(url: str, model: str, payload: Path, folder: Path, *more: str) -> list[str]:
    return [
        *("profile", "--url", url, "--model", model, "--payload", str(payload)),
        *("--batch-sizes", "1,3", "--concurrency", "2", "--repeats", "1"),
        *("--duration", "0.5", "--warmup", "0", "--trace", "1"),
        *("--quiet", "--output", str(folder), *RELAXED, *more),
    ]


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "profile.parquet").to_pylist()
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model(echo: ServerProcess, tmp_path: Path, protocol: str) -> None:
    url = {"http": echo.url, "grpc": echo.grpc_url}[protocol]
    assert main(arguments(url, "echo", ECHO / "request.json", tmp_path)) == 0
    found = rows(tmp_path)
    assert [(row["batch_size"], row["concurrency"]) for row in found] == [(1, 2), (3, 2)]
    for row in found:
        assert (row["model"], row["protocol"], row["problem"]) == ("echo", protocol, None)
        assert row["valid"]
        assert row["failed"] == 0
        assert row["throughput"] * row["seconds"] == pytest.approx(
            row["requests"] * row["batch_size"], rel=0.1
        )
        assert row["traced"] == row["requests"]
        # What the model computed at once is at least what a request held.
        assert row["batch_size"] <= row["server_batch_size"]
        kinds = ("dispatch", "network", "router", "queue", "compute", "hop")
        parts = sum(row[f"{kind}_ms"] for kind in kinds)
        assert parts == pytest.approx(row["latency_mean_ms"], rel=0.02)
    document = json.loads((tmp_path / "profile.json").read_text())
    # The server says the same of a model over either protocol.
    assert document["parameters"]["max_batch_size"] > 0
    assert {row["variant"] for row in found} == {document["parameters"]["variant"]} == {"embedded"}


@pytest.mark.parametrize(
    ("model", "status", "problem"),
    [
        ("absent", 2, "has no model 'absent'"),
        ("bad-request", 2, "refused the first request"),
        ("status-503", 1, "requests failed (overload: "),
    ],
)
def test_failures(
    stub: Stub,
    request_file: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    status: int,
    problem: str,
) -> None:
    folder = request_file.parent / "out"
    assert main(arguments(stub.url("http"), model, request_file, folder)) == status
    if status == 2:
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("infergraph-load profile: ")
        assert problem in line
        assert not (folder / "profile.parquet").exists()
    else:
        last = rows(folder)[-1]
        assert not last["valid"]
        assert last["failed"] == last["requests"]
        assert problem in last["problem"]


def test_ctrl_c_leaves_what_was_measured(stub: Stub, request_file: Path) -> None:
    folder = request_file.parent / "out"
    before = stub.count("ok")
    command = [sys.executable, "-m", "infergraph_clients.load"]
    command += arguments(stub.url("http"), "ok", request_file, folder, "--duration", "60")
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    # One was asked before any load.
    wait_for(lambda: stub.count("ok") > before + 1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")
    assert rows(folder) == []
    assert json.loads((folder / "profile.json").read_text())["interrupted"] is True
