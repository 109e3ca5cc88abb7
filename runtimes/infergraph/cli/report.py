"""What `infergraph demo` prints: requests, answers and traces, as aligned text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Pipeline
from ..v2 import Message, Tensor

_WIDTH = 72
_MOST_ITEMS = 4
_MEDIA = {b"RIFF": "WAV, ", b"fLaC": "FLAC, ", b"OggS": "OGG, ", b"\xff\xd8": "JPEG, "}
_COLUMNS = ("start", "queue", "compute", "total")


def message_lines(message: Message) -> Iterator[str]:
    """The tensors of a request or an answer, one a line; several long items, one a line each."""
    width = max(len(tensor.name) for tensor in message.tensors)
    for tensor in message.tensors:
        label = tensor.name
        for line in value_lines(tensor):
            yield f"  {label:{width}}  {line}"
            label = ""


def unpadded(message: Message) -> Message:
    """An answer without the rows behind the last object or entity, in tensors that have them."""
    counted = [each for each in message.tensors if _is_boxes(each) or each.name == "entities"]
    rows = {tensor.shape[1] for tensor in counted} - {1}
    tensors = [
        _without_padding(tensor) if len(tensor.shape) > 1 and tensor.shape[1] in rows else tensor
        for tensor in message.tensors
    ]
    return replace(message, tensors=tensors)


def trace_lines(
    trace: Mapping[str, Any], said: Mapping[str, Sequence[tuple[str, Tensor]]]
) -> Iterator[str]:
    """A table of a pipeline's trace; below each step, what it said.

    With several items, each of which went its own way, a step's row names its item instead.

    Args:
        trace: A pipeline's trace.
        said: For each step, labelled tensors.
    """
    steps = list(_flattened(trace.get("steps", ()), 0))
    if len({step.get("item") for _, step in steps}) > 1:
        steps = [(depth, {**step, "name": _with_item(step)}) for depth, step in steps]
        said = {}
    labels = [label for tensors in said.values() for label, _ in tensors]
    width = max(
        [len(step["name"]) + 2 * depth for depth, step in steps]
        + [len(label) + 2 for label in labels]
        + [len("step")]
    )
    kinds = max([len(str(step.get("transport", "-"))) for _, step in steps] + [len("transport")])
    header = "".join(f"{column:>11}" for column in _COLUMNS)
    yield f"  {'step':{width}}  {'transport':{kinds}}{header}"
    for depth, step in steps:
        name = "  " * depth + step["name"]
        start, total = step.get("start_us"), step.get("duration_us")
        times = (start, step.get("queue_us"), step.get("compute_us"), total)
        cells = "".join(f"{milliseconds(each):>11}" for each in times)
        yield f"  {name:{width}}  {step.get('transport', '-'):{kinds}}{cells}"
        if depth == 0:
            for label, tensor in said.get(step["name"], ()):
                for line in value_lines(tensor):
                    yield f"    {label:{width - 2}}  {line}"
                    label = ""


def said_by_step(pipeline: Pipeline, answer: Message) -> dict[str, list[tuple[str, Tensor]]]:
    """The tensors of a pipeline's answer by the step that made each, under that step's own name."""
    output = pipeline.spec.output
    tensor_map = output.tensor_map if output else {}
    # What is renamed has its name no more: another step's tensor may have it.
    references = [
        reference.split(".")
        for reference in (output.steps if output else ())
        if reference not in tensor_map
    ]
    renamed = {new: old.split(".") for old, new in tensor_map.items()}
    said: dict[str, list[tuple[str, Tensor]]] = {}
    for tensor in answer.tensors:
        if tensor.name in renamed:
            step, _, label = renamed[tensor.name]
        else:
            named = [parts[0] for parts in references if parts[2:] == [tensor.name]]
            whole = [parts[0] for parts in references if len(parts) < 3]
            if not named and len(whole) != 1:
                continue
            step, label = (named or whole)[0], tensor.name
        said.setdefault(step, []).append((label, tensor))
    return said


def value_lines(tensor: Tensor) -> list[str]:
    """A tensor's values, cut where there are many: on one line, or long items on a line each."""
    boxes = _is_boxes(tensor)
    items = (tensor.data.reshape(-1, 4) if boxes else tensor.data.ravel()).tolist()
    text = _box_text if boxes else _item_text
    shown = [text(item) for item in items[:_MOST_ITEMS]]
    if len(items) > len(shown):
        shown.append(f"and {len(items) - len(shown)} more")
    line = ", ".join(shown) or "none"
    return [line] if len(line) <= 2 * _WIDTH or len(shown) == 1 else shown


def milliseconds(microseconds: float | None) -> str:
    """A duration; "-" for None."""
    return "-" if microseconds is None else f"{microseconds / 1000:,.1f} ms"


def _item_text(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.4g}"
    if not isinstance(item, bytes):
        return str(item)
    try:
        text = item.decode()
    except UnicodeDecodeError:
        kind = next((kind for magic, kind in _MEDIA.items() if item.startswith(magic)), "")
        return f"({kind}{len(item):,} bytes)"
    return f'"{text}"' if len(text) <= _WIDTH else f'"{text[: _WIDTH - 3]}..."'


def _is_boxes(tensor: Tensor) -> bool:
    return tensor.name.endswith("boxes") and len(tensor.shape) == 3 and tensor.shape[2] == 4


def _box_text(corners: Sequence[float]) -> str:
    return "[" + " ".join(f"{value:.0f}" for value in corners) + "]"


def _without_padding(tensor: Tensor) -> Tensor:
    """Cut behind the last row that is filled for an item. Integers are padded with -1."""
    data = tensor.data
    filled = data != -1 if data.dtype.kind in "iu" else data.astype(bool)
    rows = np.flatnonzero(filled.any(axis=(0, *range(2, data.ndim))))
    return Tensor.of(tensor.name, data[:, : rows[-1] + 1 if len(rows) else 0])


def _with_item(step: Mapping[str, Any]) -> str:
    return f"{step['name']} [{step['item']}]" if "item" in step else str(step["name"])


def _flattened(steps: Iterable[Mapping[str, Any]], depth: int) -> Iterator[tuple[int, Any]]:
    for step in steps:
        yield depth, step
        yield from _flattened(step.get("steps", ()), depth + 1)
