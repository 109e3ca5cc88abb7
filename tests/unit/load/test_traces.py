"""Recorded workloads in the formats that they are published in, and what is wrong with bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph_clients.load.arrivals import build_schedule
from infergraph_clients.load.arrivals.specification import Trace
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.statistics import summarise

from .runs import configuration, records, run


def times(file: Path, text: str, duration: float, **settings: Any) -> list[float]:
    """Seconds of the schedule of a trace with this text; without `cv`, spaced regularly."""
    file.write_text(text)
    trace = Trace(file=str(file), **{"cv": 0, **settings})
    found = build_schedule(trace, duration, np.random.default_rng(0))
    return [round(time / 1e9, 6) for time in found.times.tolist()]


def test_rates_per_second(tmp_path: Path) -> None:
    found = times(tmp_path / "t.csv", "rate\n2\n0\n4\n", 10)
    assert found == [0, 0.5, 2, 2.25, 2.5, 2.75]


def test_rates_without_a_header_and_with_seconds(tmp_path: Path) -> None:
    # Seconds 10 and 12 are 0 and 2 of the run; the last rate holds as long as the one before it.
    assert times(tmp_path / "t.csv", "10,1\n12,2\n", 10) == [0, 1, 2, 2.5, 3, 3.5]


def test_scales(tmp_path: Path) -> None:
    assert times(tmp_path / "t.csv", "2\n2\n", 10, scale=2) == [i / 4 for i in range(8)]
    assert times(tmp_path / "t.csv", "2\n2\n", 10, speed=2) == [i / 4 for i in range(4)]


def test_the_duration_cuts_a_trace(tmp_path: Path) -> None:
    assert times(tmp_path / "t.csv", "1\n1\n1\n", 2) == [0, 1]


MINUTES = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,60,0\no,a,g,timer,0,120\n"


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [({}, 60, 120), ({"function": "f"}, 60, 0), ({"function": "g"}, 0, 120)],
)
def test_counts_per_minute(
    tmp_path: Path, settings: dict[str, Any], first: int, second: int
) -> None:
    found = np.array(times(tmp_path / "azure.csv", MINUTES, 200, **settings))
    assert [(found < 60).sum(), ((found >= 60) & (found < 120)).sum()] == [first, second]


def test_timestamps(tmp_path: Path) -> None:
    text = '{"timestamp": 100.5, "model": "a"}\n100\n\n{"timestamp": 103}\n'
    assert times(tmp_path / "t.jsonl", text, 10) == [0, 0.5, 3]
    assert times(tmp_path / "t.jsonl", text, 10, speed=0.5) == [0, 1, 6]


def test_timestamps_can_be_thinned(tmp_path: Path) -> None:
    text = "\n".join(str(i / 1000) for i in range(10_000))
    found = times(tmp_path / "t.jsonl", text, 20, scale=0.25)
    assert len(found) == pytest.approx(2_500, rel=0.05)


CALLS = "app,func,end_timestamp,duration\na,f,107,2\na,g,101,1\na,f,103,1.5\n"
DATES = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:49.6805900,879,55
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 7319, "output_length": 490, "hash_ids": [0, 5]}
"""


@pytest.mark.parametrize(
    ("name", "text", "settings", "expected"),
    [
        # Twitter's, NASA's and the WorldCup's: rates between spaces.
        ("workload.txt", "2 0 1\n4 ", {}, [0, 0.5, 2, 3, 3.25, 3.5, 3.75]),
        ("workload.txt", "2 0 1\n4 ", {"start": 2, "scale": 0.5}, [0, 1.25, 1.75]),
        ("azure.csv", CALLS, {}, [0, 1.5, 5]),
        ("azure.csv", CALLS, {"function": "f"}, [0, 3.5]),
        ("llm.csv", DATES, {}, [0, 3, 4.314579]),
        ("llm.csv", DATES.replace("00,", "00+00:00,"), {}, [0, 3, 4.314579]),
        ("llm.csv", DATES, {"start": 1, "speed": 2}, [1, 1.65729]),
        ("llm.csv", DATES, {"end": 4}, [0, 3]),
        ("mooncake.jsonl", MOONCAKE, {}, [0, 3.052]),
        ("mooncake.jsonl", MOONCAKE, {"speed": 4}, [0, 0.763]),
        ("seconds.jsonl", MOONCAKE, {"format": "timestamps", "speed": 1000}, [0, 3.052]),
        ("rates.csv", "1\n2\n1\n", {"start": 1, "end": 2}, [0, 0.5]),
        ("rates.csv", "1\n2\n1\n", {"start": 0.5, "end": 2}, [0, 0.75, 1.25]),
        ("one.jsonl", "17\n", {}, [0]),
    ],
)
def test_published_formats(
    tmp_path: Path, name: str, text: str, settings: dict[str, Any], expected: list[float]
) -> None:
    assert times(tmp_path / name, text, 10, **settings) == expected


def test_a_short_trace_has_its_own_duration_and_a_long_one_says_that_it_is_cut(
    tmp_path: Path,
) -> None:
    for rates, measured, intended in ((["20"] * 5, 5, 20), (["20"] * 60, 30, 20)):
        file = tmp_path / f"{measured}.csv"
        file.write_text("\n".join(rates))
        trace = {"kind": "trace", "file": str(file), "cv": 0}
        settings = configuration(arrivals=trace, duration_s=30)
        schedule = build_schedule(settings.arrivals, 30, np.random.default_rng(0))  # type: ignore[arg-type]
        table = records([5.0] * len(schedule), intended_ms=schedule.times / 1e6)
        found = run(table, settings)
        found.schedule = schedule
        summary = summarise(found)
        assert (summary.measured_s, summary.rates.intended) == (measured, intended)
        cut = [note for note in summary.validity.notes if "only its first 30 s" in note]
        assert len(cut) == (measured == 30)
        assert all("the trace lasts 60 s" in note for note in cut)


def test_a_day_of_1000_a_second_costs_what_is_played(tmp_path: Path) -> None:
    file = tmp_path / "day.txt"
    file.write_text("1000 " * 86_400)
    found = build_schedule(Trace(file=str(file)), 10, np.random.default_rng(0))
    assert len(found) == pytest.approx(10_000, rel=0.05)
    assert (found.duration_s, found.recorded_s) == (10, 86_400)


@pytest.mark.parametrize(
    ("name", "text", "settings", "problem"),
    [
        ("t.csv", "", {}, "is empty"),
        ("t.csv", "1\nx\n", {}, "line 2: 'x' is not a number"),
        ("t.csv", "1\n-2\n", {}, "line 2: -2 is negative"),
        ("t.csv", "1\nnan\n", {}, "line 2: nan is not a finite number"),
        ("t.csv", "0\n0\n", {}, "no request in it"),
        ("t.csv", "3,1\n2,1\n", {}, "line 2: second 2 is not after 3"),
        ("t.csv", "1,2,3\n", {}, "3 columns"),
        ("t.csv", "1\n", {"function": "f"}, "has no functions, so none is 'f'"),
        ("t.csv", MINUTES, {"function": "h"}, "no function 'h'"),
        ("t.jsonl", "nope\n", {}, "line 1 is not JSON"),
        ("t.jsonl", '{"time": 1}\n', {}, "line 1"),
        ("t.jsonl", "1\n", {"scale": 2}, "scale is 2"),
        ("t.jsonl", "\n", {}, "is empty"),
        ("t.dat", "1\n", {}, "accepted: .csv, .txt, .jsonl"),
        ("t.txt", "1 2 x\n", {}, "line 1: 'x' is not a number"),
        ("t.csv", "1\n1\n", {"start": 3}, "nothing from start 3 to end 2: it lasts 2 s"),
        ("t.csv", "app,func,end_timestamp\na,f,1\n", {}, "has no column duration"),
        ("t.csv", "TIMESTAMP,X\nyesterday,1\n", {}, "line 2: 'yesterday' is no date"),
        ("t.csv", "TIMESTAMP,X\n2024-05-10\n", {}, "1 columns, but the header has 2"),
        ("t.csv", "HashFunction,1\nf,-1\n", {}, "line 2: -1 is negative"),
    ],
)
def test_bad_traces(
    tmp_path: Path, name: str, text: str, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LoadError, match=problem) as caught:
        times(tmp_path / name, text, 10, **settings)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trace_that_does_not_exist(tmp_path: Path) -> None:
    trace = Trace(file=str(tmp_path / "none.csv"))
    with pytest.raises(LoadError, match=r"none\.csv' cannot be read: No such file"):
        build_schedule(trace, 10, np.random.default_rng(0))
