"""Loads of all kinds and forms: what was meant to be sent is sent, and what comes back is read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.exhaustive import only

from ..conftest import Echoes
from .runs import PROTOCOLS, Stub, check_nothing_lost, run


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


@pytest.mark.parametrize(
    ("arrivals", "sent"),
    [
        ("closed:concurrency=4,think_s=0.001,count=50", 50),
        ("single-stream:count=20", 20),
        ("multi-stream:count=5,samples_per_query=4", 20),
        ("offline:count=80,concurrency=8", 80),
    ],
)
@pytest.mark.parametrize("protocol", only(PROTOCOLS[:1], PROTOCOLS))
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
    assert stages["contradicted"] == 0
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
    assert stages["contradicted"] == 0
    assert sum(stages["mean_ms"].values()) == pytest.approx(result.summary["latency"]["mean"])
    # Their service times are 1 and 3 ms.
    assert stages["mean_ms"]["quick: compute"] >= 1
    assert stages["mean_ms"]["slow: compute"] >= 3


def test_a_share_of_requests_asks_for_a_trace(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "constant:rate=800", "--trace", "0.25")
    result = run(stub.url("http"), "echo", request_file, *more)
    assert 60 < result.summary["stages"]["traced"] < 140
    assert result.summary["stages"]["traced"] == sum(result.records()["traced"])
