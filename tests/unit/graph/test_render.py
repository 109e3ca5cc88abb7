from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from infergraph.graph import FORMS, Plan, compile_plan, parse_pipeline, render
from tests.unit.graph.graphs import catalog, resource

CASCADE = """
steps:
- name: light
- name: heavy
  inputs: [cascade.inputs.image]
  triggers: [light.outputs.escalate]
output:
  steps: [light.outputs.accepted, heavy.outputs.label]
  stepsJoin: any
  tensorMap: {light.outputs.accepted: label}
"""

LOOP = """
allowCycles: true
maxStepRevisits: 3
steps:
- name: a
  inputs: [p, b]
  inputsJoinType: any
- name: b
  inputs: [a.outputs.more]
- name: drift
  inputs: [a.inputs]
  batch: {size: 8}
output: {steps: [a.outputs.end]}
"""

MODELS = catalog(
    cascade=("image UINT8 -1,-1,-1,3", "label BYTES -1,1"),
    light=("image UINT8 -1,-1,-1,3", "accepted? BYTES -1,1; escalate? BYTES -1,1"),
    heavy=("image UINT8 -1,-1,-1,3", "label BYTES -1,1"),
)


def plan(spec: str, name: str = "p", annotations: str = "") -> Plan:
    return compile_plan(parse_pipeline(resource(spec, name, annotations), "p.yaml"))


def test_text() -> None:
    assert render(plan(CASCADE, "cascade"), "text", MODELS) == (
        "pipeline cascade\n"
        "  1.  light   <- inputs: image\n"
        "  2.  heavy   <- inputs: image; when light: escalate?\n"
        "      output  <- light: accepted? → label; heavy: label [any of 2 sources]\n"
    )


def test_text_of_a_loop() -> None:
    assert render(plan(LOOP, annotations='infergraph.io/per-item: "true"'), "text") == (
        "pipeline p (per item)\n"
        "  1.  a       <- inputs; b (again) [any of 2 sources]\n"
        "  2.  b       <- a: more\n"
        "  3.  drift   <- a: inputs [gathers 8 items]\n"
        "      output  <- a: end\n"
    )


def test_mermaid() -> None:
    assert render(plan(CASCADE, "cascade"), "mermaid") == (
        "flowchart LR\n"
        '    n0(["inputs"])\n'
        '    n1["light"]\n'
        '    n2["heavy"]\n'
        '    n3(["output<br/>any of 2 sources"])\n'
        "    n0 --> n1\n"
        '    n0 -->|"image"| n2\n'
        '    n1 -.->|"when escalate?"| n2\n'
        '    n1 -->|"accepted → label"| n3\n'
        '    n2 -->|"label"| n3\n'
    )


def test_svg_shows_every_step_arrow_and_label() -> None:
    text = render(plan(CASCADE, "cascade"), "svg", MODELS)
    root = ElementTree.fromstring(text)
    shown = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for wanted in (
        "cascade",
        "inputs",
        "light",
        "heavy",
        "output",
        "when escalate?",
        "accepted? → label",
        "label",
        "any of 2 sources",
    ):
        assert wanted in shown
    classes = [one.get("class") for one in root.iter("{http://www.w3.org/2000/svg}path")]
    assert classes.count("arrow") == 4
    assert classes.count("arrow trigger") == 1


def test_svg_boxes_do_not_overlap_and_stay_inside() -> None:
    wide = "".join(f"- name: s{i}\n" for i in range(6))
    wide += "".join(f"- name: t{i}\n  inputs: [s{i}, s{(i + 1) % 6}, p]\n" for i in range(6))
    outputs = ", ".join(f"t{i}" for i in range(6)) + ", s0"
    root = ElementTree.fromstring(
        render(plan("steps:\n" + wide + f"output: {{steps: [{outputs}]}}"), "svg")
    )
    boxes = [
        tuple(float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if rect.get("class")
    ]
    assert len(boxes) == 14
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for i, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for ox, oy, ow, oh in boxes[:i]:
            assert x + w <= ox or ox + ow <= x or y + h <= oy or oy + oh <= y
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        if path.get("class"):
            assert not re.search("nan|inf", path.get("d", ""))


def test_svg_of_a_loop_is_well_formed() -> None:
    root = ElementTree.fromstring(render(plan(LOOP), "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_names_are_escaped() -> None:
    spec = """
    steps:
    - name: a
      inputs: ['p.inputs.<b>&"']
    output: {steps: [a]}
    """
    svg = render(plan(spec), "svg")
    texts = ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter()]
    assert '<b>&"' in texts
    assert '"#lt;b#gt;#amp;#quot;"' in render(plan(spec), "mermaid")


def test_a_pipeline_without_output_can_be_drawn() -> None:
    for form in FORMS:
        assert "drift" in render(plan("steps: [{name: drift}]"), form)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="accepted: text, mermaid, svg"):
        render(plan(LOOP), "png")
