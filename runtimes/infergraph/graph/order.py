"""`arrange`: the order in which steps can run, and the edges of allowed cycles that feed back.

Where cycles are allowed (Seldon Core v2 from 2.7 on), a cycle starts at a step whose `any` join has
a source outside the cycle. Its sources inside the cycle *feed back*: they fire the step once more,
in a further round. Without its feedback edges the graph has no cycles left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dependency:
    """A step's dependence on another one.

    Attributes:
        source: The other step's position, or -1 for the pipeline's inputs.
        join: Which of the step's joins it belongs to: 0 the data, 1 the triggers.
        is_any: Whether that join is an `any`.
    """

    source: int
    join: int
    is_any: bool


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What `arrange` found.

    Attributes:
        order: The steps' positions, each after what it depends on; file order where that is free.
            Steps of a stuck cycle, and those behind it, are missing.
        feedback: Pairs of a step's position and one of its dependencies that feeds back.
        cycles: Cycles that keep steps from ever running, each as a closed walk of positions.
    """

    order: tuple[int, ...]
    feedback: frozenset[tuple[int, Dependency]]
    cycles: tuple[tuple[int, ...], ...]


def arrange(dependencies: Sequence[Sequence[Dependency]], allow_cycles: bool) -> Arrangement:
    """Orders steps by their dependencies, one list of dependencies per step."""
    feedback: set[tuple[int, Dependency]] = set()
    cycles: list[tuple[int, ...]] = []
    while True:
        sources = [
            sorted({d.source for d in of if d.source >= 0 and (step, d) not in feedback})
            for step, of in enumerate(dependencies)
        ]
        found: set[tuple[int, Dependency]] = set()
        cycles.clear()
        for component in _cyclic_components(sources):
            entries = _entries(component, dependencies) - feedback if allow_cycles else set()
            found |= entries
            if not entries:
                cycles.append(_walk(component, sources))
        if not found:
            return Arrangement(_topological(sources), frozenset(feedback), tuple(cycles))
        feedback |= found


def _entries(
    component: frozenset[int], dependencies: Sequence[Sequence[Dependency]]
) -> set[tuple[int, Dependency]]:
    entries = set()
    for step in component:
        for join in (0, 1):
            of = [d for d in dependencies[step] if d.join == join and d.is_any]
            if any(d.source not in component for d in of):
                entries |= {(step, d) for d in of if d.source in component}
    return entries


def _topological(sources: Sequence[Sequence[int]]) -> tuple[int, ...]:
    order: list[int] = []
    placed: set[int] = set()
    waiting = list(range(len(sources)))
    while waiting:
        free = next((step for step in waiting if placed.issuperset(sources[step])), None)
        if free is None:
            break
        waiting.remove(free)
        placed.add(free)
        order.append(free)
    return tuple(order)


def _cyclic_components(sources: Sequence[Sequence[int]]) -> list[frozenset[int]]:
    """The strongly connected components with a cycle in them, by their first step (Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    components: list[frozenset[int]] = []
    for root in range(len(sources)):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        work = [(root, iter(sources[root]))]
        while work:
            step, rest = work[-1]
            child = next(rest, None)
            if child is not None:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    work.append((child, iter(sources[child])))
                elif child in stack:
                    low[step] = min(low[step], index[child])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[step])
            if low[step] == index[step]:
                cut = stack.index(step)
                members = frozenset(stack[cut:])
                del stack[cut:]
                if len(members) > 1 or step in sources[step]:
                    components.append(members)
    return sorted(components, key=min)


def _walk(component: frozenset[int], sources: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """A closed walk through a component, from its first step, in the direction of the data."""
    start = min(component)
    parents: dict[int, int] = {}
    queue = [start]
    for step in queue:
        for source in sources[step]:
            if source == start:
                walk = [start]
                while step != start:
                    walk.append(step)
                    step = parents[step]
                return (*walk, start)
            if source in component and source not in parents:
                parents[source] = step
                queue.append(source)
    raise AssertionError("a strongly connected component has a cycle through each of its steps")
