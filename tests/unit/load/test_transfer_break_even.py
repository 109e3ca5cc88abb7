"""When one form pays against another, and which is the fastest at which bandwidth."""

from __future__ import annotations

import pytest

from infergraph_clients.load.transfer.break_even import (
    Cost,
    Reign,
    Verdict,
    bandwidth,
    pays,
    reigns,
)

PLAIN = Cost("plain", 1_000_000, 0.010)


@pytest.mark.parametrize(
    ("form", "verdict", "text"),
    [
        # 4 Mbit saved for 20 ms.
        (Cost("gzip", 500_000, 0.030), Verdict("below", 200e6), "pays below 200 Mbit/s"),
        (Cost("fp16", 500_000, 0.010), Verdict("always"), "always pays"),
        (Cost("raw", 500_000, 0.002), Verdict("always"), "always pays"),
        (Cost("slow", 1_500_000, 0.020), Verdict("never"), "never pays"),
        (Cost("fat", 1_500_000, 0.010), Verdict("never"), "never pays"),
        # 4 Mbit more, 5 ms saved.
        (Cost("list", 1_500_000, 0.005), Verdict("above", 800e6), "pays above 800 Mbit/s"),
        (Cost("twin", 1_001_000, 0.010), Verdict("equal"), "makes no difference"),
        (Cost("twin", 999_000, 0.020), Verdict("never"), "never pays"),
        (Cost("twin", 1_001_000, 0.005), Verdict("always"), "always pays"),
    ],
)
def test_pays(form: Cost, verdict: Verdict, text: str) -> None:
    found = pays(form, PLAIN)
    assert (found.when, found.bound) == (verdict.when, False)
    assert found.bits_per_second == pytest.approx(verdict.bits_per_second)
    assert str(found) == text


def test_at_the_break_even_both_take_as_long() -> None:
    form = Cost("gzip", 123_456, 0.0345)
    at = pays(form, PLAIN).bits_per_second
    assert at is not None
    assert form.at(at) == pytest.approx(PLAIN.at(at))
    assert form.at(at / 2) < PLAIN.at(at / 2)
    assert form.at(at * 2) > PLAIN.at(at * 2)


@pytest.mark.parametrize(
    ("form", "verdict", "text"),
    [
        # Two standard errors, 10 ms: 4 Mbit saved for at most 2 + 10 ms, or for 30 ms.
        (
            Cost("gzip", 500_000, 0.012, 0.005),
            Verdict("below", 4e6 / 0.012, bound=True),
            "pays below 330 Mbit/s at least",
        ),
        (
            Cost("gzip", 500_000, 0.040, 0.005),
            Verdict("below", 4e6 / 0.03),
            "pays below 130 Mbit/s",
        ),
        (Cost("raw", 500_000, -0.001, 0.005), Verdict("always"), "always pays"),
        (
            Cost("list", 1_500_000, 0.008, 0.005),
            Verdict("above", 4e6 / 0.012, bound=True),
            "does not pay below 330 Mbit/s",
        ),
        (Cost("twin", 1_000_000, 0.019, 0.005), Verdict("equal"), "makes no difference"),
    ],
)
def test_what_cannot_be_told_apart(form: Cost, verdict: Verdict, text: str) -> None:
    found = pays(form, PLAIN)
    assert (found.when, found.bound) == (verdict.when, verdict.bound)
    assert found.bits_per_second == pytest.approx(verdict.bits_per_second)
    assert str(found) == text


def test_reigns_are_the_lower_envelope() -> None:
    costs = [
        Cost("raw", 1_000_000, 0.001),
        Cost("gzip", 400_000, 0.101),
        Cost("flac", 300_000, 0.011),
        Cost("list", 3_000_000, 0.050),
        Cost("both", 290_000, 0.111),
    ]
    found = reigns(costs)

    assert [each.name for each in found] == ["both", "flac", "raw"]
    assert [(each.low, each.high) for each in found] == [
        (0, pytest.approx(8 * 10_000 / 0.1)),
        (pytest.approx(800e3), pytest.approx(8 * 700_000 / 0.01)),
        (pytest.approx(560e6), float("inf")),
    ]
    for reign in found:
        middle = (reign.low + min(reign.high, 1e10)) / 2
        assert min(costs, key=lambda cost: cost.at(middle)).name == reign.name


def test_reigns_of_one_and_of_equals() -> None:
    assert reigns([PLAIN]) == [Reign("plain", 0, float("inf"))]
    equal = [Cost("a", 10, 0.1), Cost("b", 10, 0.1)]
    assert reigns(equal) == [Reign("a", 0, float("inf"))]
    faster = [Cost("a", 10, 0.2), Cost("b", 10, 0.1)]
    assert reigns(faster) == [Reign("b", 0, float("inf"))]
    # 0.1 s less, of which two standard errors are 0.2 s.
    unsure = [Cost("a", 10, 0.2, 0.1), Cost("b", 20, 0.1)]
    assert reigns(unsure) == [Reign("a", 0, float("inf"))]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (12.4e9, "12 Gbit/s"),
        (1e9, "1 Gbit/s"),
        (23.4e6, "23 Mbit/s"),
        (996e3, "1 Mbit/s"),
        (1.25e6, "1.2 Mbit/s"),
        (456e3, "460 kbit/s"),
        (80, "0.08 kbit/s"),
        (4e11, "400 Gbit/s"),
    ],
)
def test_bandwidths_as_texts(bits: float, text: str) -> None:
    assert bandwidth(bits) == text
