"""Batches made of items, cells made of runs, the sweep over them, and its tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.load.cli.main import parse_arguments
from infergraph_clients.load.engine.run import Prepared, Run
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.profile import sweep as sweep_module
from infergraph_clients.load.profile.cell import Cell, make_cell
from infergraph_clients.load.profile.report import (
    COLUMNS,
    latency_by_throughput,
    problems,
    throughput,
    write_profile,
)
from infergraph_clients.load.profile.sweep import Profile, batches_of, items_of, sweep
from infergraph_clients.load.statistics import summarise
from infergraph_clients.payloads import Metadata, Payload
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration, records, run


def texts(*values: str, name: str = "p", **parameters: Any) -> Payload:
    data = [value.encode() for value in values]
    return Payload(name, (Tensor.of_bytes("text", data),), parameters)


def shown(batches: Sequence[Payload]) -> list[list[bytes]]:
    return [batch.tensors[0].data.ravel().tolist() for batch in batches]


def test_payloads_are_divided_into_items() -> None:
    numbers = Tensor.of("n", np.arange(6, dtype=np.float32).reshape(2, 3))
    both = Payload("p", (Tensor.of_bytes("text", [b"a", b"b"]), numbers), {"k": 1})
    first, second = items_of([both])
    assert (first.name, second.name) == ("p[0]", "p[1]")
    assert [tensor.shape for tensor in second.tensors] == [(1, 1), (1, 3)]
    assert second.tensors[0].data.tolist() == [[b"b"]]
    assert second.tensors[1].data.tolist() == [[3, 4, 5]]
    assert second.parameters == {"k": 1}


def test_every_item_has_its_turn() -> None:
    payloads = [texts("a", "b"), texts("c")]
    assert shown(batches_of(payloads, 1)) == [[b"a"], [b"b"], [b"c"]]
    assert shown(batches_of(payloads, 2)) == [[b"a", b"b"], [b"c", b"a"]]
    assert shown(batches_of(payloads, 5)) == [[b"a", b"b", b"c", b"a", b"b"]]
    assert [batch.tensors[0].shape for batch in batches_of(payloads, 5)] == [(5, 1)]


def test_numbers_are_joined_in_order() -> None:
    rows = [Payload("p", (Tensor.of("n", np.array([[i, -i]])),), {}) for i in range(1, 4)]
    (batch,) = batches_of(rows, 3)
    assert batch.tensors[0].shape == (3, 2)
    assert batch.tensors[0].data.tolist() == [[1, -1], [2, -2], [3, -3]]


def test_items_of_different_kinds_never_share_a_request() -> None:
    wide = Payload("w", (Tensor.of_bytes("text", [b"x", b"y"], (1, 2)),), {})
    found = batches_of([texts("a"), wide, texts("b", lang="fr")], 2)
    assert shown(found) == [[b"a", b"a"], [b"x", b"y", b"x", b"y"], [b"b", b"b"]]
    assert [batch.parameters for batch in found] == [{}, {}, {"lang": "fr"}]


@pytest.mark.parametrize("shapes", [[(2, 1), (1, 1)], [()], [(0, 1)]])
def test_a_payload_without_items(shapes: list[tuple[int, ...]]) -> None:
    tensors = tuple(
        Tensor.of(f"t{i}", np.zeros(shape, np.float32)) for i, shape in enumerate(shapes)
    )
    with pytest.raises(LoadError, match=r"'p' cannot be divided into items: 't0' \["):
        items_of([Payload("p", tensors, {})])


def trace(queue_us: int, compute_us: int, batch: int) -> dict[str, Any]:
    return {"model": "m", "queue_us": queue_us, "compute_us": compute_us, "batch_size": batch}


def two_runs() -> list[Run]:
    """100 requests of 10 ms, and as many of 20 ms of which a tenth fails."""
    outcome = np.where(np.arange(100) < 10, Outcome.OVERLOAD, Outcome.OK)
    first = run(records([10.0] * 100), traces=[(50, trace(1_000, 3_000, 2))])
    second = run(records([20.0] * 100, outcome=outcome), traces=[(60, trace(3_000, 5_000, 4))])
    second.errors = {int(Outcome.OVERLOAD): {"HTTP 503: full": 10}}
    return [first, second]


def test_repeats_are_one_cell() -> None:
    runs = two_runs()
    cell = make_cell(3, 8, runs, [summarise(each) for each in runs])
    assert (cell.batch_size, cell.concurrency, cell.repeats) == (3, 8, 2)
    assert (cell.requests, cell.failed, cell.valid) == (200, 10, True)
    # 100 and 90 right answers in 10 s each, of 3 items.
    assert (cell.throughput, cell.throughput_low, cell.throughput_high) == (28.5, 27, 30)
    assert cell.latency.count == 190
    assert (cell.latency.p50, cell.latency.p95) == (10, 20)
    assert cell.server_batch_size == 3
    assert (cell.part("queue"), cell.part("compute")) == (2, 4)
    assert cell.problem == "10 of 200 requests failed (overload: HTTP 503: full)"


def test_the_parts_of_a_cell_add_up_to_the_latency_of_its_traced_requests() -> None:
    runs = two_runs()
    cell = make_cell(1, 1, runs, [summarise(each) for each in runs])
    kinds = ("dispatch delay", "network", "router", "queue", "compute", "hop")
    assert sum(cell.part(kind) or 0 for kind in kinds) == pytest.approx(15)


def test_a_cell_without_traces_or_answers() -> None:
    found = run(records([5.0] * 50, outcome=Outcome.LOST))
    cell = make_cell(1, 2, [found], [summarise(found)])
    assert (cell.valid, cell.failed, cell.throughput) == (False, 50, 0)
    assert cell.part("queue") is None
    assert cell.server_batch_size is None


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "b"]}
    file.write_text(json.dumps({"inputs": [tensor]}))
    return file


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Batch sizes that the server refuses, by how many ids of payloads it is asked with."""
    sizes: set[int] = set()

    def ask(prepared: Prepared) -> None:
        size = prepared.payloads[0].items
        if size in sizes:
            raise LoadError(f"refused the first request: {size} items")

    monkeypatch.setattr(sweep_module, "ask_server", ask)
    monkeypatch.setattr(
        sweep_module,
        "ask_metadata",
        lambda *_, **__: Metadata(parameters={"variant": "v", "device": "cpu"}),
    )
    return sizes


def profile_of(request_file: Path, batch_sizes: list[int], trial: Any = None) -> Profile:
    def answered(prepared: Prepared) -> Run:
        return run(records([10.0] * 200), prepared.configuration)

    settings = configuration(payload={"path": str(request_file)}, seed=5)
    return sweep(settings, batch_sizes, [1, 4], 2, trial or answered)


def test_a_sweep_measures_every_cell(request_file: Path, refused: set[int]) -> None:
    asked: list[tuple[int, int, int]] = []

    def trial(prepared: Prepared) -> Run:
        settings = prepared.configuration
        users = settings.arrivals.concurrency  # type: ignore[union-attr]
        asked.append((prepared.payloads[0].items, users, settings.seed))
        return run(records([10.0] * 200), settings)

    profile = profile_of(request_file, [1, 2], trial)
    assert asked == [(b, c, s) for b in (1, 2) for c in (1, 4) for s in (5, 6)]
    assert [(cell.batch_size, cell.concurrency) for cell in profile.cells] == [
        *((1, 1), (1, 4), (2, 1), (2, 4))
    ]
    assert [cell.throughput for cell in profile.cells] == [20, 20, 40, 40]


def test_a_batch_size_that_is_refused(request_file: Path, refused: set[int]) -> None:
    refused.add(64)
    profile = profile_of(request_file, [1, 64])
    assert [cell.valid for cell in profile.cells] == [True, True, False, False]
    assert problems(profile.cells) == ["64 x 1, 64 x 4: refused the first request: 64 items"]
    refused.add(1)
    with pytest.raises(LoadError, match="1 items"):
        profile_of(request_file, [1, 64])


def test_expected_answers_are_for_other_requests(request_file: Path, refused: set[int]) -> None:
    payload = {"path": str(request_file), "check": "expected", "expected": "answers.json"}
    with pytest.raises(LoadError, match="accepted: none, valid, consistent"):
        sweep(configuration(payload=payload), [1], [1], 1, lambda prepared: run(records([1.0])))


@pytest.mark.parametrize("before", [True, False])
def test_a_sweep_that_is_interrupted(request_file: Path, refused: set[int], before: bool) -> None:
    done: list[Run] = []

    def trial(prepared: Prepared) -> Run:
        if before and len(done) == 3:
            raise KeyboardInterrupt
        interrupted = len(done) == 3
        done.append(run(records([10.0] * 200), prepared.configuration, interrupted=interrupted))
        return done[-1]

    profile = profile_of(request_file, [1, 2], trial)
    assert profile.interrupted
    assert len(profile.cells) == 1


def test_what_a_profile_leaves(tmp_path: Path, request_file: Path, refused: set[int]) -> None:
    refused.add(64)

    def trial(prepared: Prepared) -> Run:
        traces = [(i, trace(1_000, 3_000, 2)) for i in range(200)]
        return run(records([10.0] * 200), prepared.configuration, traces=traces)

    folder = tmp_path / "out"
    write_profile(folder, profile_of(request_file, [2, 64], trial))
    table = pq.read_table(folder / "profile.parquet")
    assert tuple(table.column_names) == COLUMNS
    row, *_, last = table.to_pylist()
    wanted = {"model": "m", "variant": "v", "device": "cpu", "protocol": "http", "batch_size": 2}
    wanted |= {"concurrency": 1, "valid": True, "throughput": 40, "latency_p99_ms": 10}
    wanted |= {"server_batch_size": 2, "queue_ms": 1, "compute_ms": 3, "network_ms": 6}
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert (last["batch_size"], last["valid"], last["latency_p50_ms"]) == (64, False, None)
    stages = pq.read_table(folder / "profile-stages.parquet").to_pylist()
    compute = [each for each in stages if each["kind"] == "compute"]
    assert [(each["step"], each["concurrency"], each["mean_ms"]) for each in compute] == [
        ("m", 1, pytest.approx(3)),
        ("m", 4, pytest.approx(3)),
    ]
    document = json.loads((folder / "profile.json").read_text())
    assert document["parameters"] == {"variant": "v", "device": "cpu"}
    assert len(document["cells"]) == 4
    page = (folder / "profile.html").read_text()
    assert "Profile of m" in page
    assert "64 x 1, 64 x 4: refused the first request" in page
    assert "m: compute" in (folder / "stages.svg").read_text()


def test_the_curves() -> None:
    runs = two_runs()
    summaries = [summarise(each) for each in runs]
    cells = [make_cell(b, c, runs, summaries) for b in (1, 2) for c in (1, 8)]
    cells.append(Cell(4, 1, 0, False, "refused"))
    figure = throughput(cells)
    assert [(line.name, line.x, line.y) for line in figure.data] == [
        ("1 item", (1, 8), (9.5, 9.5)),
        ("2 items", (1, 8), (19, 19)),
    ]
    assert figure.data[0].error_y.array == (0.5, 0.5)
    curves = latency_by_throughput(cells)
    assert [(line.name, line.x, line.y) for line in curves.data][:2] == [
        ("1 item, p50", (9.5, 9.5), (10, 10)),
        ("1 item, p95", (9.5, 9.5), (20, 20)),
    ]


@pytest.mark.parametrize("value", ["", "0", "1,x", "1.5", "-1"])
def test_counts_that_are_none(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["profile", f"--batch-sizes={value}"])
    assert caught.value.code == 2
    assert "accepted: a whole number above 0" in capsys.readouterr().err
