"""What findings say, and the finer points of single rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergraph.graph import lint
from tests.unit.graph.graphs import catalog, resource
from tests.unit.graph.models import MODELS


def found(spec: str, models: object = None, **kwargs: str) -> list[str]:
    """Findings as ``rule: message; fix: ...``, without the place."""
    findings = lint(resource(spec, **kwargs), "p.yaml", models)  # type: ignore[arg-type]
    return [str(finding).split(": ", 1)[1] for finding in findings]


def test_a_finding_is_one_line() -> None:
    text = resource("steps:\n- name: a\n  input: [p]\noutput: {steps: [a]}")
    (finding,) = lint(text, Path("pipelines/x.yaml"))
    assert str(finding) == (
        "pipelines/x.yaml:8: unknown-field: unknown field spec.steps[0].input; "
        "fix: did you mean 'inputs'?"
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "steps: [{name: a}]\noutput: {steps: [a], stepsJoin: left}",
            "bad-join: spec.output.stepsJoin is 'left'; fix: write inner, outer or any",
        ),
        (
            "steps: [{name: a, batch: {size: '8'}}]\noutput: {steps: [a]}",
            "wrong-type: spec.steps[0].batch.size is the string '8', not a whole number; "
            "fix: write a whole number",
        ),
        (
            "steps: [{name: a, frobnicate: 1}]\noutput: {steps: [a]}",
            "unknown-field: unknown field spec.steps[0].frobnicate; fix: use one of 'name', "
            "'inputs', 'inputsJoinType', 'joinWindowMs', 'tensorMap', 'triggers', "
            "'triggersJoinType', 'batch'",
        ),
        (
            "steps: [{name: a}]\noutput: {steps: [a], batch: {}}",
            "unknown-field: unknown field spec.output.batch; fix: use one of 'steps', "
            "'joinWindowMs', 'stepsJoin', 'tensorMap'",
        ),
        (
            "steps:\n- name: light\n- name: b\n  inputs: [lihgt.outputs.x]\noutput: {steps: [b]}",
            "unknown-step: lihgt.outputs.x: this pipeline has no step 'lihgt'; "
            "fix: did you mean 'light'?",
        ),
        (
            "steps:\n- name: a\n  inputs: [c]\n- name: b\n  inputs: [a]\n- name: c\n"
            "  triggers: [b]\noutput: {steps: [c]}",
            "cycle: steps wait for each other: a -> b -> c -> a; fix: remove one of these edges, "
            "or set spec.allowCycles (Seldon Core 2.7 or newer)",
        ),
    ],
)
def test_messages(spec: str, expected: str) -> None:
    assert found(spec) == [expected]


def test_messages_about_tensors() -> None:
    spec = """
    steps:
    - name: classify
      inputs: [p]
    - name: answer
      inputs: [p.inputs.text, classify.outputs.labl]
      tensorMap: {p.inputs.text: question, classify.outputs.labl: context}
    output: {steps: [answer]}
    """
    assert found(spec, MODELS) == [
        "undeclared-input: step 'classify' gets all of p.inputs, with 'image', which it does not "
        "declare; declared: text BYTES [-1, 1]; fix: name the tensors: p.inputs.text",
        "unknown-tensor: classify has no output tensor 'labl'; fix: did you mean 'label'?",
        "nothing-can-fire: no answer can ever come about: a tensor that the output waits for "
        "never exists; fix: refer to tensors that the models declare",
    ]


def test_the_order_is_that_of_the_lines() -> None:
    spec = "output: {steps: [b]}\nsteps:\n- name: A\n- name: p\n  inputs: ['']"
    lines = [finding.line for finding in lint(resource(spec), "p.yaml")]
    assert lines == sorted(lines)
    assert len(lines) == 4


def test_later_stages_wait_for_earlier_ones() -> None:
    """A misspelt reference does not also make a rename unmatched."""
    spec = """
    steps:
    - name: a
    - name: b
      inputs: [aa.outputs.x]
      tensorMap: {a.outputs.x: y}
    output: {steps: [b]}
    """
    assert [one.split(":")[0] for one in found(spec)] == ["unknown-step"]


def test_without_catalog_nothing_is_said_about_tensors() -> None:
    spec = "steps:\n- name: nowhere\n  inputs: [p.inputs.any]\noutput: {steps: [nowhere]}"
    assert found(spec) == []


def test_models_that_declare_nothing_are_not_guessed_at() -> None:
    spec = """
    steps:
    - name: opaque
      inputs: [p.inputs.text]
    - name: heavy
      inputs: [opaque]
    - name: crop
      inputs: [opaque.outputs.boxes, opaque.outputs.count]
    output: {steps: [heavy]}
    """
    assert found(spec, MODELS) == []


def test_a_plain_reference_can_be_renamed_to_what_is_declared() -> None:
    spec = """
    steps:
    - name: embed
      inputs: [p]
      tensorMap: {p.inputs.body: text}
    output: {steps: [embed]}
    """
    models = MODELS | catalog(p=("body BYTES -1,1", "vector FP32 -1,8"))
    assert found(spec, models) == []


def test_what_a_step_was_sent_is_checked_as_it_arrived() -> None:
    spec = """
    steps:
    - name: answer
      inputs: [p.inputs.text, embed-text.outputs.label]
      tensorMap: {p.inputs.text: question, embed-text.outputs.label: context}
    - name: embed-text
      inputs: [p.inputs.text]
    - name: heavy
      inputs: [answer.inputs.question]
      tensorMap: {answer.inputs.question: text}
    - name: classify
      inputs: [answer.inputs.query]
    output: {steps: [heavy]}
    """
    models = MODELS | catalog(embed_text=("text BYTES -1,1", "label BYTES -1,1"))
    assert found(spec, models) == [
        "missing-input: step 'classify' needs text BYTES [-1, 1], and gets 'query'; fix: add a "
        "reference that brings 'text', or rename one to it by tensorMap",
        "unknown-tensor: answer has no input tensor 'query'; fix: use one of 'question', 'context'",
    ]


def test_optional_inputs_may_be_missing() -> None:
    models = catalog(
        p=("text BYTES -1,1", ""), a=("text BYTES -1,1; boxes? FP32 -1,4", "y FP32 -1,1")
    )
    assert found("steps: [{name: a}]\noutput: {steps: [a]}", models) == []


def test_alternatives_of_one_source_may_stand_for_each_other() -> None:
    """Either `es` or `de` arrives under the name that the model requires."""
    spec = """
    steps:
    - name: language
      inputs: [p.inputs.text]
    - name: heavy
      inputs: [language.outputs.es, language.outputs.de]
      tensorMap: {language.outputs.es: text, language.outputs.de: text}
    output: {steps: [heavy]}
    """
    models = MODELS | catalog(language=("text BYTES -1,1", "es? BYTES -1,1; de? BYTES -1,1"))
    assert found(spec, models) == []


def test_a_condition_further_up_is_a_condition_too() -> None:
    """`crop` fires only after `heavy`, which fires only when there are boxes."""
    spec = """
    steps:
    - name: detect
      inputs: [p.inputs.image]
    - name: heavy
      inputs: [p.inputs.text]
      triggers: [detect.outputs.boxes]
    - name: crop
      inputs: [detect.outputs.boxes, detect.outputs.count]
      triggers: [heavy]
    output: {steps: [crop]}
    """
    assert found(spec, MODELS) == []
    without = spec.replace("triggers: [detect.outputs.boxes]", "triggers: [detect]")
    assert [one.split(":")[0] for one in found(without, MODELS)] == ["conditional-input"]


def test_an_outer_join_of_exclusive_branches_may_share_a_name() -> None:
    spec = """
    steps:
    - name: light
      inputs: [p.inputs.text]
    - name: heavy
      inputs: [p.inputs.text]
      triggers: [light.outputs.escalate]
    output:
      steps: [light.outputs.accepted, heavy.outputs.label]
      stepsJoin: outer
      tensorMap: {light.outputs.accepted: label}
    """
    assert found(spec, MODELS) == []


def test_per_item_answers_may_declare_the_item_of_each_row() -> None:
    spec = "steps:\n- name: heavy\n  inputs: [p.inputs.text]\noutput: {steps: [heavy]}"
    models = MODELS | catalog(p=("text BYTES -1,1", "label BYTES -1,1; label_item INT64 -1,1"))
    assert found(spec, models, annotations='infergraph.io/per-item: "true"') == []
    assert [one.split(":")[0] for one in found(spec, models)] == ["missing-output"]


def test_per_item_a_fixed_batch_is_cut_into_items() -> None:
    models = catalog(p=("x FP32 8,3", ""), a=("x FP32 1,3", "y FP32 1,1"))
    spec = "steps: [{name: a}]\noutput: {steps: [a]}"
    assert found(spec, models, annotations='infergraph.io/per-item: "true"') == []
    assert [one.split(":")[0] for one in found(spec, models)] == ["shape-mismatch"]


def test_a_loop_may_join_any_of_the_pipelines_inputs() -> None:
    spec = """
    allowCycles: true
    maxStepRevisits: 3
    steps:
    - name: a
      inputs: [p, b]
      inputsJoinType: any
    - name: b
      inputs: [a.outputs.more]
    output: {steps: [a.outputs.end]}
    """
    assert found(spec) == []


def test_aliases_and_anchors_are_followed_without_end() -> None:
    text = "a: &a\n  b: *a\n"
    assert [finding.rule for finding in lint(text, "p.yaml")] == ["not-a-pipeline"] * 2
    text = resource("steps:\n- &step {name: a}\n- *step\noutput: {steps: [a]}")
    assert [finding.rule for finding in lint(text, "p.yaml")] == ["repeated-step"]


@pytest.mark.parametrize("text", ["[" * 500, "{" * 500, "a: \x00", "? [a]\n: b\n", "&a *a", "%"])
def test_no_text_makes_it_crash(text: str) -> None:
    assert [finding.rule for finding in lint(text, "p.yaml")] in (
        [["yaml-syntax"], ["not-a-pipeline"], ["not-a-pipeline"] * 2]
    )
