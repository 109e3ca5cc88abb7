"""Pipelines of echo models that use every way to join, and what each must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .repositories import (
    TEXT,
    Declared,
    pipeline_text,
    write_echo,
    write_pipeline,
    write_test_model,
)
from .v2 import Values

_ANY_NUMBERS: tuple[str, list[int]] = ("FP32", [-1, -1])
_ONE_TEXT: tuple[str, list[int]] = ("BYTES", [-1, 1])


@dataclass(frozen=True)
class Case:
    """A request, and the outputs that its answer has: in order, as plain values."""

    request: Mapping[str, Values]
    outputs: Sequence[tuple[str, list[Any]]]


@dataclass(frozen=True)
class EchoPipeline:
    """A pipeline, what it declares, and cases."""

    body: str
    inputs: Declared
    outputs: Declared
    cases: Sequence[Case]
    optional_outputs: Sequence[str] = ()
    annotations: Sequence[str] = ()


CASCADE = """
steps:
- name: sorter
  inputs: [NAME.inputs.text]
- name: heavy
  inputs: [NAME.inputs.text]
  triggers: [sorter.outputs.escalate]
output:
  steps: [sorter.outputs.accepted, heavy.outputs.text, heavy.outputs.side]
  stepsJoin: any
  tensorMap:
    sorter.outputs.accepted: answer
    heavy.outputs.text: answer
"""

PIPELINES: Mapping[str, EchoPipeline] = {
    "chain": EchoPipeline(
        """
steps:
- name: first
  inputs: [chain.inputs.numbers]
  tensorMap: {chain.inputs.numbers: input}
- name: second
  inputs: [first.outputs.output]
  tensorMap: {first.outputs.output: input}
output:
  steps: [second.outputs.output]
  tensorMap: {second.outputs.output: numbers}
""",
        {"numbers": _ANY_NUMBERS},
        {"numbers": _ANY_NUMBERS},
        [
            Case(
                {"numbers": np.array([[1.5, -2.25, 3e-30], [4, 5, 6]], np.float32)},
                [("numbers", np.array([1.5, -2.25, 3e-30, 4, 5, 6], np.float32).tolist())],
            )
        ],
    ),
    # Two branches and an input of the pipeline, joined; two outputs of one name are both kept.
    "diamond": EchoPipeline(
        """
steps:
- name: left
  inputs: [diamond.inputs.text]
- name: right
  inputs: [diamond.inputs.text]
- name: gather
  inputs: [left.outputs.text, right.outputs.side, diamond.inputs.numbers]
  tensorMap: {right.outputs.side: kind}
output:
  steps: [gather, left.outputs.side, right.outputs.side]
""",
        {"text": _ONE_TEXT, "numbers": _ANY_NUMBERS},
        {"text": _ONE_TEXT, "kind": _ONE_TEXT, "numbers": _ANY_NUMBERS, "side": _ONE_TEXT},
        [
            Case(
                {"text": ["one", "zwei é"], "numbers": np.array([[1], [2]], np.float32)},
                [
                    ("text", [b"one", "zwei é".encode()]),
                    ("kind", [b"right", b"right"]),
                    ("numbers", [1.0, 2.0]),
                    ("side", [b"left", b"left"]),
                    ("side", [b"right", b"right"]),
                ],
            )
        ],
    ),
    "cascade": EchoPipeline(
        CASCADE.replace("NAME", "cascade"),
        TEXT,
        {"answer": _ONE_TEXT, "side": _ONE_TEXT},
        [
            Case({"text": ["easy one"]}, [("answer", [b"easy one"])]),
            Case({"text": ["hard one"]}, [("answer", [b"hard one"]), ("side", [b"heavy"])]),
        ],
        optional_outputs=["side"],
    ),
    # The same, but each item of a batch goes its own way.
    "per-item": EchoPipeline(
        CASCADE.replace("NAME", "per-item"),
        TEXT,
        {"answer": _ONE_TEXT, "side": _ONE_TEXT},
        [
            Case(
                {"text": ["easy 0", "hard 1", "hard 2", "easy 3", "hard 4"]},
                [
                    ("answer", [b"easy 0", b"hard 1", b"hard 2", b"easy 3", b"hard 4"]),
                    ("side", [b"heavy"] * 3),
                    ("side_item", [1, 2, 4]),
                ],
            ),
        ],
        optional_outputs=["side"],
        annotations=['infergraph.io/per-item: "true"'],
    ),
    "outer": EchoPipeline(
        """
steps:
- name: left
  inputs: [outer.inputs.text]
- name: sorter
  inputs: [outer.inputs.text]
- name: gather
  inputs: [left.outputs.side, sorter.outputs.escalate]
  inputsJoinType: outer
  tensorMap: {sorter.outputs.escalate: text, left.outputs.side: kind}
output:
  steps: [gather.outputs.text, gather.outputs.kind]
""",
        TEXT,
        {"text": _ONE_TEXT, "kind": _ONE_TEXT},
        [
            Case({"text": ["easy"]}, [("kind", [b"left"])]),
            Case({"text": ["hard"]}, [("text", [b"hard"]), ("kind", [b"left"])]),
        ],
        optional_outputs=["text"],
    ),
    # Of two branches that exclude each other, whichever fired; and a trigger on any of two.
    "either": EchoPipeline(
        """
steps:
- name: sorter
  inputs: [either.inputs.text]
- name: left
  inputs: [either.inputs.text]
  triggers: [sorter.outputs.accepted]
- name: right
  inputs: [either.inputs.text]
  triggers: [sorter.outputs.escalate]
- name: gather
  inputs: [left.outputs.side, right.outputs.side]
  inputsJoinType: any
  tensorMap: {left.outputs.side: kind, right.outputs.side: kind}
- name: heavy
  inputs: [either.inputs.text]
  triggers: [left.outputs.side, right.outputs.side]
  triggersJoinType: any
output:
  steps: [gather.outputs.kind, heavy.outputs.text]
""",
        TEXT,
        {"kind": _ONE_TEXT, "text": _ONE_TEXT},
        [
            Case({"text": ["easy"]}, [("kind", [b"left"]), ("text", [b"easy"])]),
            Case({"text": ["hard"]}, [("kind", [b"right"]), ("text", [b"hard"])]),
        ],
    ),
    # Several tensors of one source are any of those present, even where sources are all needed.
    "one-source": EchoPipeline(
        """
steps:
- name: sorter
  inputs: [one-source.inputs.text]
- name: gather
  inputs: [sorter.outputs.accepted, sorter.outputs.escalate, one-source.inputs.numbers]
  tensorMap: {sorter.outputs.accepted: text, sorter.outputs.escalate: kind}
output:
  steps: [gather]
""",
        {"text": _ONE_TEXT, "numbers": _ANY_NUMBERS},
        {"text": _ONE_TEXT, "kind": _ONE_TEXT, "numbers": _ANY_NUMBERS},
        [
            Case(
                {"text": ["easy"], "numbers": np.ones((1, 2), np.float32)},
                [("text", [b"easy"]), ("numbers", [1.0, 1.0])],
            ),
            Case(
                {"text": ["hard"], "numbers": np.ones((1, 2), np.float32)},
                [("kind", [b"hard"]), ("numbers", [1.0, 1.0])],
            ),
        ],
        optional_outputs=["text", "kind"],
    ),
}


def write_stages(root: Path) -> None:
    """The models of all steps."""
    numbers, text = _ANY_NUMBERS, _ONE_TEXT
    for name in ("first", "second"):
        outputs = {"outputs": {"output": {"input": "input"}}}
        write_echo(root, name, {"input": numbers}, {"output": numbers}, outputs)
    for name in ("left", "right", "heavy"):
        outputs = {"outputs": {"text": {"input": "text"}, "side": {"value": name}}}
        write_echo(root, name, TEXT, {"text": text, "side": text}, outputs)
    gathered = {"text": text, "kind": text, "numbers": numbers}
    optional = {"optional_inputs": [*gathered], "optional_outputs": [*gathered]}
    write_echo(root, "gather", gathered, gathered, optional)
    sorted_to = {"accepted": text, "escalate": text}
    write_test_model(root, "sorter", "Sorter", TEXT, sorted_to, {"optional_outputs": [*sorted_to]})


def write_files(folder: Path) -> None:
    """The pipeline files, which the routers of several repositories share."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pipeline in PIPELINES.items():
        text = pipeline_text(name, pipeline.body, pipeline.annotations)
        (folder / f"{name}.yaml").write_text(text)


def write_routers(root: Path, files: Path, **extra: Any) -> None:
    """A router for each pipeline file in `files`."""
    for name, pipeline in PIPELINES.items():
        optional = {"optional_outputs": [*pipeline.optional_outputs]}
        file = files / f"{name}.yaml"
        write_pipeline(root, name, file, pipeline.inputs, pipeline.outputs, {**optional, **extra})
