"""Runs `infergraph-load` against v2_stub.py, and reads what it left."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from infergraph_clients.load.cli.main import main

from ..server import free_ports, get, wait_for

PROTOCOLS = ("http", "grpc")
STUB = Path(__file__).with_name("v2_stub.py")


@dataclass
class Stub:
    """A running v2_stub.py.

    Attributes:
        process: Its process.
        ports: Protocol -> port.
    """

    process: subprocess.Popen[bytes]
    ports: dict[str, int]

    def url(self, protocol: str) -> str:
        return f"{protocol}://127.0.0.1:{self.ports[protocol]}"

    def count(self, model: str) -> int:
        """Requests that the model has had."""
        return int(get(f"{self.url('http')}/count/{model}") or 0)


def start_stub() -> Stub:
    http, grpc = free_ports(2)
    process = subprocess.Popen([sys.executable, str(STUB), str(http), str(grpc)])
    stub = Stub(process, {"http": http, "grpc": grpc})
    wait_for(lambda: get(f"{stub.url('http')}/v2/models/ok/ready") is not None)
    return stub


def stop_stub(stub: Stub) -> None:
    stub.process.kill()
    stub.process.wait()


@dataclass
class Result:
    """What `infergraph-load run` did.

    Attributes:
        status: Its exit status.
        report: report.json.
        folder: The report's.
    """

    status: int
    report: dict[str, Any]
    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = self.report["summary"]
        return summary

    @property
    def outcomes(self) -> dict[str, int]:
        """Those that happened, with the warm-up."""
        return {name: count for name, count in self.summary["all_outcomes"].items() if count}

    def records(self) -> dict[str, list[Any]]:
        """Columns of records.parquet."""
        columns: dict[str, list[Any]] = pq.read_table(self.folder / "records.parquet").to_pydict()
        return columns


def arguments(url: str, model: str, payload: Path, folder: Path, *more: str) -> list[str]:
    """Half a second; what `more` says comes last, and so wins.

    The tests' machine may be busy; its lateness is not what is tested.
    """
    return [
        *("run", "--url", url, "--model", model, "--payload", str(payload)),
        *("--duration", "0.5", "--warmup", "0", "--quiet"),
        *("--output", str(folder), "--overwrite"),
        *("--set", "limits.dispatch_delay_ms=5000", "--set", "limits.cpu=100", *more),
    ]


def run(url: str, model: str, payload: Path, *more: str) -> Result:
    """Sends a load: 60 requests within half a second unless told otherwise."""
    folder = payload.parent / "report"
    load = () if "--arrivals" in more else ("--arrivals", "constant:rate=120")
    status = main(arguments(url, model, payload, folder, *load, *more))
    report = json.loads((folder / "report.json").read_text())
    return Result(status, report, folder)


def check_nothing_lost(result: Result) -> None:
    """Every scheduled request is in the records, once, with one outcome and its times in order."""
    requests = result.summary["requests"]
    assert requests["scheduled"] == requests["sent"] + requests["unsent"]
    assert sum(result.outcomes.values()) == requests["sent"]
    records = result.records()
    assert len(set(records["index"])) == len(records["index"]) == requests["sent"]
    for name, count in result.outcomes.items():
        assert records["outcome"].count(name) == count
    times = zip(records["intended_ns"], records["sent_ns"], records["end_ns"], strict=True)
    assert all(intended <= sent <= end for intended, sent, end in times)
