"""Two reports: what differs is found, what does not is not, and what cannot be told is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli.main import main
from infergraph_clients.load.comparison import Comparison, Row, compare
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.load.reports.folder import Report, read_report, write_report
from infergraph_clients.load.statistics import summarise
from infergraph_clients.load.statistics.intervals import ratio_of_means, ratio_of_percentiles
from infergraph_clients.transports.outcome import Outcome

from .queues import queue_report, report_of, sojourn_times
from .runs import MS, configuration, records, run

COUNT = 20_000


def write(
    folder: Path,
    seed: int,
    scale: float = 1.0,
    failed: float = 0.0,
    count: int = COUNT,
    **settings: Any,
) -> Path:
    """A report of exponential latencies of mean 10 ms times `scale`, 100 a second."""
    generator = np.random.default_rng(seed)
    latency = generator.exponential(10 * scale, count)
    outcome = np.where(generator.random(count) < failed, Outcome.OVERLOAD, Outcome.OK)
    found = run(
        records(latency, outcome=outcome), configuration(duration_s=count / 100, **settings)
    )
    write_report(folder, found, summarise(found), page=False)
    return folder


def compared(a: Path, b: Path, **settings: Any) -> Comparison:
    return compare(read_report(a), read_report(b), **{"tolerance": 0.05, **settings})


def rows(found: Comparison) -> dict[str, Row]:
    return {row.name.partition(",")[0]: row for row in found.rows}


def changes(a: Path, b: Path, **settings: Any) -> dict[str, str]:
    return {name: row.change for name, row in rows(compared(a, b, **settings)).items()}


def test_the_same_service_is_the_same(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2)
    found = changes(a, b, measures=["mean", "p50", "failed"])
    assert found == {"latency mean": "same", "latency p50": "same", "failed": "same"}
    assert main(["compare", str(a), str(b), "--measures", "mean,p50,failed"]) == ExitStatus.FINE


def test_a_slower_service_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, scale=1.5)
    found = changes(a, b)
    assert [found[f"latency {name}"] for name in ("mean", "p50", "p90", "p99")] == ["worse"] * 4
    assert found["failed"] == "same"
    assert set(changes(b, a).values()) == {"better", "same"}
    assert main(["compare", str(a), str(b)]) == ExitStatus.MISSED
    assert "B is worse: latency mean, latency p50" in capsys.readouterr().out
    assert main(["compare", str(b), str(a)]) == ExitStatus.FINE


def test_failures_are_judged_by_themselves(tmp_path: Path) -> None:
    slo = {"latency_ms": 1_000}
    a = write(tmp_path / "a", 1, slo=slo)
    b = write(tmp_path / "b", 2, failed=0.04, slo=slo)
    found = changes(a, b)
    # Four in a hundred are no matter of the latency's tolerance.
    assert (found["failed"], found["within the SLO"]) == ("worse", "worse")
    assert changes(b, a)["failed"] == "better"
    # Latencies of right answers did not change.
    assert found["latency mean"] == "same"


def test_a_few_failures_of_many_are_the_same(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, failed=0.002)
    assert changes(a, b)["failed"] == "same"


def test_runs_that_are_too_short_say_how_long_they_must_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write(tmp_path / "a", 1, count=400), write(tmp_path / "b", 2, 1.05, count=400)
    row = rows(compared(a, b))["latency mean"]
    assert row.change == "too short"
    # Of exponential times: (2.58 + 1.28)^2 * 2 / 0.05^2 requests, 100 a second.
    assert row.needed_s == pytest.approx(119, rel=0.5)
    command = ["compare", str(a), str(b), "--measures", "mean"]
    assert main(command) == ExitStatus.INVALID
    assert "too short to tell: latency mean; runs of about" in capsys.readouterr().out
    needed = int(100 * row.needed_s)
    longer = [write(tmp_path / f"{i}", i, scale, count=needed) for i, scale in ((1, 1), (2, 1.08))]
    assert changes(longer[0], longer[1], measures=["mean"]) == {"latency mean": "worse"}


def test_a_percentile_that_too_few_support_is_too_short_and_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (write(tmp_path / name, 1, scale, count=80) for name, scale in (("a", 1), ("b", 3)))
    row = rows(compared(a, b, measures=["p99", "failed"], share_tolerance=0.2))["latency p99"]
    assert row.change == "too short"
    # 16 requests beyond it, 100 a second.
    assert row.needed_s == pytest.approx(16)
    command = ["compare", str(a), str(b), "--measures", "p99,failed", "--share-tolerance", "0.2"]
    assert main(command) == ExitStatus.INVALID
    assert "too short to tell: latency p99" in capsys.readouterr().out


def closed(folder: Path, seed: int, think_ms: float) -> Path:
    """A closed loop of one user whose requests take 10 ms and then some."""
    generator = np.random.default_rng(seed)
    latency = np.full(3_000, 10.0) + generator.exponential(1.0, 3_000)
    intended = np.concatenate([[0], np.cumsum(latency + think_ms)[:-1]])
    arrivals = {"kind": "closed", "concurrency": 1}
    settings = configuration(arrivals=arrivals, duration_s=intended[-1] / 1e3)
    found = run(records(latency, intended_ms=intended), settings)
    write_report(folder, found, summarise(found), page=False)
    return folder


def test_closed_loops_are_compared_by_throughput(tmp_path: Path) -> None:
    a, b = closed(tmp_path / "a", 1, 0), closed(tmp_path / "b", 2, 2)
    row = rows(compared(a, b))["throughput"]
    assert (row.change, row.interval.a, row.interval.b) == (
        "worse",
        pytest.approx(91, 0.02),
        pytest.approx(77, 0.02),
    )
    assert changes(b, a)["throughput"] == "better"
    assert changes(a, closed(tmp_path / "c", 3, 0))["throughput"] == "same"
    # Of open arrivals the rate is what was asked for.
    opened = write(tmp_path / "d", 1, count=1_000)
    assert "throughput" not in changes(opened, write(tmp_path / "e", 2, count=1_000))


def scheduled(seed: int, service_ms: float) -> Report:
    """A queue whose arrivals are of the same schedule whatever the seed of its services."""
    times, sojourns = sojourn_times(80, service_ms / 1e3, 60, np.random.default_rng(7))
    noise = np.random.default_rng(seed).exponential(0.0002, len(times))
    return report_of(times, sojourns + noise, 60, schedule="the same")


def test_answers_to_one_schedule_are_compared_request_by_request() -> None:
    a, b = scheduled(1, 10), scheduled(2, 10.1)
    paired = compare(a, b, tolerance=0.01, measures=["mean"])
    b.document["schedule"] = {"sha256": "another", "requests": 1}
    alone = compare(a, b, tolerance=0.01, measures=["mean"])
    assert (paired.paired, alone.paired) == (True, False)
    assert [each.rows[0].change for each in (paired, alone)] == ["worse", "too short"]


def said_of_pairs(load: float, pairs: int, seconds: float, slower: float = 1.0) -> list[set[str]]:
    """What is said of pairs of M/D/1 queues of 10 ms, the second of which may be slower."""
    generator = np.random.default_rng(int(load * 100))
    found = []
    for _ in range(pairs):
        judged = compare(
            *(queue_report(load, service, seconds, generator) for service in (0.01, 0.01 * slower)),
            tolerance=0.05,
        )
        for row in judged.rows:
            assert (row.needed_s is not None) == (row.change == "too short")
        found.append({row.change for row in judged.rows})
    return found


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_equal_systems_are_not_told_apart(load: float) -> None:
    found = said_of_pairs(load, 40, 60)
    assert sum(bool(each & {"worse", "better"}) for each in found) <= 2


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_systems_that_differ_are_found_or_the_runs_said_to_be_short(load: float) -> None:
    found = said_of_pairs(load, 10, 300, slower=1.05)
    assert sum("worse" in each for each in found) >= 8
    short = said_of_pairs(load, 10, 20, slower=1.05)
    assert all(each & {"worse", "too short"} for each in short)


@pytest.mark.parametrize("q", [None, 90])
def test_intervals_cover_the_truth(q: float | None) -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        series = [sojourn_times(80, 0.01, 40, generator)[1] for _ in range(2)]
        if q is None:
            interval = ratio_of_means(series[0], series[1], 0.95, paired=False)
        else:
            interval = ratio_of_percentiles(series[0], series[1], q, 0.95, paired=False)
        covered += interval.low <= 1 <= interval.high
    assert covered >= 90


@pytest.mark.parametrize("count", [100, 150, 400])
def test_the_slowest_payloads_of_short_runs_do_not_tell_equal_systems_apart(count: int) -> None:
    generator = np.random.default_rng(count)
    told = 0
    for _ in range(100):
        # Latencies follow from the payload but for 5%, so the same requests are the slowest.
        payloads = generator.lognormal(0, 1, count)
        a, b = (payloads * generator.normal(1, 0.05, count) for _ in range(2))
        interval = ratio_of_percentiles(a, b, 99, 0.95, paired=True)
        told += not interval.low <= 1 <= interval.high
    assert told <= 5


def test_an_invalid_run_says_nothing(tmp_path: Path) -> None:
    limits = {"dispatch_delay_ms": 1e-9, "strict": True}
    invalid = run(records([15.0] * COUNT, delay_ms=1), configuration(limits=limits, duration_s=200))
    write_report(tmp_path / "b", invalid, summarise(invalid), page=False)
    found = compared(write(tmp_path / "a", 1), tmp_path / "b")
    assert any("'b' is invalid" in warning for warning in found.warnings)
    assert (found.status, found.verdict) == (
        ExitStatus.INVALID,
        "nothing follows: a run is invalid",
    )


def test_it_warns_of_different_objectives_and_arrivals(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 1, slo={"latency_ms": 20}, count=1_000)
    b = write(tmp_path / "b", 1, slo={"latency_ms": 40}, count=1_000)
    assert compared(a, b).warnings == ["the runs did not have the same SLO"]
    arrivals = {"kind": "poisson", "rate": 100}
    c = write(tmp_path / "c", 1, slo={"latency_ms": 20}, arrivals=arrivals, count=1_000)
    assert "the runs did not have the same arrivals" in compared(a, c).warnings


def test_it_warns_of_other_payloads_and_of_runs_that_were_ended_early(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 1, count=1_000)
    for name, update in (
        ("b", {"payload_names": ["q"]}),
        ("c", {"configuration": configuration(payload={"path": "p.json", "check": "none"})}),
        ("d", {"interrupted": True}),
    ):
        found = run(records([10.0] * 1_000))
        for attribute, value in update.items():
            setattr(found, attribute, value)
        write_report(tmp_path / name, found, summarise(found), page=False)
    payloads = "the runs did not send the same payloads, or check answers in the same way"
    assert [compared(a, tmp_path / name).warnings for name in "abcd"] == [
        *([], [payloads], [payloads]),
        ["'d' was ended early; what was in flight is left out"],
    ]


def test_a_report_without_right_answers(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1, count=100), write(tmp_path / "b", 2, failed=1, count=100)
    for pair, measures in (((b, a), ["failed"]), ((a, b), ["mean", "p50"])):
        with pytest.raises(LoadError, match="'b' has no right answer"):
            compared(*pair, measures=measures)
    # A server that answers nothing well any more is worse.
    found = compared(a, b)
    assert (found.status, found.verdict) == (ExitStatus.MISSED, "B is worse: failed")
    assert "'b' has no right answer, and so no latency to compare" in found.warnings


def test_verdicts_as_junit(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1), write(tmp_path / "b", 2, scale=1.5)
    file = tmp_path / "junit.xml"
    main(["compare", str(a), str(b), "--measures", "mean,failed", "--junit", str(file)])
    suite = ElementTree.parse(file).getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    failures = {
        case.attrib["name"]: case.find("failure") is not None for case in suite.iter("testcase")
    }
    assert failures == {"latency mean, ms": True, "failed, share": False}


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--tolerance", "0"], "--tolerance is 0; accepted: above 0"),
        (["--confidence", "1"], "--confidence is 1"),
        (["--measures", "mean,speed"], "--measures has 'speed'; accepted: mean, p50"),
    ],
)
def test_wrong_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], problem: str
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path), *flags]) == ExitStatus.USAGE
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "no json", '{"format": 99}'])
def test_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    a = write(tmp_path / "a", 1, count=100)
    b = tmp_path / "b"
    if content is not None:
        b.mkdir()
        (b / "report.json").write_text(content)
        (b / "records.parquet").write_bytes((a / "records.parquet").read_bytes())
    assert main(["compare", str(a), str(b)]) == ExitStatus.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_times_by_the_wall_clock(tmp_path: Path) -> None:
    found = run(records([250.0], intended_ms=[1_000]))
    found.began = 1_764_432_000.5
    write_report(tmp_path, found, summarise(found), page=False)
    report = read_report(tmp_path)
    assert report.document["began_utc"] == "2025-11-29 16:00:00 UTC"
    assert report.records["sent_utc"][0] == np.datetime64("2025-11-29T16:00:01.500")
    assert report.records["end_utc"][0] == np.datetime64("2025-11-29T16:00:01.750")
    # What was not measured is null, and not a time.
    (row,) = pq.read_table(tmp_path / "records.parquet").to_pylist()
    assert [row[f"{name}_ns"] for name in ("first_byte", "first_answer", "longest_gap")] == [
        None
    ] * 3
    line = (tmp_path / "seconds.csv").read_text().splitlines()[2]
    assert line.startswith("2025-11-29T16:00:01.500Z,1,1,")
    assert found.records["end_ns"][0] == 1_250 * MS
