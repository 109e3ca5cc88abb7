"""`python -m tests.report_pictures`: makes docs/load-testing.svg from a short run of audio-qa."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.engine.run import execute, prepare
from infergraph_clients.load.reports.terminal import print_summary
from infergraph_clients.load.statistics import summarise

from .integration.server import REPOSITORY, SplitServer

DOCS, MODELS = REPOSITORY / "docs", REPOSITORY / "model-settings"
PIPELINE = "audio-qa"


def summary_picture(url: str, file: Path, rate: float) -> None:
    """Sends a load of 30 s to a server of the pipeline, and draws what `run` prints of it."""
    settings = {
        "target": {"url": url, "model": PIPELINE, "timeout_s": 60},
        "payload": {"path": str(MODELS / PIPELINE / "request.json")},
        "arrivals": {"kind": "poisson", "rate": rate},
        "duration_s": 30,
        "trace": 0.2,
        "slo": {"latency_ms": 500},
        # Server and tester share the cores.
        "limits": {"dispatch_delay_ms": 20},
    }
    run = execute(prepare(RunConfiguration.model_validate(settings)))
    console = Console(record=True, width=104, file=io.StringIO())
    print_summary(console, run.configuration, summarise(run))
    console.save_svg(str(file), title="infergraph-load run")


if __name__ == "__main__":
    with SplitServer(MODELS, [PIPELINE]) as server:
        summary_picture(server.grpc_url, DOCS / "load-testing.svg", rate=1)
