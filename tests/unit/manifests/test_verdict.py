"""Verdicts follow from what a graph is made of, whatever its names."""

from __future__ import annotations

import pytest

from infergraph.declaration import ModelDeclaration
from infergraph.graph import parse_pipeline
from infergraph.manifests.targets import Target
from infergraph.manifests.verdict import How, Verdict, verdict
from infergraph.tensors import TensorSpec

OURS = "infergraph.tasks.echo.Echo"
OLD, NEW = (2, 6, 0), (2, 10, 0)
HEAD = "apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\nmetadata: {name: p%s}\nspec:\n"


def tensors(*names: str) -> tuple[TensorSpec, ...]:
    """Specs of BYTES tensors; one whose name ends with `?` may be left out."""
    return tuple(
        TensorSpec(name.rstrip("?"), "BYTES", (-1, 1), optional=name.endswith("?"))
        for name in names
    )


CATALOG = {
    each.name: each
    for each in (
        ModelDeclaration("p", tensors("x"), tensors("y")),
        ModelDeclaration("a", tensors("x"), tensors("y", "left?", "right?"), OURS),
        ModelDeclaration("b", tensors("y"), tensors("y"), OURS),
        ModelDeclaration("c", tensors("y"), tensors("y", "z"), OURS),
        ModelDeclaration("one", tensors("x"), tensors("y"), OURS),
    )
}


def judge(spec: str, target: Target, version: tuple[int, ...] = OLD, notes: str = "") -> Verdict:
    pipeline = parse_pipeline(HEAD % notes + spec, "p.yaml")
    return verdict(pipeline, CATALOG, target, version)


A = "- {name: a, inputs: [p.inputs.x]}\n"
PER_ITEM = ", annotations: {infergraph.io/per-item: 'true'}"


@pytest.mark.parametrize(
    ("spec", "how", "reason"),
    [
        (f"  steps:\n  {A}  output: {{steps: [a.outputs.y]}}\n", How.UNCHANGED, "dataflow"),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.left]}}\n"
            "  output: {steps: [a.outputs.y, b.outputs.y], stepsJoin: outer}\n",
            How.ROUTER,
            "the output is an outer join, and 'b' may be silent",
        ),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y]}}\n"
            "  output: {steps: [a.outputs.y, b.outputs.y], stepsJoin: outer}\n",
            How.UNCHANGED,
            "dataflow",
        ),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y]}}\n"
            "  - {name: c, inputs: [a.outputs.y, b.outputs.y], inputsJoinType: any}\n"
            "  output: {steps: [c.outputs.z]}\n",
            How.ROUTER,
            "step 'c' takes any of 'a' and 'b', which both always come",
        ),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.left]}}\n"
            "  - {name: c, inputs: [a.outputs.right, b.outputs.y], inputsJoinType: any}\n"
            "  output: {steps: [c.outputs.z]}\n",
            How.UNCHANGED,
            "dataflow",
        ),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y], batch: {{size: 2}}}}\n"
            "  output: {steps: [b.outputs.y]}\n",
            How.ROUTER,
            "step 'b' gathers a batch",
        ),
        (
            f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y], batch: {{size: 2}}}}\n"
            "  output: {steps: [a.outputs.y]}\n",
            How.UNCHANGED,
            "dataflow",
        ),
    ],
)
def test_seldon_2_holds_what_always_answers(spec: str, how: How, reason: str) -> None:
    found = judge(spec, "seldon-v2")

    assert found.how is how
    assert reason in found.reasons[0]


def test_conditions_per_item_are_one_item_a_request() -> None:
    spec = f"  steps:\n  {A}  output: {{steps: [a.outputs.y]}}\n"

    assert judge(spec, "seldon-v2", notes=PER_ITEM).how is How.ONE_ITEM
    assert judge(spec, "kubernetes", notes=PER_ITEM).how is How.UNCHANGED


@pytest.mark.parametrize("field", ["allowCycles: true", "dataflow: {cleanTopicsOnDelete: true}"])
def test_newer_fields_need_a_newer_seldon(field: str) -> None:
    spec = f"  {field}\n  steps:\n  {A}  output: {{steps: [a.outputs.y]}}\n"

    assert judge(spec, "seldon-v2", OLD).how is How.ROUTER
    assert judge(spec, "seldon-v2", NEW).how is How.UNCHANGED


def test_a_branch_that_may_be_silent_and_a_time_out_are_remarked() -> None:
    spec = (
        f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.left]}}\n"
        "  output: {steps: [b.outputs.y]}\n"
    )

    found = judge(spec, "seldon-v2", notes=", annotations: {infergraph.io/timeout-ms: '5'}")

    assert found.how is How.UNCHANGED
    assert [each.partition(":")[0] for each in found.remarks] == [
        "a request for which no branch answers waits for ever",
        "its time-out means nothing to Seldon, which has none",
    ]


CASCADE = (
    f"  steps:\n  {A}  - {{name: one, inputs: [p.inputs.x], triggers: [a.outputs.left]}}\n"
    "  output: {steps: [a.outputs.right, one.outputs.y], stepsJoin: any,"
    " tensorMap: {a.outputs.right: y}}\n"
)


def test_seldon_1_holds_a_chain_for_any_batch() -> None:
    found = judge(
        f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y]}}\n"
        "  output: {steps: [b.outputs.y]}\n",
        "seldon-v1",
    )

    assert (found.how, found.reasons) == (How.UNCHANGED, ("a chain of 2 nodes",))
    assert any(each.startswith("over gRPC as typed contents") for each in found.remarks)


def test_seldon_1_holds_conditions_per_item_one_item_a_request() -> None:
    found = judge(CASCADE, "seldon-v1", notes=PER_ITEM)

    assert found.how is How.ONE_ITEM
    assert found.reasons[0] == "a graph of 2 nodes: a routes"
    assert found.reasons[1].startswith("it holds its conditions per item")
    assert any(each.startswith("over REST alone") for each in found.remarks)
    assert judge(CASCADE, "seldon-v1").how is How.UNCHANGED


def test_of_what_is_no_tree_seldon_1_needs_the_router() -> None:
    found = judge(
        f"  steps:\n  {A}  - {{name: b, inputs: [a.outputs.y], batch: {{size: 2}}}}\n"
        "  output: {steps: [b.outputs.y]}\n",
        "seldon-v1",
    )

    assert (found.how, found.reasons) == (How.ROUTER, ("step 'b' gathers a batch",))


def test_a_step_that_is_a_pipeline_needs_the_router() -> None:
    from pathlib import Path

    catalog = {**CATALOG, "a": ModelDeclaration("a", (), (), pipeline=Path("a.yaml"))}
    pipeline = parse_pipeline(
        HEAD % "" + f"  steps:\n  {A}  output: {{steps: [a.outputs.y]}}\n", "p.yaml"
    )

    for target in ("seldon-v2", "seldon-v1"):
        assert verdict(pipeline, catalog, target, NEW).how is How.ROUTER  # type: ignore[arg-type]
