"""What the stormed server serves: models and pipelines that compute nothing, so that it is fast."""

from __future__ import annotations

from pathlib import Path

from ..integration.echo_pipelines import CASCADE
from ..integration.repositories import (
    TEXT,
    Declared,
    pipeline_text,
    write_echo,
    write_model,
    write_pipeline,
    write_server,
    write_test_model,
)

SPARE = "spare"
"""The model that requests may unload; no other request counts on it."""

NUMBERS: Declared = {"input": ("FP32", [-1, -1])}
_OUTPUT: Declared = {"output": ("FP32", [-1, -1])}
_ANSWER: Declared = {"answer": ("BYTES", [-1, 1]), "side": ("BYTES", [-1, 1])}
_CHAIN = """
steps:
- name: numbers
  inputs: [chain.inputs.input]
- name: more-numbers
  inputs: [numbers.outputs.output]
  tensorMap: {numbers.outputs.output: input}
output:
  steps: [more-numbers]
"""


def write_repository(root: Path) -> Path:
    """Models `anything`, `numbers`, `text`, `look`, `listen`, `spare`; pipelines; gives `root`.

    `chain` runs two models one after the other, and `per-item` sends each item its own way.
    """
    served = write_server(root / "served")
    echoed = {"outputs": {"output": {"input": "input"}}}
    write_echo(served, "anything", {}, {}, {})
    for name in ("numbers", "more-numbers"):
        write_echo(served, name, NUMBERS, _OUTPUT, echoed)
    write_echo(served, "text", TEXT, TEXT, {"service_time_ms": 1})
    write_echo(served, SPARE, TEXT, TEXT, {})
    for name, kind, input_name, output in (
        ("look", "Look", "image", ("size", [-1, 2])),
        ("listen", "Listen", "audio", ("samples", [-1, 1])),
    ):
        given: Declared = {output[0]: ("INT64", output[1])}
        taken: Declared = {input_name: ("BYTES", [-1, 1])}
        write_model(served, name, f"{__package__}.models.{kind}", taken, given)
    sorted_to: Declared = {"accepted": ("BYTES", [-1, 1]), "escalate": ("BYTES", [-1, 1])}
    optional = {"optional_outputs": [*sorted_to]}
    write_test_model(served, "sorter", "Sorter", TEXT, sorted_to, optional)
    heavy = {"outputs": {"text": {"input": "text"}, "side": {"value": "heavy"}}}
    write_echo(served, "heavy", TEXT, {"text": TEXT["text"], "side": TEXT["text"]}, heavy)
    chain, per_item = root / "chain.yaml", root / "per-item.yaml"
    chain.write_text(pipeline_text("chain", _CHAIN))
    annotations = ['infergraph.io/per-item: "true"']
    per_item.write_text(pipeline_text("per-item", CASCADE.replace("NAME", "per-item"), annotations))
    write_pipeline(served, "chain", chain, NUMBERS, _OUTPUT)
    write_pipeline(served, "per-item", per_item, TEXT, _ANSWER, {"optional_outputs": ["side"]})
    return served
