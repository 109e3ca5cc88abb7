"""Two reports: what differs is found, what does not is not, and reports survive their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph_clients.load.cli.main import main
from infergraph_clients.load.comparison import Comparison, compare
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.outcome import Outcome
from infergraph_clients.load.reports.folder import read_report, write_report
from infergraph_clients.load.statistics import summarise

from .runs import configuration, records, run


def write(
    folder: Path, seed: int, scale: float = 1.0, failed: float = 0.0, **settings: Any
) -> Path:
    """A report of 2000 exponential latencies of mean 10 ms times `scale`."""
    generator = np.random.default_rng(seed)
    latency = generator.exponential(10 * scale, 2_000)
    outcome = np.where(generator.random(2_000) < failed, Outcome.OVERLOAD, Outcome.OK)
    found = run(records(latency, outcome=outcome), configuration(duration_s=20, **settings))
    write_report(folder, found, summarise(found))
    return folder


def changes(a: Path, b: Path) -> dict[str, str]:
    found: Comparison = compare(read_report(a), read_report(b), tolerance=0.05, resamples=200)
    return {row.name.split(",")[0]: row.change for row in found.rows}


def test_the_same_service_is_the_same(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2)
    assert set(changes(a, b).values()) == {"same"}
    assert main(["compare", str(a), str(b), "--resamples", "200"]) == 0


def test_a_slower_service_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, scale=1.5)
    found = changes(a, b)
    assert [found[f"latency {name}"] for name in ("mean", "p50", "p90", "p99")] == ["worse"] * 4
    assert found["right answers"] == "same"
    assert set(changes(b, a).values()) == {"better", "same"}
    assert main(["compare", str(a), str(b), "--resamples", "200"]) == 1
    assert "worse" in capsys.readouterr().out
    assert main(["compare", str(a), str(b), "--resamples", "200", "--tolerance", "0.9"]) == 0


def test_more_failures_are_worse(tmp_path: Path) -> None:
    slo = {"latency_ms": 1_000}
    a = write(tmp_path / "a", 1, slo=slo)
    b = write(tmp_path / "b", 2, failed=0.2, slo=slo)
    found = changes(a, b)
    assert (found["right answers"], found["within the SLO"]) == ("worse", "worse")


def test_the_interval_holds_the_true_ratio(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, scale=1.2)
    found = compare(read_report(a), read_report(b), tolerance=0, resamples=400)
    mean = found.rows[0].interval
    assert mean.low < 1.2 < mean.high
    assert mean.high - mean.low < 0.25


def test_it_is_reproducible(tmp_path: Path) -> None:
    a, b = read_report(write(tmp_path / "a", 1)), read_report(write(tmp_path / "b", 2))
    first, second = (compare(a, b, tolerance=0, resamples=50) for _ in range(2))
    assert first.rows == second.rows


def test_it_warns_of_runs_that_say_little(tmp_path: Path) -> None:
    limits = {"dispatch_delay_ms": 1e-9}
    table = records([5.0] * 500, delay_ms=1)
    invalid = run(table, configuration(limits=limits))
    write_report(tmp_path / "b", invalid, summarise(invalid))
    found = compare(
        read_report(write(tmp_path / "a", 1)),
        read_report(tmp_path / "b"),
        tolerance=0,
        resamples=10,
    )
    assert any("'b' is invalid" in warning for warning in found.warnings)


def test_it_warns_of_different_objectives(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 1, slo={"latency_ms": 20})
    b = write(tmp_path / "b", 1, slo={"latency_ms": 40})
    found = compare(read_report(a), read_report(b), tolerance=0, resamples=10)
    assert found.warnings == ["the runs did not have the same SLO"]


def test_a_report_without_right_answers(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, failed=1)
    with pytest.raises(LoadError, match="'b' has no right answer"):
        changes(a, b)


@pytest.mark.parametrize("content", [None, "no json", '{"format": 99}'])
def test_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    a = write(tmp_path / "a", 1)
    b = tmp_path / "b"
    if content is not None:
        b.mkdir()
        (b / "report.json").write_text(content)
        (b / "records.parquet").write_bytes((a / "records.parquet").read_bytes())
    assert main(["compare", str(a), str(b)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
