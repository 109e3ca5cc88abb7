"""Prometheus metrics as Triton and NVIDIA's exporter print them, and the panels made of them."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from infergraph_clients.load import server_metrics
from infergraph_clients.load.cli.run import write
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.reports.html import write_html
from infergraph_clients.load.reports.timeline import timeline
from infergraph_clients.load.server_metrics import FILE, ServerMetrics, panels, read_metrics, scrape
from infergraph_clients.load.statistics import summarise

from .runs import records, run

TRITON = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="resnet",version="1"}} {requests}
nv_inference_request_success{{model="resnet",version="2"}} {requests}
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{{model="resnet",reason="OTHER",version="1"}} 0
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
# TYPE nv_inference_count counter
nv_inference_count{{model="resnet",version="1"}} {requests}
# HELP nv_inference_exec_count Number of model executions performed
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="resnet",version="1"}} {batches}
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{model="resnet",version="1"}} {queue_us}
nv_inference_queue_duration_us{{model="resnet",version="2"}} {queue_us}
# HELP nv_inference_pending_request_count Instantaneous number of pending requests
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="resnet",version="1"}} 3
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{{gpu_uuid="GPU-1"}} 0.25
nv_gpu_utilization{{gpu_uuid="GPU-2"}} 0.75
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{{gpu_uuid="GPU-1"}} 2e9
# HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]
# TYPE nv_cpu_utilization gauge
nv_cpu_utilization 0.5
"""
DCGM = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="node"} 40
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",device="nvidia1",Hostname="node"} 0
# HELP DCGM_FI_DEV_FB_USED Framebuffer memory used (in MiB).
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="node"} 1000
# HELP DCGM_FI_DEV_XID_ERRORS Value of the last XID error encountered.
# TYPE DCGM_FI_DEV_XID_ERRORS gauge
DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="node"} 0
"""
# Requests, batches and microseconds so far: 10 more at 2 ms each, then a start from 0, then 30.
COUNTS = ((100, 50, 1e5), (110, 55, 1.2e5), (5, 5, 1e3), (35, 15, 3.1e4))
URLS = ("http://triton/metrics", "http://exporter/metrics")


class _Answers:
    """In place of `urllib.request`'s opener."""

    def __init__(self, texts: Mapping[str, Iterator[str]]) -> None:
        self._texts = texts

    def open(self, url: str, timeout: float) -> _Answers:
        self._body = next(self._texts[url]).encode()
        return self

    def read(self) -> bytes:
        return self._body

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def answer(monkeypatch: pytest.MonkeyPatch, texts: Mapping[str, list[str]]) -> None:
    answers = _Answers({url: iter(each) for url, each in texts.items()})
    monkeypatch.setattr(server_metrics, "_DIRECT", answers)


def triton(place: int) -> str:
    return TRITON.format(
        **dict(zip(("requests", "batches", "queue_us"), COUNTS[place], strict=True))
    )


def sampled(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, list[float]]]:
    """The panels of four samples of both, and their values."""
    answer(monkeypatch, {URLS[0]: [triton(i) for i in range(4)], URLS[1]: [DCGM] * 4})
    samples = [each for _ in COUNTS for url in URLS for each in scrape(url)]
    return {
        title: {name: y.tolist() for name, (_, y) in lines.items()}
        for title, lines in panels(samples).items()
    }


def test_counters_are_called_as_the_server_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(
        monkeypatch,
        {
            URLS[0]: [
                triton(0) + "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 7\n"
            ]
        },
    )
    names = {each.metric for each in scrape(URLS[0])}
    assert {"nv_inference_request_success", "process_cpu_seconds_total"} <= names
    assert "nv_inference_request_success_total" not in names


def test_counters_grow_and_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sampled(monkeypatch)
    first, again, last = found["Time in the server's queue, ms"][f"resnet {URLS[0]}"]
    assert (first, last) == (2, 1)
    assert math.isnan(again)
    (batches,) = found["Batch size"].values()
    assert (batches[0], batches[2]) == (2, 3)


def test_versions_of_a_model_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sampled(monkeypatch)
    assert set(found["Time in the server's queue, ms"]) == {
        f"resnet {URLS[0]}",
        f"resnet {URLS[0]} version 2",
    }


def test_several_gpus_in_their_units(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sampled(monkeypatch)
    # One that does nothing is not drawn.
    assert {name: set(values) for name, values in found["GPU utilization, %"].items()} == {
        f"GPU-1 {URLS[0]}": {25},
        f"GPU-2 {URLS[0]}": {75},
        f"0 node {URLS[1]}": {40},
    }
    assert {values[0] for values in found["Memory, MB"].values()} == {2_000, 1_048.576}
    # Triton's is a share of all cores.
    assert {values[0] for values in found["CPU utilization, %"].values()} == {50}
    assert "CPU, cores" not in found


def test_what_a_server_does_not_say_is_no_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nor a quotient of which one half is missing: there is no time of a computation here.
    found = sampled(monkeypatch)
    assert "Compute of a batch, ms" not in found
    answer(monkeypatch, {URLS[1]: ["# TYPE up gauge\nup 1\n"]})
    assert panels(scrape(URLS[1])) == {}


def serve_once(answer: bytes) -> str:
    """A server that gives one answer, and its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening, listening.accept()[0] as opened:
            opened.recv(4096)
            opened.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nup 1\n", "95 more expected"),
        (b"\0\0\x12\x04\0\0\0\0\0 a port of gRPC\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>{no=metrics}</html>\n", "are not Prometheus'"),
    ],
)
def test_what_is_no_answer_is_said_in_one_line(answer: bytes, problem: str) -> None:
    with pytest.raises(LoadError, match=problem) as caught:
        scrape(serve_once(answer))
    assert str(caught.value).isprintable()


def test_a_url_that_is_none() -> None:
    with pytest.raises(LoadError, match="cannot be read: InvalidURL"):
        scrape("http://127.0.0.1:metrics")


def test_a_file_that_cannot_be_written_is_a_problem_and_no_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer(monkeypatch, {URLS[1]: [DCGM]})
    file = tmp_path / "none" / FILE
    with ServerMetrics(URLS[1:], file) as metrics:
        pass
    problem = f"metrics '{file}' cannot be written: No such file or directory"
    assert metrics.problems == {str(file): (1, problem)}


def test_metrics_that_cannot_be_copied_to_a_load_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    (tmp_path / "a" / FILE).mkdir(parents=True)
    runs = {name: run(records([5.0])) for name in ("a", "b")}
    with pytest.raises(LoadError, match="a' cannot be written: Is a directory"):
        write(tmp_path, runs)


def test_a_line_that_breaks_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / FILE
    text = b'utc,url,metric,labels,value\r\n1.0,u,m,{},1e-05\r\n2.0,u,m,"{""a"": ""b""}",12.5\r\n'
    for size in range(len(text) + 1):
        file.write_bytes(text[:size])
        values = [each.value for each in read_metrics(file)]
        assert values == [1e-05, 12.5][: max(text[:size].count(b"\n") - 1, 0)]


def test_they_are_plotted_under_the_latencies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Asked before the load, in it and at its end.
    answer(monkeypatch, {URLS[0]: [triton(0), triton(0), triton(1)]})
    with ServerMetrics(URLS[:1], tmp_path / FILE, interval_s=3600):
        while len(list(read_metrics(tmp_path / FILE) if (tmp_path / FILE).exists() else ())) < 10:
            pass
    times = {each.utc for each in read_metrics(tmp_path / FILE)}
    found = run(records(np.full(200, 5.0)))
    found.began = min(times)
    write_html(tmp_path / "report.html", found, summarise(found), timeline(found.records, 0.0))
    page = (tmp_path / "report.html").read_text()
    titles = ("Latency over time", "Waiting and in flight at the server", "GPU utilization, %")
    places = [page.index(f"<h2>{title}</h2>") for title in (*titles, "Requests over time")]
    assert places == sorted(places)
    assert "GPU-2" in page
