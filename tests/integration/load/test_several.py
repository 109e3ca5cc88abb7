"""Several loads at once, workers elsewhere, and the server's own metrics beside them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infergraph_clients.load.cli.main import main

from ..server import REPOSITORY
from .runs import Result, Stub, arguments, check_nothing_lost, run

TOKEN = "INFERGRAPH_LOAD_TOKEN"
LENIENT = {"dispatch_delay_ms": 1e6, "cpu": 100}
"""On a busy machine runs would be invalid, which is not what is asked here."""


def test_loads_at_the_same_time(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two models share a rate three to one, and a third has its own; each has its own verdict."""
    folder = request_file.parent / "report"
    file = request_file.parent / "loads.yaml"
    document = {
        "target": {"url": stub.url("http")},
        "payload": {"path": str(request_file)},
        "arrivals": {"kind": "constant", "rate": 80},
        "duration_s": 1,
        "warmup_s": 0,
        "processes": 2,
        "limits": LENIENT,
        "loads": [
            {"name": "many", "target": {"model": "ok"}, "weight": 3},
            {"target": {"model": "echo"}, "slo": {"latency_ms": 1e-6}},
            {
                "target": {"model": "ok", "url": stub.url("grpc")},
                "name": "closed",
                "arrivals": {"kind": "closed", "concurrency": 1, "count": 7},
            },
        ],
    }
    file.write_text(json.dumps(document))
    assert main(["run", str(file), "--output", str(folder)]) == 1
    results = {
        name: Result(0, json.loads((folder / name / "report.json").read_text()), folder / name)
        for name in ("many", "echo", "closed")
    }
    assert {name: each.outcomes for name, each in results.items()} == {
        "many": {"ok": 60},
        "echo": {"ok": 20},
        "closed": {"ok": 7},
    }
    for result in results.values():
        check_nothing_lost(result)
        assert len(result.summary["client"]) == 2
    assert len({each.report["began"] for each in results.values()}) == 1
    overall = json.loads((folder / "overall.json").read_text())
    assert [(each["name"], each["requests"], each["slo_met"]) for each in overall["loads"]] == [
        ("many", 60, None),
        ("echo", 20, False),
        ("closed", 7, None),
    ]
    assert (overall["all"]["requests"], overall["all"]["failed"]) == (87, 0)
    assert overall["all"]["slo_met"] is False
    assert 'href="many/report.html"' in (folder / "overall.html").read_text()
    printed = capsys.readouterr().out
    assert printed.count("latency") >= 3
    assert "all" in printed.split("SLO")[-1]


def test_loads_as_flags(stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = request_file.parent / "report"
    shared = ("--url", stub.url("http"), "--payload", str(request_file), "--rate", "60")
    limits = [f"--set=limits.{name}={value}" for name, value in LENIENT.items()]
    short = ("--duration", "1", "--warmup", "0", "--quiet", "--output", str(folder), *limits)
    two = ("--load", "model=ok,weight=2", "--load", "model=echo,slo-ms=30000")
    assert main(["run", *shared, *short, *two]) == 0
    reports = {
        each: json.loads((folder / each / "report.json").read_text()) for each in ("ok", "echo")
    }
    rates = {name: each["configuration"]["arrivals"]["rate"] for name, each in reports.items()}
    assert rates == {"ok": 40, "echo": 20}
    assert reports["echo"]["summary"]["slo"]["met"]
    # They have seeds of their own: else both models would have the same bursts.
    assert len({each["configuration"]["seed"] for each in reports.values()}) == 2
    for wrong, problem in (
        ("model=ok,colour=red", "--load has key 'colour'"),
        ("model=ok,weight=0", "weight is '0'"),
        ("model=ok,name=../up", "name is '../up'"),
    ):
        assert main(["run", *shared, *short, "--overwrite", "--load", wrong]) == 2
        assert problem in capsys.readouterr().err


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an `infergraph-load worker`, which ends without leaving processes."""
    monkeypatch.setenv(TOKEN, "only for this test")
    command = [sys.executable, "-m", "infergraph_clients.load", "worker", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stderr is not None
    yield process.stderr.readline().split()[-1]
    process.terminate()
    assert process.wait(30) == 130
    process.stderr.close()


def test_workers_on_other_machines(
    stub: Stub,
    request_file: Path,
    worker: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = run(
        stub.url("http"), "echo", request_file, "--workers", f"{worker},{worker}", "--trace", "1"
    )
    assert result.outcomes == {"ok": 60}
    assert set(result.records()["process"]) == {0, 1}
    assert result.summary["stages"]["traced"] == 60
    clocks = result.report["machine"]["workers"]
    assert [each["worker"] for each in clocks] == [worker, worker]
    # It is the same machine, so the offset is no more than what is not known of it.
    assert all(abs(each["offset_ms"]) <= each["uncertainty_ms"] + 0.01 for each in clocks)
    check_nothing_lost(result)
    monkeypatch.setenv(TOKEN, "that of another team")
    more = ("--workers", worker, "--rate", "40", "--overwrite")
    command = arguments(stub.url("http"), "ok", request_file, request_file.parent / "r", *more)
    assert main(command) == 2
    assert f"worker '{worker}' does not accept the token" in capsys.readouterr().err


class _Metrics(BaseHTTPRequestHandler):
    """A server that has run one more batch, of four items, each time that it is asked."""

    asked = count()

    def do_GET(self) -> None:
        number = next(self.asked)
        text = f"""\
# TYPE infergraph_model_batch_size histogram
infergraph_model_batch_size_bucket{{model="ok",le="+Inf"}} {number}
infergraph_model_batch_size_sum{{model="ok"}} {4 * number}
infergraph_model_batch_size_count{{model="ok"}} {number}
# TYPE infergraph_model_queued gauge
infergraph_model_queued{{model="ok"}} {number % 3}
"""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        return


def test_the_servers_metrics(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        more = ("--metrics-url", url, "--metrics-interval", "0.1", "--duration", "1")
        result = run(stub.url("http"), "ok", request_file, *more)
        server.shutdown()
        thread.join()
    with (result.folder / "metrics.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert {row["metric"] for row in rows} == {
        "infergraph_model_batch_size_sum",
        "infergraph_model_batch_size_count",
        "infergraph_model_queued",
    }
    began, seconds = result.report["began"], result.report["seconds"]
    times = [float(row["utc"]) for row in rows]
    assert times[0] < began + 0.5
    assert times[-1] >= began + seconds - 0.001
    page = (result.folder / "report.html").read_text()
    titles = [page.index(f"<h2>{each}") for each in ("Latency over", "Batch size", "Distribution")]
    assert titles == sorted(titles)
    again = (*more, "--rate", "40", "--overwrite")
    assert main(arguments(stub.url("http"), "ok", request_file, result.folder, *again)) == 2
    assert f"metrics '{url}' cannot be read" in capsys.readouterr().err
    # What was to be replaced is still there.
    assert json.loads((result.folder / "report.json").read_text()) == result.report
