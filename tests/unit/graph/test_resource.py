from __future__ import annotations

from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.graph import parse_pipeline
from infergraph.graph.resource import Pipeline
from tests.unit.graph.graphs import resource

EVERYTHING = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: p
  namespace: seldon-mesh
  labels: {team: vision}
  annotations:
    infergraph.io/per-item: "true"
    infergraph.io/timeout-ms: "1500.5"
    kubectl.kubernetes.io/last-applied-configuration: "{}"
  creationTimestamp: 2024-01-01T00:00:00Z
  generation: 3
spec:
  input:
    externalInputs: [q.outputs.image, r.step.s.outputs]
    externalTriggers: [r]
    joinWindowMs: 10
    joinType: any
    triggersJoinType: outer
    tensorMap: {q.outputs.image: picture}
  steps:
  - name: a
  - name: b
    inputs: [a.outputs.y, p.inputs.picture]
    inputsJoinType: outer
    joinWindowMs: 20
    tensorMap: {a.outputs.y: question}
    triggers: [a.outputs.go]
    triggersJoinType: any
  - name: drift
    batch: {size: 8, windowMs: 100, rolling: true}
  output:
    steps: [b]
    joinWindowMs: 30
    stepsJoin: inner
    tensorMap: {b.outputs.z: answer}
  allowCycles: false
  maxStepRevisits: 2
  dataflow: {cleanTopicsOnDelete: true}
status:
  conditions: [{type: Ready, status: "True"}]
"""


def test_every_field_is_accepted() -> None:
    pipeline = parse_pipeline(EVERYTHING, "p.yaml")
    a, b, drift = pipeline.spec.steps
    assert (pipeline.name, pipeline.metadata.namespace) == ("p", "seldon-mesh")
    assert (a.inputs, a.inputs_join_type, a.batch) == ((), "inner", None)
    assert b.inputs == ("a.outputs.y", "p.inputs.picture")
    assert (b.inputs_join_type, b.triggers_join_type, b.join_window_ms) == ("outer", "any", 20)
    assert b.tensor_map == {"a.outputs.y": "question"}
    assert drift.batch is not None
    assert (drift.batch.size, drift.batch.window_ms, drift.batch.rolling) == (8, 100, True)
    source, output = pipeline.spec.input, pipeline.spec.output
    assert source is not None
    assert (source.join_type, source.triggers_join_type) == ("any", "outer")
    assert source.external_inputs == ("q.outputs.image", "r.step.s.outputs")
    assert output is not None
    assert (output.steps, output.steps_join) == (("b",), "inner")
    assert pipeline.spec.max_step_revisits == 2


def test_the_model_writes_what_it_read() -> None:
    pipeline = parse_pipeline(EVERYTHING, "p.yaml")
    written = pipeline.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert written["spec"]["steps"][1]["inputsJoinType"] == "outer"
    assert Pipeline.model_validate(written).spec == pipeline.spec


@pytest.mark.parametrize(
    ("annotations", "settings"),
    [
        ("", (False, None, None)),
        ('infergraph.io/per-item: "true"', (True, None, None)),
        ('infergraph.io/per-item: "false"', (False, None, None)),
        ('infergraph.io/timeout-ms: "250"', (False, 250.0, None)),
        ('infergraph.io/slo-ms: "95"', (False, None, 95.0)),
    ],
)
def test_our_settings(annotations: str, settings: tuple[bool, float | None, float | None]) -> None:
    text = resource("steps: [{name: a}]\noutput: {steps: [a]}", annotations=annotations)
    pipeline = parse_pipeline(text, "p.yaml")
    assert (pipeline.per_item, pipeline.timeout_ms, pipeline.slo_ms) == settings


def test_a_wrong_file_is_refused_with_all_its_errors() -> None:
    text = resource("steps:\n- name: a\n  inputs: [b, c]\noutput: {steps: [p]}")
    with pytest.raises(ConfigurationError) as caught:
        parse_pipeline(text, Path("pipelines/p.yaml"))
    first, second, third = str(caught.value).split("\n")
    assert first.startswith(
        "pipelines/p.yaml:8: unknown-step: b: this pipeline has no step 'b'; fix: "
    )
    assert second.startswith(
        "pipelines/p.yaml:8: unknown-step: c: this pipeline has no step 'c'; fix: "
    )
    assert third.startswith("pipelines/p.yaml:9: output-names-pipeline:")


def test_warnings_do_not_keep_a_pipeline_from_loading() -> None:
    assert parse_pipeline(resource("steps: [{name: a}]"), "p.yaml").spec.output is None
