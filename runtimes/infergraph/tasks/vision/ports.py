"""Checks what a model of image classification declares: tensors that its code takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import ConfigurationError, InvalidInput
from ...runtime import Item
from ...tensors import TensorSpec

ROUTES = ("accepted", "accepted_score", "escalate")
"""Outputs that an item has or has not, by the setting `threshold`."""

_INPUTS = {"image": "BYTES", "pixels": "FP32", "boxes": "FP32", "num_detections": "INT64"}
_OUTPUTS = {
    "label": "BYTES",
    "score": "FP32",
    "probabilities": "FP32",
    "accepted": "BYTES",
    "accepted_score": "FP32",
    "escalate": "BYTES",
}
_WAYS = "'image', 'pixels', or 'image' with 'boxes' and 'num_detections'"


def check_ports(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    threshold: float | None,
    labels: int,
) -> None:
    """Checks the declared tensors.

    Args:
        inputs: Those declared; when empty, any is accepted.
        outputs: Those declared; when empty, all are given.
        threshold: The setting.
        labels: How many the checkpoint has.

    Raises:
        ConfigurationError: a tensor is none of the model's or of another datatype, misses, is
            optional where it must not be or the other way round, or the outputs do not fit the
            setting or the checkpoint.
    """
    taken = {spec.name: spec for spec in inputs}
    given = {spec.name: spec for spec in outputs}
    _check_known("input", inputs, _INPUTS)
    _check_known("output", outputs, _OUTPUTS)
    if taken:
        _check_inputs(taken)
    if given:
        _check_outputs(given, "boxes" in taken, threshold, labels)


def check_item(item: Item) -> None:
    """Checks that an item has the tensors of one of the three ways.

    Raises:
        InvalidInput: it has not.
    """
    came = item.keys()
    if came not in ({"image"}, {"pixels"}, {"image", "boxes", "num_detections"}):
        listed = ", ".join(f"'{name}'" for name in item)
        raise InvalidInput(f"the tensors {listed} came; accepted: {_WAYS}")


def _check_known(kind: str, declared: Sequence[TensorSpec], known: Mapping[str, str]) -> None:
    for spec in declared:
        if known.get(spec.name) != spec.datatype:
            accepted = ", ".join(f"{name} {datatype}" for name, datatype in known.items())
            raise ConfigurationError(
                f"declared {kind} {spec} is none of the model's; its {kind}s: {accepted}"
            )


def _check_inputs(taken: Mapping[str, TensorSpec]) -> None:
    boxes = taken.keys() & {"boxes", "num_detections"}
    if not taken.keys() & {"image", "pixels"} or (
        boxes and (len(boxes) == 1 or "image" not in taken)
    ):
        raise ConfigurationError(f"declared inputs {', '.join(taken)}; accepted: {_WAYS}")
    must_be_optional = set(taken) if {"image", "pixels"} <= taken.keys() else set()
    for name in sorted(must_be_optional):
        if not taken[name].optional:
            raise ConfigurationError(
                f"declared input '{name}' must be optional where both 'image' and 'pixels' are "
                "declared; name it in the setting 'optional_inputs'"
            )
    if len({taken[name].optional for name in boxes}) > 1:
        raise ConfigurationError(
            "of the declared inputs 'boxes' and 'num_detections' one is optional; "
            "accepted: both or neither"
        )


def _check_outputs(
    given: Mapping[str, TensorSpec], boxes: bool, threshold: float | None, labels: int
) -> None:
    for name in ("label", "score"):
        if name not in given or given[name].optional:
            raise ConfigurationError(
                f"output '{name}' must be declared, and not as optional: every item has it"
            )
    routes = [name for name in ROUTES if name in given]
    if bool(routes) != (threshold is not None):
        raise ConfigurationError(
            f"declared outputs {', '.join(routes)}: they need the setting 'threshold'"
            if routes
            else f"setting 'threshold' = {threshold}: no output of {', '.join(ROUTES)} is declared"
        )
    for name in [*routes, *(["probabilities"] if boxes and "probabilities" in given else [])]:
        if not given[name].optional:
            raise ConfigurationError(
                f"declared output '{name}' is not in every answer; name it in the setting "
                "'optional_outputs'"
            )
    probabilities = given.get("probabilities")
    if probabilities is not None and not probabilities.accepts_shape((-1, labels)):
        raise ConfigurationError(
            f"declared output {probabilities}: the checkpoint has {labels} labels"
        )
