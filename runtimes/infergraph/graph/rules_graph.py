"""Rules on names, references and cycles: whether the graph is one at all."""

from __future__ import annotations

import re

from .document import Path, Report
from .order import arrange
from .reference import ExternalReference, ReferenceSyntaxError
from .resource import Pipeline
from .wiring import Wiring

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_FIX = "use lower-case letters, digits and inner hyphens"


def check_names(pipeline: Pipeline, report: Report) -> None:
    """Names of the pipeline and its steps."""
    if not _NAME.fullmatch(pipeline.name):
        message = f"{pipeline.name!r} is no pipeline name"
        report("pipeline-name", ("metadata", "name"), message, _NAME_FIX)
    if not pipeline.spec.steps:
        report("no-steps", ("spec", "steps"), "the pipeline has no steps", "add a step")
    seen: set[str] = set()
    for position, step in enumerate(pipeline.spec.steps):
        path: Path = ("spec", "steps", position, "name")
        if step.name == pipeline.name:
            report(
                "step-named-as-pipeline",
                path,
                f"step '{step.name}' is named like the pipeline",
                "rename the pipeline: a step's name is its model's",
            )
        elif not _NAME.fullmatch(step.name):
            report("step-name", path, f"{step.name!r} is no step name", _NAME_FIX)
        if step.name in seen:
            report(
                "repeated-step",
                path,
                f"there are two steps '{step.name}'",
                "serve the model under a second name, and name the step so",
            )
        seen.add(step.name)


def check_references(wiring: Wiring, report: Report) -> None:
    """References that are well-formed, but refer to what cannot be read there."""
    name = wiring.pipeline.name
    for consumer in wiring.consumers:
        for wire in (*consumer.data, *consumer.triggers):
            if wire.reference.source != name:
                continue
            if consumer.step is None:
                report(
                    "output-names-pipeline",
                    wire.path,
                    f"the output refers to the pipeline itself, {wire.reference}",
                    "name a step that passes the tensors through",
                )
            elif wire.reference.port == "outputs":
                report(
                    "reads-own-output",
                    wire.path,
                    f"{consumer.name} reads {wire.reference}, which is there only when all is done",
                    f"write {name}.inputs, or name the step that makes the tensors",
                )
    output = wiring.pipeline.spec.output
    if output is not None and not output.steps:
        report("empty-output", ("spec", "output"), "the output lists no steps", "add output.steps")


def check_external(pipeline: Pipeline, report: Report) -> None:
    """Whether `spec.input` can be executed, and its references to other pipelines."""
    source = pipeline.spec.input
    if source is None:
        return
    report(
        "external-input",
        ("spec", "input"),
        "other pipelines feed this one, which only Seldon Core v2 can do",
        "for a router, remove spec.input and send requests, or make both the steps of a pipeline",
    )
    if not source.external_inputs:
        report(
            "empty-input",
            ("spec", "input"),
            "spec.input lists no externalInputs",
            "add spec.input.externalInputs, or remove spec.input",
        )
    for field, texts in (
        ("externalInputs", source.external_inputs),
        ("externalTriggers", source.external_triggers),
    ):
        for position, text in enumerate(texts):
            path: Path = ("spec", "input", field, position)
            try:
                reference = ExternalReference.parse(text)
            except ReferenceSyntaxError as error:
                rule = "empty-reference" if error.empty else "external-reference"
                report(rule, path, str(error), "name another pipeline, or a step of one")
                continue
            if reference.pipeline == pipeline.name:
                report(
                    "external-reference",
                    path,
                    f"{text!r} refers to this very pipeline",
                    "name another pipeline",
                )


def check_cycles(wiring: Wiring, report: Report) -> None:
    """Cycles; where the pipeline allows them, those that can never start or come round."""
    spec = wiring.pipeline.spec
    arrangement = arrange(wiring.dependencies(), bool(spec.allow_cycles))
    for cycle in arrangement.cycles:
        path: Path = ("spec", "steps", cycle[0], "inputs")
        walk = " -> ".join(spec.steps[position].name for position in cycle)
        if spec.allow_cycles:
            report(
                "cycle-without-entry",
                path,
                f"no step of the cycle {walk} can be the first to fire",
                "give one of its steps inputsJoinType: any and an input from outside the cycle",
            )
        else:
            report(
                "cycle",
                path,
                f"steps wait for each other: {walk}",
                "remove one of these edges, or set spec.allowCycles (Seldon Core 2.7 or newer)",
            )
    if arrangement.feedback and not spec.max_step_revisits:
        report(
            "cycle-without-revisits",
            ("spec", "maxStepRevisits"),
            "the pipeline has a cycle, and maxStepRevisits is not above 0",
            "set spec.maxStepRevisits to the number of times that a step may fire again",
        )
