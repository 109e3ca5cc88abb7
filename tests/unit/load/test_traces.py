"""Recorded workloads of three formats, and what is wrong with bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph_clients.load.arrivals import build_schedule
from infergraph_clients.load.arrivals.specification import Trace
from infergraph_clients.load.errors import LoadError


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
    assert times(tmp_path / "t.csv", "2\n2\n", 10, rate_scale=2) == [i / 4 for i in range(8)]
    assert times(tmp_path / "t.csv", "2\n2\n", 10, time_scale=0.5) == [i / 4 for i in range(4)]


def test_the_duration_cuts_a_trace(tmp_path: Path) -> None:
    assert times(tmp_path / "t.csv", "1\n1\n1\n", 2) == [0, 1]


AZURE = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,60,0\no,a,g,timer,0,120\n"


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [({}, 60, 120), ({"function": "f"}, 60, 0), ({"function": "g"}, 0, 120)],
)
def test_counts_per_minute(
    tmp_path: Path, settings: dict[str, Any], first: int, second: int
) -> None:
    found = np.array(times(tmp_path / "azure.csv", AZURE, 200, **settings))
    assert [(found < 60).sum(), ((found >= 60) & (found < 120)).sum()] == [first, second]


def test_timestamps(tmp_path: Path) -> None:
    text = '{"timestamp": 100.5, "model": "a"}\n100\n\n{"timestamp": 103}\n'
    assert times(tmp_path / "t.jsonl", text, 10) == [0, 0.5, 3]
    assert times(tmp_path / "t.jsonl", text, 10, time_scale=2) == [0, 1, 6]


def test_timestamps_can_be_thinned(tmp_path: Path) -> None:
    text = "\n".join(str(i / 1000) for i in range(10_000))
    found = times(tmp_path / "t.jsonl", text, 20, rate_scale=0.25)
    assert len(found) == pytest.approx(2_500, rel=0.05)


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
        ("t.csv", "1\n", {"function": "f"}, "no column HashFunction"),
        ("t.csv", AZURE, {"function": "h"}, "no function 'h'"),
        ("t.jsonl", "nope\n", {}, "line 1 is not JSON"),
        ("t.jsonl", '{"time": 1}\n', {}, "line 1"),
        ("t.jsonl", "1\n", {"rate_scale": 2}, "rate_scale is 2"),
        ("t.jsonl", "\n", {}, "no timestamps"),
        ("t.txt", "1\n", {}, "accepted: .csv, .jsonl"),
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
