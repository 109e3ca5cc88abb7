"""`infergraph-load` against small V2 servers that answer, fail, die and hang."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli.main import main

from .conftest import Echoes
from .server import REPOSITORY, free_ports, get, wait_for

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


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    found = start_stub()
    yield found
    stop_stub(found)


@pytest.fixture
def mortal() -> Iterator[Stub]:
    """A server of one test's own, which may die of it."""
    found = start_stub()
    yield found
    stop_stub(found)


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    tensors = [
        {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "ü"]},
        {"name": "number", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, -3, 4]},
    ]
    file.write_text(json.dumps({"inputs": tensors}))
    return file


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
    """Half a second; what `more` says comes last, and so wins."""
    return [
        *("run", "--url", url, "--model", model, "--payload", str(payload)),
        *("--duration", "0.5", "--warmup", "0", "--quiet", "--output", str(folder), *more),
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_all_answers_are_right(
    stub: Stub, request_file: Path, protocol: str, processes: str
) -> None:
    result = run(
        stub.url(protocol), "echo", request_file, "--processes", processes, "--check", "consistent"
    )
    assert result.outcomes == {"ok": 60}
    assert len(result.summary["client"]) == int(processes)
    assert set(result.records()["process"]) == set(range(int(processes)))
    check_nothing_lost(result)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_echo_is_what_was_sent(stub: Stub, request_file: Path, protocol: str) -> None:
    expected = request_file.parent / "expected.json"
    sent = json.loads(request_file.read_text())["inputs"]
    expected.write_text(json.dumps({"outputs": sent}))
    right = run(stub.url(protocol), "echo", request_file, "--expected", str(expected))
    assert right.outcomes == {"ok": 60}
    sent[1]["data"][1] = 2.6
    expected.write_text(json.dumps({"outputs": sent}))
    wrong = run(stub.url(protocol), "echo", request_file, "--expected", str(expected))
    assert wrong.outcomes == {"wrong_answer": 60}
    (text,) = wrong.summary["errors"]["wrong_answer"]
    assert "output 'number' has another value" in text


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("http", ["--format", "base64"]),
        ("http", ["--connections", "1"]),
        ("grpc", ["--compression", "gzip"]),
        ("grpc", ["--connections", "3"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_forms_of_transfer(stub: Stub, request_file: Path, protocol: str, more: list[str]) -> None:
    expected = request_file.parent / "expected.json"
    sent = json.loads(request_file.read_text())["inputs"]
    expected.write_text(json.dumps({"outputs": sent}))
    result = run(stub.url(protocol), "echo", request_file, "--expected", str(expected), *more)
    assert result.outcomes == {"ok": 60}
    check_nothing_lost(result)


@pytest.mark.parametrize("model", ["echo", "gzip"])
def test_gzip_over_rest(stub: Stub, request_file: Path, model: str) -> None:
    more = ("--compression", "gzip", "--check", "consistent")
    result = run(stub.url("http"), model, request_file, *more)
    assert result.outcomes == {"ok": 60}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("model", "outcomes", "more"),
    [
        ("status-500", {"server_error": 60}, []),
        ("status-503", {"overload": 60}, []),
        ("status-504", {"deadline": 60}, []),
        ("bad-request", {"client_error": 60}, ["--set", "preflight=false"]),
        # The first answer is what the others are held against.
        ("fickle", {"ok": 1, "wrong_answer": 59}, ["--check", "consistent"]),
        ("garbage", {"wrong_answer": 60}, []),
        ("hang", {"timeout": 60}, ["--timeout", "0.3"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failures_are_counted_in_their_class(
    mortal: Stub,
    request_file: Path,
    protocol: str,
    model: str,
    outcomes: dict[str, int],
    more: list[str],
) -> None:
    result = run(mortal.url(protocol), model, request_file, *more)
    assert result.outcomes == outcomes
    assert set(result.summary["errors"]) == set(outcomes) - {"ok"}
    check_nothing_lost(result)


def test_a_connection_that_is_cut(stub: Stub, request_file: Path) -> None:
    result = run(stub.url("http"), "cut", request_file)
    assert result.outcomes == {"lost": 60}
    check_nothing_lost(result)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_dies(mortal: Stub, request_file: Path, protocol: str) -> None:
    result = run(mortal.url(protocol), "die", request_file)
    assert mortal.process.wait() == 1
    # The first answered the preflight, and the third killed it; more may have been in flight.
    assert result.outcomes["ok"] == 1
    assert set(result.outcomes) == {"ok", "lost", "refused"}
    check_nothing_lost(result)


@pytest.mark.parametrize(
    ("arrivals", "sent"),
    [
        ("closed:concurrency=4,think_s=0.001,count=50", 50),
        ("single-stream:count=20", 20),
        ("multi-stream:count=5,samples_per_query=4", 20),
        ("offline:count=80,concurrency=8", 80),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_loads_that_end_by_their_count(
    stub: Stub, request_file: Path, protocol: str, arrivals: str, sent: int
) -> None:
    more = ("--arrivals", arrivals, "--duration", "300")
    result = run(stub.url(protocol), "ok", request_file, *more)
    assert result.outcomes == {"ok": sent}
    assert result.report["schedule"] is None
    check_nothing_lost(result)


def test_a_closed_loop_ends_by_its_duration(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "closed:concurrency=3", "--processes", "2")
    result = run(stub.url("http"), "ok", request_file, *more)
    assert set(result.outcomes) == {"ok"}
    assert max(result.records()["intended_ns"]) <= 0.5e9
    assert any("coordinated omission" in note for note in result.summary["validity"]["notes"])
    check_nothing_lost(result)


def test_a_closed_loop_whose_users_hang_ends(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "closed:concurrency=3", "--timeout", "2")
    result = run(stub.url("http"), "hang", request_file, *more)
    assert result.outcomes == {"timeout": 3}
    check_nothing_lost(result)


def test_single_stream_has_one_request_in_flight(stub: Stub, request_file: Path) -> None:
    result = run(stub.url("http"), "ok", request_file, "--arrivals", "single-stream:count=20")
    records = result.records()
    ends_and_starts = zip(records["end_ns"], records["sent_ns"][1:], strict=False)
    assert all(end <= start for end, start in ends_and_starts)
    assert result.summary["scenario"]["metric"] == "90th percentile latency"


def test_multi_stream_sends_a_query_at_once(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "multi-stream:count=3,samples_per_query=4")
    intended = run(stub.url("grpc"), "ok", request_file, *more).records()["intended_ns"]
    assert [len(set(intended[start : start + 4])) for start in (0, 4, 8)] == [1, 1, 1]
    assert len(set(intended)) == 3


def test_the_same_seed_sends_the_same(stub: Stub, request_file: Path) -> None:
    corpus = request_file.with_suffix(".jsonl")
    corpus.write_text("\n".join([json.dumps(json.loads(request_file.read_text()))] * 5))
    sent = []
    for seed, processes in (("5", "1"), ("5", "2"), ("6", "1")):
        more = ("--arrivals", "gamma:rate=160,cv=2", "--seed", seed, "--processes", processes)
        result = run(stub.url("http"), "ok", corpus, *more)
        records = result.records()
        rows = sorted(
            zip(records["index"], records["intended_ns"], records["payload"], strict=True)
        )
        sent.append((result.report["schedule"]["sha256"], rows))
    assert sent[0] == sent[1]
    assert sent[0][0] != sent[2][0]
    assert {payload for *_, payload in sent[0][1]} == set(range(5))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stages_add_up_to_the_latency(stub: Stub, request_file: Path, protocol: str) -> None:
    result = run(stub.url(protocol), "echo", request_file, "--trace", "1")
    stages = result.summary["stages"]
    assert stages["traced"] == 60
    assert stages["mean_ms"]["first: queue"] == pytest.approx(0.01)
    assert stages["mean_ms"]["first: compute"] == pytest.approx(0.04)
    assert stages["mean_ms"]["first: hop"] == pytest.approx(0.01)
    assert stages["mean_ms"]["router"] == pytest.approx(0.03)
    assert stages["batch_size"] == {"first": 2}
    assert stages["reconciled"] == 1
    assert sum(stages["mean_ms"].values()) == pytest.approx(result.summary["latency"]["mean"])
    rows = pq.read_table(result.folder / "stages.parquet").to_pydict()
    assert rows["kind"].count("compute") == 60


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stages_of_a_real_pipeline_add_up(echoes: Echoes, tmp_path: Path, protocol: str) -> None:
    file = tmp_path / "request.json"
    text = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["hello"]}
    file.write_text(json.dumps({"inputs": [text]}))
    server = echoes.stages
    url = server.url if protocol == "http" else server.grpc_url
    more = ("--arrivals", "poisson:rate=40", "--trace", "1", "--check", "consistent")
    result = run(url, "two-batched", file, *more)
    assert set(result.outcomes) == {"ok"}
    stages = result.summary["stages"]
    assert stages["traced"] == result.outcomes["ok"]
    assert stages["reconciled"] == 1
    assert sum(stages["mean_ms"].values()) == pytest.approx(result.summary["latency"]["mean"])
    # Their service times are 1 and 3 ms.
    assert stages["mean_ms"]["quick: compute"] >= 1
    assert stages["mean_ms"]["slow: compute"] >= 3


def test_a_share_of_requests_asks_for_a_trace(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "constant:rate=800", "--trace", "0.25")
    result = run(stub.url("http"), "echo", request_file, *more)
    assert 60 < result.summary["stages"]["traced"] < 140
    assert result.summary["stages"]["traced"] == sum(result.records()["traced"])


def test_an_slo(stub: Stub, request_file: Path) -> None:
    met = run(stub.url("http"), "ok", request_file, "--slo-ms", "30000")
    assert met.summary["slo"]["attainment"] == 1
    assert met.summary["rates"]["goodput"] == 120
    missed = run(stub.url("http"), "ok", request_file, "--slo-ms", "0.000001")
    assert missed.summary["slo"]["attainment"] == 0
    assert missed.summary["rates"]["goodput"] == 0
    assert missed.status == 1


def test_a_tester_that_cannot_keep_up_is_invalid(stub: Stub, request_file: Path) -> None:
    more = ("--set", "limits.dispatch_delay_ms=0.000001")
    result = run(stub.url("http"), "ok", request_file, *more)
    assert not result.summary["validity"]["valid"]
    assert "could not keep up" in result.summary["validity"]["reasons"][0]
    assert result.status == 1


def test_a_report_needs_nothing_else(stub: Stub, request_file: Path) -> None:
    result = run(stub.url("http"), "ok", request_file, "--slo-ms", "100")
    page = (result.folder / "report.html").read_text()
    assert "Latency over time" in page
    assert "<script src" not in page
    assert "<link" not in page.split("<script>")[0]
    rows = (result.folder / "seconds.csv").read_text().splitlines()
    assert rows[0].startswith("second,intended,sent,ok,failed,in_flight,")
    assert rows[1].startswith("0,60,")


def test_a_file_describes_a_run_and_flags_override_it(stub: Stub, request_file: Path) -> None:
    file = request_file.with_suffix(".yaml")
    file.write_text(
        f"""\
target:
  url: {stub.url("http")}
  model: hang
payload:
  path: {request_file}
arrivals:
  kind: constant
  rate: 30
duration_s: 1
warmup_s: 0.5
"""
    )
    folder = request_file.parent / "report"
    more = ["--model", "ok", "--rate", "40", "--quiet", "--output", str(folder)]
    main(["run", str(file), *more])
    report = json.loads((folder / "report.json").read_text())
    assert report["summary"]["requests"] == {
        "scheduled": 40,
        "sent": 40,
        "unsent": 0,
        "warmup": 20,
        "measured": 20,
    }
    assert report["configuration"]["arrivals"] == {"kind": "constant", "rate": 40.0}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--model", "absent"], "has no model 'absent'"),
        (["--model", "bad-request"], "refused the first request: HTTP 400: told to answer 400"),
        (["--url", "http://127.0.0.1:9"], "cannot be reached"),
        (["--url", "grpc://127.0.0.1:9"], "cannot be reached"),
        (["--url", "nowhere"], "url 'nowhere': it has no scheme"),
        (["--payload", "EMPTY"], "has no file to send"),
        (["--payload", "NOWHERE"], "does not exist"),
        (["--rate", "-1"], "arrivals.rate is '-1'"),
        (["--arrivals", "trace:file=none.csv"], "trace 'none.csv' cannot be read"),
        (["--arrivals", "sometimes:rate=1"], "'sometimes'"),
        (["--duration", "0"], "duration_s is '0'"),
        (["--warmup", "5"], "warmup_s is 5"),
        (["--format", "raw"], "http sends json or base64"),
        (["--set", "target.colour=red"], "target.colour is not a setting; accepted: url, model"),
        (["--check", "expected"], "payload.expected"),
        (["--processes", "0"], "processes is '0'"),
        (["--output", "/proc/report"], "report '/proc/report' cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_before_any_load(
    stub: Stub,
    request_file: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    problem: str,
) -> None:
    empty = request_file.parent / "empty"
    empty.mkdir()
    places = {"EMPTY": str(empty), "NOWHERE": str(empty / "none.json")}
    more = [places.get(each, each) for each in more]
    folder = request_file.parent / "report"
    rate = [] if "--arrivals" in more else ["--rate", "10"]
    before = stub.count("ok")
    status = main(arguments(stub.url("http"), "ok", request_file, folder, *rate, *more))
    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("infergraph-load run: ")
    assert problem in lines[0]
    assert not folder.exists()
    # Nothing but the question whether it answers at all.
    assert stub.count("ok") <= before + 1


@pytest.mark.parametrize(
    ("model", "drain_s", "signals"),
    [
        ("ok", 600, [signal.SIGINT]),
        ("hang", 0.2, [signal.SIGINT]),
        # The same signal twice at once would be one.
        ("hang", 600, [signal.SIGINT, signal.SIGTERM]),
    ],
    ids=["ok", "hang", "hang-twice"],
)
def test_ctrl_c_ends_a_run_with_a_report(
    stub: Stub, request_file: Path, model: str, drain_s: float, signals: list[signal.Signals]
) -> None:
    folder = request_file.parent / "report"
    before = stub.count(model)
    load = ("--rate", "50", "--duration", "600")
    more = ("--set", "preflight=false", "--set", f"drain_s={drain_s}")
    command = arguments(stub.url("http"), model, request_file, folder, *load, *more)
    process = subprocess.Popen(
        [sys.executable, "-m", "infergraph_clients.load", *command], cwd=REPOSITORY
    )
    try:
        wait_for(lambda: stub.count(model) > before + 20)
        for each in signals:
            process.send_signal(each)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    result = Result(130, json.loads((folder / "report.json").read_text()), folder)
    assert result.report["interrupted"]
    assert result.outcomes["ok" if model == "ok" else "cancelled"] > 20
    assert result.summary["requests"]["unsent"] > 25_000
    assert any("ended early" in note for note in result.summary["validity"]["notes"])
    check_nothing_lost(result)


def test_a_search(stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = request_file.parent / "search"
    command = arguments(stub.url("http"), "ok", request_file, folder)
    command = ["search", *(each for each in command[1:] if each != "--quiet")]
    limits = ("--slo-ms", "30000", "--rate", "40", "--highest-rate", "80")
    assert main([*command, *limits]) == 0
    output = capsys.readouterr().out
    assert "highest rate within the SLO: 80.0/s (no higher rate was tried)" in output
    reports = sorted(each.name for each in folder.iterdir())
    assert reports == ["rate-40", "rate-80"]
    assert main([*command, *limits[2:]]) == 2
    assert "slo is missing" in capsys.readouterr().err


def test_the_report_on_standard_output(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(stub.url("http"), "ok", request_file, "--json")
    assert json.loads(capsys.readouterr().out) == result.report
