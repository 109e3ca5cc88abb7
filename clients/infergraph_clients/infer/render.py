"""Answers as text to read, and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from infergraph.v2 import Message, Tensor, rest
from infergraph.v2.base64_bytes import without_announcement

from ..transports import Answer, Reply
from ..transports.codec import TRACE
from .items import Item, by_item

_MOST_VALUES = 8
_MEDIA = {
    b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "OGG", b"ID3": "MP3", b"\xff\xfb": "MP3",
    b"\xff\xd8": "JPEG", b"\x89PNG": "PNG",
}  # fmt: skip
_STEP_COSTS = ("queue_us", "compute_us", "duration_us")


def answer_lines(answer: Answer, count: int) -> Iterator[str]:
    """The answer to a batch of `count` items: item by item where its rows are items."""
    items = by_item(answer, count)
    if items is None:
        yield from _aligned((each.name, _array_text(each.data)) for each in answer.tensors)
        return
    for number, item in enumerate(items):
        if count > 1:
            yield f"item {number}"
        yield from _aligned(_item_rows(item))


def times_line(replies: Sequence[Reply], at_once: bool) -> str:
    """How long the answers took."""
    times = [reply.seconds * 1000 for reply in replies]
    if len(times) == 1:
        return f"{times[0]:,.1f} ms{_stream_text(replies[0])}"
    how = "at once" if at_once else "in turn"
    return (
        f"{len(times)} requests {how}: shortest {min(times):,.1f} ms, "
        f"median {statistics.median(times):,.1f} ms, longest {max(times):,.1f} ms"
    )


def _stream_text(reply: Reply) -> str:
    """What the times of a stream were: to its first answer, and between answers."""
    if reply.first_s is None:
        return ""
    text = f"; the first of {len(reply.gaps) + 1} answers after {reply.first_s * 1000:,.1f} ms"
    if reply.gaps:
        text += f", the others each {statistics.median(reply.gaps) * 1000:,.1f} ms (median) later"
    return text


def says_the_same(one: Answer, other: Answer) -> bool:
    """Whether both have the same outputs, bit for bit."""
    return [_content(each) for each in one.tensors] == [_content(each) for each in other.tensors]


def _content(tensor: Tensor) -> tuple[Any, ...]:
    data = tensor.data.ravel()
    values = data.tolist() if data.dtype == object else data.tobytes()
    return tensor.name, tensor.datatype, tensor.shape, values


def tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    """A tensor with flat data: BYTES as text, or all as base64 where any is not UTF-8.

    JSON has no NaN and no infinity: both become null.
    """
    data = tensor.data
    if data.dtype.kind == "f":
        data = np.where(np.isfinite(data), data, data.dtype.type("nan"))
    # What was base64 on the way may be text.
    parameters = without_announcement(tensor.parameters)
    shown = Tensor(tensor.name, tensor.datatype, data, parameters)
    parts, _ = rest.encode_request(Message([shown]), {}, False)
    content: dict[str, Any] = orjson.loads(b"".join(parts))["inputs"][0]
    return content


def trace_lines(trace: Mapping[str, Any]) -> Iterator[str]:
    """A table of a pipeline's steps; a single line for a model, which has none."""
    if "steps" not in trace:
        queue, compute = (_milliseconds(trace.get(name)) for name in _STEP_COSTS[:2])
        yield f"  queue {queue}, compute {compute}, batch of {trace.get('batch_size', '-')}"
        return
    head = ["step", "item", "transport", "start", "queue", "compute", "total", "batch"]
    rows = list(_trace_rows(trace["steps"], 0))
    if all(row[1] == "" for row in rows):
        head, rows = [head[0], *head[2:]], [[row[0], *row[2:]] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if name in ("step", "transport") else cell.rjust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        ]
        yield f"  {'  '.join(cells)}".rstrip()
    yield f"  in all: {_milliseconds(trace.get('duration_us'))}"


def answer_json(replies: Sequence[Reply], request_model: str) -> dict[str, Any]:
    """The last answer in V2 JSON, and beside it `trace` as JSON and `times_ms` of all."""
    answer = replies[-1].answer
    parameters = {name: value for name, value in answer.parameters.items() if name != TRACE}
    content: dict[str, Any] = {
        "model_name": answer.model or request_model,
        "id": answer.id,
        "parameters": parameters,
        "outputs": [tensor_to_json(tensor) for tensor in answer.tensors],
        "times_ms": [round(reply.seconds * 1000, 3) for reply in replies],
    }
    if answer.trace is not None:
        content["trace"] = answer.trace
    if (first := replies[-1].first_s) is not None:
        gaps = [round(gap * 1000, 3) for gap in replies[-1].gaps]
        content["stream"] = {"first_ms": round(first * 1000, 3), "gaps_ms": gaps}
    return content


def _item_rows(item: Item) -> Iterator[tuple[str, str]]:
    for name, rows in item.tensors.items():
        yield name, _array_text(rows[0]) if len(rows) == 1 else _array_text(rows)
    for status, text in item.errors:
        yield "error", _printable(f"{status}: {text}")


def _aligned(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        yield f"  {name:{width}}  {text}".replace("\n", "\n" + " " * (width + 4))


def _array_text(array: npt.NDArray[Any]) -> str:
    if not array.size:
        return "(no values)"
    values = array.ravel()
    shown = [_value_text(value) for value in values[:_MOST_VALUES].tolist()]
    if array.size == 1:
        return shown[0]
    more = f", ... {array.size:,} values" if array.size > len(shown) else ""
    shape = f"{list(array.shape)} " if array.ndim > 1 else ""
    return f"{shape}{', '.join(shown)}{more}"


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, bytes):
        return str(value)
    try:
        return _printable(value.decode())
    except UnicodeDecodeError:
        kind = next((kind for magic, kind in _MEDIA.items() if value.startswith(magic)), "")
        return f"({kind or 'binary'}, {len(value):,} bytes)"


def _printable(text: str) -> str:
    """The text without what would steer the terminal."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def _trace_rows(steps: Sequence[Mapping[str, Any]], depth: int) -> Iterator[list[str]]:
    for step in steps:
        yield [
            "  " * depth + str(step.get("name", "-")),
            str(step.get("item", "")),
            str(step.get("transport", "-")),
            _milliseconds(step.get("start_us")),
            *(_milliseconds(step.get(name)) for name in _STEP_COSTS),
            str(step.get("batch_size", "-")),
        ]
        yield from _trace_rows(step.get("steps", ()), depth + 1)


def _milliseconds(microseconds: float | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:,.1f} ms"
