"""`infergraph serve` and `infergraph demo`, with real servers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infergraph.catalog import load_catalog
from infergraph.cli.cluster import Cluster, ClusterOptions
from infergraph.cli.model_server import choose_ports
from infergraph.cli.plan import plan_servers
from infergraph.errors import ConfigurationError
from tests.integration.server import LOAD_SECONDS, STOP_SECONDS, ServerProcess, wait_for
from tests.unit.cli.workspaces import write_workspace

PROGRAM = [sys.executable, "-m", "infergraph.cli"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_workspace(tmp_path)


def demo(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "demo", *arguments, "--models-dir", str(workspace)],
        capture_output=True,
        text=True,
        timeout=LOAD_SECONDS + STOP_SECONDS,
        check=False,
    )


@contextmanager
def serving(workspace: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running `infergraph serve` on free ports, and its output up to being ready."""
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    command = [*PROGRAM, "serve", *arguments, *ports, "--models-dir", str(workspace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if "Ctrl-C" in line:
                    break
            yield process, lines
        finally:
            if process.poll() is None:
                process.terminate()
            process.stdout.read()
            process.wait(STOP_SECONDS)


@pytest.mark.parametrize(
    ("arguments", "transport"),
    [
        ((), "in-process"),
        pytest.param(("--no-in-process",), "grpc", marks=pytest.mark.exhaustive),
        (("--split", "--set", "reply.service_time_ms=20"), "rest"),
    ],
)
def test_demo_shows_what_each_step_said(
    workspace: Path, arguments: tuple[str, ...], transport: str
) -> None:
    done = demo(workspace, "chain", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    words = [line.split() for line in done.stdout.splitlines()]
    start = words.index(["step", "transport", "start", "queue", "compute", "total"])
    hear, heard, reply, replied = words[start + 1 : start + 5]
    assert hear[:2] == ["hear", transport]
    assert heard == ["text", '"hello"']
    assert reply[:2] == ["reply", transport]
    assert replied == ["text", '"hello"']
    service_time_ms = 20 if "--set" in arguments else 1
    assert float(reply[6]) >= service_time_ms
    assert words[-2:] == [["text", '"hello"'], ["heard", '"hello"']]


def test_demo_asks_a_server_that_runs_already(workspace: Path) -> None:
    with ServerProcess(workspace, {"MLSERVER_HOST": "127.0.0.1", **_ONE_PROCESS}) as server:
        for url in (server.grpc_url, server.url):
            done = demo(workspace, "chain", "--url", url)
            assert (done.returncode, done.stderr) == (0, "")
            assert "Serving" not in done.stdout
            assert done.stdout.count('"hello"') == 5


_ONE_PROCESS = {"MLSERVER_PARALLEL_WORKERS": "0"}


def test_a_model_that_does_not_load_is_an_error(workspace: Path) -> None:
    done = demo(workspace, "chain", "--set", "hear.devise=cpu")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "model 'hear': unknown setting 'devise'" in line
    assert "did you mean 'device'?" in line
    assert "Traceback" not in done.stdout + done.stderr


def test_serve_prints_where_and_stops_on_a_signal(workspace: Path) -> None:
    with serving(workspace, "chain") as (process, lines):
        url = next(line.split()[1] for line in lines if line.startswith("  REST"))
        body = (workspace / "chain" / "request.json").read_bytes()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            outputs = json.load(response)["outputs"]
        assert {each["name"]: each["data"] for each in outputs} == {
            "text": ["hello"],
            "heard": ["hello"],
        }
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        process.stdout.read()
        assert process.wait(STOP_SECONDS) == 0
    port = int(url.split(":")[2].split("/")[0])
    assert not _listens(port)


def test_serve_refuses_a_taken_port(workspace: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = subprocess.run(
            [*PROGRAM, "serve", "chain", "--http-port", port, "--models-dir", str(workspace)],
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS,
            check=False,
        )
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is not free" in done.stderr


def test_a_server_that_dies_ends_the_others(workspace: Path) -> None:
    catalog = load_catalog(workspace)
    plans = plan_servers(catalog, ["chain"], workspace, {}, split=True)
    with Cluster(plans, ClusterOptions(workspace, choose_ports())) as cluster:
        assert [server.name for server in cluster.servers] == ["hear", "reply", "chain"]
        cluster.servers[0].kill()
        with pytest.raises(ConfigurationError, match="hear: its process ended with status -9"):
            cluster.watch()
    for server in cluster.servers:
        assert not _listens(server.ports.http)


def test_servers_end_with_the_command_that_is_killed(workspace: Path) -> None:
    with serving(workspace, "chain") as (process, lines):
        url = next(line.split()[1] for line in lines if line.startswith("  REST"))
        process.kill()
        process.wait()
        port = int(url.split(":")[2].split("/")[0])
        wait_for(lambda: not _listens(port), STOP_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
