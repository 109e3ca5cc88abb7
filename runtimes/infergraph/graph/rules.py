"""`RULES`: every rule of the lint, by name.

A rule of origin `seldon` is one that Seldon Core v2's own validator has; the rest are ours: what
Seldon accepts and then crashes on, hangs on or silently ignores.
"""

from __future__ import annotations

from dataclasses import dataclass

from .finding import Origin, Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        name: In kebab-case.
        summary: What it refuses, in one sentence.
        severity: An error keeps the pipeline from loading; a warning is legal, but not what was
            meant.
        origin: Whether Seldon Core v2 enforces it too.
        needs_catalog: Whether it can only be checked against the models' declared tensors.
    """

    name: str
    summary: str
    severity: Severity = "error"
    origin: Origin = "infergraph"
    needs_catalog: bool = False


_DOCUMENT = (
    Rule("yaml-syntax", "The file is not YAML."),
    Rule("one-document", "The file does not hold exactly one YAML document."),
    Rule("duplicate-key", "A mapping has the same key twice; all but the last would be lost."),
    Rule("not-a-pipeline", "The document is not a Pipeline of mlops.seldon.io/v1alpha1."),
    Rule("missing-field", "A required field is missing."),
    Rule("unknown-field", "A field that the resource does not have; Kubernetes would drop it."),
    Rule("wrong-type", "A value is of the wrong type."),
    Rule("bad-value", "A number is out of range."),
    Rule("bad-join", "A join type is none of inner, outer and any."),
    Rule("unknown-setting", "An annotation infergraph.io/... that does not exist."),
    Rule("bad-setting", "An annotation infergraph.io/... has a value that it does not accept."),
)

_NAMES = (
    Rule("pipeline-name", "The pipeline's name is not a lower-case DNS label.", origin="seldon"),
    Rule("no-steps", "The pipeline has no steps.", origin="seldon"),
    Rule("repeated-step", "Two steps have the same name.", origin="seldon"),
    Rule("step-named-as-pipeline", "A step is named like the pipeline.", origin="seldon"),
    Rule(
        "step-name",
        "A step's name is not a lower-case DNS label: no Model has it or no reference reaches it.",
    ),
)

_REFERENCES = (
    Rule("empty-reference", "A reference is empty or starts with a dot.", origin="seldon"),
    Rule(
        "malformed-reference",
        "A reference has not one to three parts with inputs or outputs second.",
        origin="seldon",
    ),
    Rule(
        "unknown-step", "An input or output refers to a step that does not exist.", origin="seldon"
    ),
    Rule(
        "unknown-trigger-step",
        "A trigger refers to a step that does not exist; Seldon's scheduler crashes on it.",
    ),
    Rule("output-names-pipeline", "The output refers to the pipeline itself.", origin="seldon"),
    Rule("reads-own-output", "A step reads the outputs of its own pipeline."),
    Rule("external-reference", "spec.input refers to no other pipeline, or to its own."),
    Rule("empty-input", "spec.input lists no externalInputs.", origin="seldon"),
    Rule(
        "external-input",
        "Other pipelines feed this one by spec.input; Seldon does that, and no router here loads "
        "it.",
        severity="warning",
    ),
    Rule("cycle", "Steps wait for each other through inputs or triggers.", origin="seldon"),
    Rule("cycle-without-entry", "An allowed cycle has no step that can start it."),
    Rule("cycle-without-revisits", "An allowed cycle may not revisit any step."),
    Rule(
        "shadowed-reference",
        "A reference to all tensors of a source adds nothing, since another names some of them.",
        severity="warning",
    ),
    Rule("duplicate-reference", "The same reference stands twice in a list.", severity="warning"),
)

_FLOW = (
    Rule(
        "no-output",
        "The pipeline has no output, so its callers get an empty answer.",
        severity="warning",
    ),
    Rule("empty-output", "The output lists no steps."),
    Rule(
        "redundant-trigger",
        "A trigger is there whenever the step's data are, so it decides nothing.",
        severity="warning",
    ),
    Rule(
        "any-of-pipeline-inputs",
        "An any join has the pipeline's inputs, which always arrive first, among its sources.",
        severity="warning",
    ),
    Rule(
        "batch-on-output-path",
        "A batching step leads to the output, where only every n-th caller gets an answer.",
        severity="warning",
    ),
    Rule("batch-several-sources", "A batching step has more than one source."),
    Rule(
        "tensor-map-key",
        "A tensorMap's key is not <step or pipeline>.<inputs or outputs>.<tensor>.",
    ),
    Rule("tensor-map-value", "A tensorMap maps a tensor to an empty name."),
    Rule(
        "tensor-map-unmatched",
        "A tensorMap's key names a tensor that does not arrive; Seldon ignores it silently.",
        severity="warning",
    ),
    Rule(
        "tensor-collision",
        "Two tensors arrive under one name; both are kept, and a reader by name meets the first.",
        severity="warning",
    ),
)

_TENSORS = (
    Rule("unknown-model", "A step has no model of its name.", needs_catalog=True),
    Rule(
        "unknown-tensor",
        "An edge names a tensor that its source does not declare.",
        needs_catalog=True,
    ),
    Rule(
        "missing-input", "A tensor that the model requires arrives by no edge.", needs_catalog=True
    ),
    Rule(
        "conditional-input",
        "A tensor that the model requires may be absent although the step fires.",
        severity="warning",
        needs_catalog=True,
    ),
    Rule(
        "undeclared-input", "A tensor arrives that the model does not declare.", needs_catalog=True
    ),
    Rule("datatype-mismatch", "A tensor's datatype is not the one declared.", needs_catalog=True),
    Rule("shape-mismatch", "A tensor's shape does not fit the one declared.", needs_catalog=True),
    Rule(
        "missing-output",
        "A tensor that the pipeline declares is never answered.",
        needs_catalog=True,
    ),
    Rule(
        "undeclared-output",
        "The answer holds a tensor that the pipeline does not declare.",
        needs_catalog=True,
    ),
    Rule(
        "unused-pipeline-input",
        "A tensor that callers must send is read by no step.",
        severity="warning",
        needs_catalog=True,
    ),
    Rule(
        "nothing-can-fire",
        "With the declared tensors, no answer can ever come about.",
        needs_catalog=True,
    ),
)

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (*_DOCUMENT, *_NAMES, *_REFERENCES, *_FLOW, *_TENSORS)
}
"""All rules, in the order in which documentation lists them."""
