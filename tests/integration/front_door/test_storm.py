"""The storm in its short form; `make storm` sends a hundred thousand requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storm.weather import Bounds, report, run_storm

SEED = 20
REQUESTS = 3_000
BOUNDS = Bounds(steady_seconds=None, hang_seconds=20.0, metrics_lines=500)
"""How fast answers are is for the long form, on a machine that does nothing else; and some kinds of
answers that metrics tell apart come for the first time when the short one is nearly over."""


@pytest.mark.slow
def test_a_storm_finds_nothing_wrong(tmp_path: Path) -> None:
    weather = run_storm(tmp_path, SEED, REQUESTS, BOUNDS)
    assert not weather.problems, "\n".join(report(weather, SEED))
    assert sum(weather.outcome.sent.values()) == REQUESTS
    assert all(seen.answers for seen in weather.steady)
