"""The picture of the stages: its parts are as wide as they are long."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from infergraph_clients.load.reports.stage_bars import Bar, stage_bars, standalone

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar("light", {"network": 1.0, "a: queue": 2.0, "a: compute": 5.0, "b <x>: compute": 2.0}),
    Bar("heavy", {"network": 1.0, "a: queue": 12.0, "a: compute": 5.0, "b <x>: compute": 2.0}),
]


def boxes(picture: str) -> list[tuple[str, float]]:
    """What each box says, and its width."""
    root = ElementTree.fromstring(picture)
    return [
        (box.findtext(f"{SVG}title") or "", float(box.attrib["width"]))
        for box in root.iter(f"{SVG}rect")
        if box.attrib["width"] != "100%"
    ]


def test_widths_are_times() -> None:
    found = dict(boxes(stage_bars(BARS)))
    scale = found["light, network: 1.00 ms"]
    assert found["light, a: compute: 5.00 ms"] == pytest.approx(5 * scale, rel=1e-3)
    assert found["heavy, a: queue: 12.0 ms"] == pytest.approx(12 * scale, rel=1e-3)
    light = [width for title, width in found.items() if title.startswith("light")]
    assert sum(light) == pytest.approx(10 * scale, rel=1e-3)


def test_it_says_the_sums_and_what_the_colours_mean() -> None:
    root = ElementTree.fromstring(stage_bars(BARS))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts == [
        *("light", "10.0 ms (10% unexplained)", "heavy", "20.0 ms (5% unexplained)"),
        *("network", "a: queue", "a: compute", "b <x>: compute"),
    ]


def test_what_is_too_thin_to_see_is_not_in_the_legend() -> None:
    picture = stage_bars([Bar("one", {"router": 0.001, "a: compute": 10.0})])
    assert "router</text>" not in picture
    assert "a: compute</text>" in picture


def test_stages_differ_in_colour_and_the_kinds_of_one_do_not() -> None:
    root = ElementTree.fromstring(stage_bars(BARS[:1]))
    fills = {
        box.findtext(f"{SVG}title"): (box.attrib["fill"], box.attrib["fill-opacity"])
        for box in root.iter(f"{SVG}rect")
    }
    assert fills["a: queue"][0] == fills["a: compute"][0] != fills["b <x>: compute"][0]
    assert fills["a: queue"][1] != fills["a: compute"][1]


def test_no_bars_and_empty_bars() -> None:
    assert boxes(stage_bars([])) == []
    assert boxes(stage_bars([Bar("none", {"network": 0.0})])) == []


def test_a_file_of_its_own_is_on_white() -> None:
    root = ElementTree.fromstring(standalone(stage_bars(BARS)))
    assert root.attrib["color"] == "#1f2430"
    assert root[0].attrib["fill"] == "#fff"
