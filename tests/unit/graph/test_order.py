from __future__ import annotations

import pytest

from infergraph.graph.order import Dependency, arrange


def graph(*steps: str) -> list[list[Dependency]]:
    """Steps as ``1 2`` (inner data) or ``any: - 1`` with ``-`` for the pipeline's inputs."""
    found = []
    for text in steps:
        is_any = text.startswith("any:")
        names = text.removeprefix("any:").split()
        found.append([Dependency(-1 if n == "-" else int(n), 0, is_any) for n in names])
    return found


def test_each_step_stands_behind_its_sources_and_file_order_decides_the_rest() -> None:
    assert arrange(graph("3", "-", "1", "1"), allow_cycles=False).order == (1, 2, 3, 0)


@pytest.mark.parametrize(
    ("steps", "cycle"),
    [(("0",), (0, 0)), (("1", "0"), (0, 1, 0)), (("-", "3", "1", "2"), (1, 2, 3, 1))],
)
def test_a_cycle_is_reported_in_the_direction_of_the_data(
    steps: tuple[str, ...], cycle: tuple[int, ...]
) -> None:
    arrangement = arrange(graph(*steps), allow_cycles=False)
    assert arrangement.cycles == (cycle,)


def test_what_stands_behind_a_cycle_has_no_place_in_the_order() -> None:
    assert arrange(graph("-", "2", "1", "2"), allow_cycles=False).order == (0,)


def test_an_any_join_with_a_source_outside_opens_a_cycle() -> None:
    steps = graph("any: - 2", "0", "1")
    assert arrange(steps, allow_cycles=False).cycles == ((0, 1, 2, 0),)
    arrangement = arrange(steps, allow_cycles=True)
    assert arrangement.cycles == ()
    assert arrangement.order == (0, 1, 2)
    assert arrangement.feedback == {(0, Dependency(2, 0, True))}


def test_a_cycle_without_entry_stays_one() -> None:
    assert arrange(graph("- 1", "0"), allow_cycles=True).cycles == ((0, 1, 0),)
    assert arrange(graph("any: 1 1", "0"), allow_cycles=True).cycles == ((0, 1, 0),)


def test_nested_cycles_open_one_after_the_other() -> None:
    # 1 loops with 2 inside the loop of 0; 1's source outside its own loop is 0.
    steps = graph("any: - 2", "any: 0 2", "1")
    arrangement = arrange(steps, allow_cycles=True)
    assert arrangement.order == (0, 1, 2)
    assert arrangement.feedback == {(0, Dependency(2, 0, True)), (1, Dependency(2, 0, True))}


def test_a_long_chain_needs_no_recursion() -> None:
    steps = graph("-", *(str(index) for index in range(3000)))
    assert arrange(steps, allow_cycles=False).order == tuple(range(3001))
