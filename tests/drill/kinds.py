"""Which pipelines are drilled where one of each kind is enough.

On plain Kubernetes and with Compose our router executes every pipeline, and what is rendered for
one differs from what is for another by names and numbers alone, which tests/manifests/ checks. On
Seldon's targets `make test-all` drills every pipeline; with Compose `make test` drills fewer.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests import examples

from . import samples

ASKED_FOR = ("audio-translation", "nsfw", "sum-qa")
"""Those whose names tests say."""


def kinds(pipeline: str) -> frozenset[str]:
    """What a pipeline has that others may not have: of its graph, models, inputs, and on Seldon."""
    return frozenset(_kinds(pipeline))


def _kinds(pipeline: str) -> Iterator[str]:
    parsed = examples.parsed(pipeline)
    if parsed.per_item:
        yield "items go through alone"
    readers: list[str] = []
    for step in parsed.spec.steps:
        sources = {each.partition(".")[0] for each in step.inputs}
        readers += sources
        if len(sources) > 1:
            yield f"joins {step.inputs_join_type}"
        if step.triggers:
            yield "has a condition"
        if step.tensor_map:
            yield "renames"
        if not examples.catalog()[step.name].is_ours:
            yield "a model of the stock runtime"
    if len(readers) > len(set(readers)):
        yield "has branches"
    if parsed.spec.output is not None and len(parsed.spec.output.steps) > 1:
        yield f"joins {parsed.spec.output.steps_join}"
    for target in ("seldon-v1", "seldon-v2"):
        yield f"{examples.judged(pipeline, target).how} on {target}"
    for tensor in samples.sample(pipeline)["inputs"]:
        yield "media" if "parameters" in tensor else tensor["datatype"]


def one_of_each_kind() -> list[str]:
    """Pipelines that together are of all kinds: those asked for, then the smallest that add one."""
    chosen = list(ASKED_FOR)
    known = frozenset[str]().union(*map(kinds, chosen))
    for each in sorted(examples.pipelines(), key=_size):
        if not kinds(each) <= known:
            chosen.append(each)
            known |= kinds(each)
    return sorted(chosen)


def _size(pipeline: str) -> tuple[int, str]:
    return len(examples.parsed(pipeline).spec.steps), pipeline
