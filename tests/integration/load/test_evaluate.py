"""`infergraph-load evaluate`: a conditional pipeline that runs per item, from serving to report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli.main import main

from ..echo_pipelines import write_files, write_routers, write_stages
from ..repositories import write_server
from ..server import REPOSITORY, wait_for

PIPELINE = "per-item"
FLAGS = (
    *("--seconds", "1", "--batch-sizes", "1,2", "--concurrency", "2", "--repeats", "1"),
    *("--trace", "1", "--dispatch-delay-ms", "5000", "--slo-ms", "1000"),
    # A higher percentile of so short runs is chance; no trial is repeated.
    *("--slo-percentile", "90", "--longest", "1", "--quiet"),
    # What only waits leaves the cores to the other tests.
    *("--set", "heavy.service_time_ms=40", "--set", "heavy.max_batch_size=1"),
)


@pytest.fixture(autouse=True)
def models_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers find `tests.integration.models`, which is nowhere installed."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stages and routers; the pipeline and one of its two models have a sample request."""
    root = write_server(tmp_path_factory.mktemp("models"))
    files = tmp_path_factory.mktemp("files")
    write_stages(root)
    write_files(files)
    write_routers(root, files)
    data = ["easy one", "hard one"]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": data}
    for name in (PIPELINE, "heavy"):
        (root / name / "request.json").write_text(json.dumps({"inputs": [tensor]}))
    return root


def alive(workspace: Path) -> list[str]:
    """Servers that run with this model folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(workspace) in words and "serve" in words:
                found.append(entry.name)
    return found


@pytest.mark.slow
def test_an_evaluation(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    status = main(
        ["evaluate", PIPELINE, "--models-dir", str(workspace), "--output", str(folder), *FLAGS]
    )
    document: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    assert document["problems"] == []
    assert status == 0
    (note,) = document["notes"]
    assert note.startswith("sorter by itself has no profile: 'sorter' has no sample request")
    assert [profile["model"] for profile in document["models"]] == ["heavy"]

    cells = pq.read_table(folder / f"profile-{PIPELINE}" / "profile.parquet").to_pylist()
    assert [(cell["batch_size"], cell["concurrency"]) for cell in cells] == [(1, 2), (2, 2)]
    assert all(cell["valid"] and cell["failed"] == 0 for cell in cells)
    assert document["ceiling"] == cells[0]["throughput"]
    for share in (50, 80):
        stages = pq.read_table(folder / f"open-{share}" / "stages.parquet").to_pylist()
        assert {"sorter", "heavy"} <= {stage["step"] for stage in stages}
        latency = {
            record["index"]: (record["end_ns"] - record["intended_ns"]) / 1e3
            for record in pq.read_table(folder / f"open-{share}" / "records.parquet").to_pylist()
        }
        sums: dict[int, float] = {}
        for stage in stages:
            sums[stage["index"]] = sums.get(stage["index"], 0.0) + stage["duration_us"]
        assert sums
        assert all(value == pytest.approx(latency[i], rel=0.02) for i, value in sums.items())

    page = (folder / "evaluation.html").read_text()
    for part in (
        "sorter: compute",
        "heavy: compute",
        "Open-loop runs",
        f"Evaluation of {PIPELINE}",
    ):
        assert part in page
    assert "<script src" not in page
    assert "Ready: " in (folder / "server.log").read_text()
    assert alive(workspace) == []


def test_an_unknown_pipeline(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    command = ["evaluate", "nope", "--models-dir", str(workspace), "--output", str(folder)]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("infergraph-load evaluate: there is no pipeline 'nope'; accepted: ")
    assert PIPELINE in line
    assert not folder.exists()


def test_a_setting_that_does_not_exist(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", PIPELINE, "--models-dir", str(workspace), "--set", "heavy.colour=red"]
    assert main([*command, "--output", str(tmp_path / "out"), *FLAGS]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "colour" in line
    assert alive(workspace) == []


def test_ctrl_c_ends_the_server_too(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "infergraph_clients.load", "evaluate", PIPELINE]
    command += ["--models-dir", str(workspace), "--output", str(folder), *FLAGS]
    command += ["--seconds", "60", "--longest", "60"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    log = folder / "server.log"

    def ready() -> bool:
        assert process.poll() is None
        return log.exists() and "Ready: " in log.read_text()

    wait_for(ready)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, b"")
    assert json.loads((folder / "evaluation.json").read_text())["interrupted"] is True
    assert alive(workspace) == []
