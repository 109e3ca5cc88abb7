"""From the command's words to endpoints, bandwidths and the server's CPU."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergraph_clients.load.cli.main import main
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.transfer.cpu import MetricsClock, ProcessClock
from infergraph_clients.load.transfer.setup import bandwidth_of, clock_of, endpoints_of
from infergraph_clients.transports.endpoint import Endpoint


def test_endpoints() -> None:
    found = endpoints_of(["grpc://a:1", "http://b:2/x"])
    assert found == {"grpc": Endpoint("grpc", "a", 1), "rest": Endpoint("http", "b", 2, "/x")}


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        (["https://a:1"], "url 'https://a:1' is of TLS; accepted: http:// and grpc://"),
        (["http://a:1", "http://b:2"], "url 'http://b:2': there is another of rest"),
        (["grpc://a:1"], "url 'grpc://a:1' is of gRPC alone; accepted: http://host:port too"),
        (["nowhere"], "url 'nowhere': it has no scheme"),
    ],
)
def test_endpoints_that_are_none(urls: list[str], text: str) -> None:
    with pytest.raises(LoadError) as caught:
        endpoints_of(urls)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(("text", "bits"), [("1G", 1e9), ("2.5M", 2.5e6), ("500k", 5e5)])
def test_bandwidths(text: str, bits: float) -> None:
    assert bandwidth_of(text) == bits


@pytest.mark.parametrize("text", ["10", "0M", "-1M", "M", "1T", "fast"])
def test_bandwidths_that_are_none(text: str) -> None:
    with pytest.raises(LoadError, match=f"bandwidth '{text}'; accepted: bits per second"):
        bandwidth_of(text)


class Metrics(http.server.BaseHTTPRequestHandler):
    """Each reading has cost 30 ms."""

    seconds = 5.0
    name = "process_cpu_seconds_total"

    def do_GET(self) -> None:
        Metrics.seconds += 0.03
        body = f"# HELP {self.name} x\n{self.name} {Metrics.seconds}\nother 7\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metrics() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_the_servers_cpu_from_its_metrics(metrics: str) -> None:
    clock = MetricsClock(metrics)
    begin = clock.seconds()
    assert clock.cost == pytest.approx(0.03)
    assert clock.seconds() - begin - clock.cost == pytest.approx(0)


def test_metrics_without_cpu(metrics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metrics, "name", "something_else")
    with pytest.raises(LoadError, match="have no process_cpu_seconds_total; accepted: --server-"):
        MetricsClock(metrics)


def write_process(root: Path, pid: int, parent: int, user: int, system: int) -> None:
    (root / str(pid)).mkdir(parents=True)
    fields = ["0"] * 9 + [str(user), str(system)] + ["0"] * 30
    text = f"{pid} (a name) with) S {parent} {' '.join(fields)}"
    (root / str(pid) / "stat").write_text(text)


def test_the_servers_cpu_from_proc(tmp_path: Path) -> None:
    tick = os.sysconf("SC_CLK_TCK")
    write_process(tmp_path, 10, 1, 2 * tick, tick)
    write_process(tmp_path, 11, 10, tick, 0)
    write_process(tmp_path, 12, 11, 0, tick)
    write_process(tmp_path, 20, 1, 99 * tick, 0)
    (tmp_path / "meminfo").touch()

    assert ProcessClock(10, tmp_path).seconds() == 5
    with pytest.raises(LoadError, match="--server-pid 13: there is no such process"):
        ProcessClock(13, tmp_path)


def test_a_note_where_nothing_says_the_cpu() -> None:
    clock, note = clock_of(Endpoint("http", "127.0.0.1", 9), None, None)
    assert clock is None
    assert "see --metrics-url and --server-pid" in note
    clock, note = clock_of(Endpoint("http", "127.0.0.1", 9), None, os.getpid())
    assert clock is not None
    assert not note


URL = ["--url", "http://127.0.0.1:9"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            ["--formats", "rest-xml"],
            "--formats has 'rest-xml'; accepted: all, rest-json, rest-base",
        ),
        (["--encodings", "wav,mp3"], "--encodings has 'mp3'; accepted: all, fp32, fp16, wav, flac"),
        (["--kinds", "video"], "--kinds has 'video'; accepted: all, audio, image, text"),
        (["--audio-seconds", "1,x"], "--audio-seconds has 'x'; accepted: whole numbers"),
        (["--audio-seconds", "0"], "size 0 of audio; accepted: 1 to 600 s"),
        (["--bandwidths", "10"], "bandwidth '10'; accepted: bits per second such as 10M"),
        (["--gzip-level", "0"], "--gzip-level is 0; accepted: 1 to 9"),
        (["--rounds", "0"], "--rounds is 0; accepted: 1 or more"),
        (["--seconds", "nan"], "--seconds is nan; accepted: above 0"),
        (["--round-trip-ms", "-1"], "--round-trip-ms is -1; accepted: 0 to 10000"),
        (["--header", "x"], "--header is 'x'; accepted: NAME=VALUE"),
        (["--audio", "nowhere.wav"], "audio 'nowhere.wav' cannot be read: No such file"),
        (
            ["--metrics-url", "http://127.0.0.1:9/metrics"],
            "metrics 'http://127.0.0.1:9/metrics' ca",
        ),
        ([], "server 'http://127.0.0.1:9' cannot be reached: "),
    ],
)
def test_one_line_of_what_is_wrong(
    more: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "report"), "--quiet"]

    assert main(["transfer", *URL, "--kinds", "audio", *output, *more]) == 2

    said = capsys.readouterr()
    assert said.err.startswith(f"infergraph-load transfer: {text}")
    assert said.err.count("\n") == 1
    assert not said.out
