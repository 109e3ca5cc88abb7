"""What was measured outlives the tester, and what is there is not overwritten unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infergraph_clients.load.cli.main import main
from infergraph_clients.load.engine.records import read_records

from ..server import REPOSITORY, wait_for
from .runs import Result, Stub, arguments, check_nothing_lost, run


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "infergraph_clients.load", *command], cwd=REPOSITORY
    )


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [*map(int, text.split())]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_tester_that_is_killed_loses_seconds(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = request_file.parent / "report"
    load = ("--rate", "50", "--duration", "600")
    process = start(*arguments(stub.url("http"), "ok", request_file, folder, *load))
    partial = folder / "partial"
    try:
        document = partial / "run.json"
        wait_for(lambda: document.exists() and len(read_records(partial)[1]) > 40, 60)
        (worker,) = children_of(process)
        process.kill()
        process.wait()
        # The worker does not go on by itself.
        wait_for(lambda: not is_alive(worker), 30)
    finally:
        process.kill()
        process.wait()
    assert not (folder / "report.json").exists()
    assert main(["report", str(folder), "--quiet"]) == 130
    result = Result(130, json.loads((folder / "report.json").read_text()), folder)
    assert result.report["interrupted"]
    assert result.outcomes["ok"] > 40
    assert any("ended early" in note for note in result.summary["validity"]["notes"])
    check_nothing_lost(result)
    assert not partial.exists()
    assert main(["report", str(folder), "--quiet"]) == 2
    assert "holds no records of a run that was cut short" in capsys.readouterr().err


def test_a_terminal_that_hangs_up(stub: Stub, request_file: Path) -> None:
    folder = request_file.parent / "report"
    before = stub.count("ok")
    load = ("--rate", "50", "--duration", "600")
    process = start(*arguments(stub.url("http"), "ok", request_file, folder, *load))
    try:
        wait_for(lambda: stub.count("ok") > before + 20)
        os.kill(process.pid, signal.SIGHUP)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    result = Result(130, json.loads((folder / "report.json").read_text()), folder)
    assert result.report["interrupted"]
    check_nothing_lost(result)


def test_nothing_is_overwritten_unasked(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(stub.url("http"), "ok", request_file)
    before = (first.folder / "report.json").read_text()
    again = arguments(stub.url("http"), "ok", request_file, first.folder, "--rate", "20")
    again.remove("--overwrite")
    assert main(again) == 2
    assert "holds a report (report.json); accepted: another --output, or --overwrite" in (
        capsys.readouterr().err
    )
    assert (first.folder / "report.json").read_text() == before
    assert main([*again, "--overwrite"]) != 2
    assert (first.folder / "report.json").read_text() != before
    # What is no report is never replaced.
    other = request_file.parent / "mine"
    other.mkdir()
    (other / "thesis.tex").touch()
    assert main([*again, "--overwrite", "--output", str(other)]) == 2
    assert "holds files that are no report" in capsys.readouterr().err
    assert [each.name for each in other.iterdir()] == ["thesis.tex"]
