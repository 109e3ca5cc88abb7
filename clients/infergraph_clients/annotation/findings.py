"""`Findings`: what an answer says of one picture, each tensor with the boxes that it is about.

An answer does not say which tensor belongs to which boxes. So this is the rule, where K is the
number of rows, the same in all tensors about a set of boxes:

1. A set of boxes is a tensor `boxes` or `<prefix>_boxes` of floats, [1, K, 4]. `num_detections` or
   `<prefix>_num_detections` says how many of its rows count; without it, all up to the last one
   that is not all zeros.
2. Every other tensor [1, K] belongs to one set: to the one whose prefix its name begins with,
   `vehicle_labels` and `vehicles` to `vehicle_boxes`. Else to the last set before it in the order
   in which the model declares its outputs, as `plates` that are declared after `vehicle_boxes`, or
   to the first one if there is none before it. A set with fewer objects
   than the tensor has texts is passed over. Without the declared order it is the answer's, which in
   a pipeline is that of its steps: with several sets of boxes, give the declared one.
3. A score is a tensor of floats whose name ends with `score` or `scores`. It belongs to the text
   that its name fits: `labels` and `scores`, `safety` and `safety_scores`, `vehicles` and
   `vehicle_scores`; else to the text before it, or to none.
4. A tensor [1, 1] that rule 2 leaves is of the whole picture; sound, or what else has zero bytes,
   is no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph.v2 import Tensor

from ..infer.items import Item, by_item
from ..transports import Answer

_BOXES, _COUNT, _FOUND = "boxes", "num_detections", "num_found"
_LABELS = ("labels", "label")

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
"""The tensors of an answer in its order; elements of BYTES tensors are `bytes`."""


@dataclass(frozen=True)
class BoxSet:
    """Boxes of one kind and what is said of each.

    Attributes:
        name: Of the tensor: `boxes` or `<prefix>_boxes`.
        boxes: FP32 [n, 4], x1 y1 x2 y2 in pixels; without rows that do not count.
        columns: The other tensors of the set by name, [n] each.
        texts: Names of the columns that are text, labels first; with each the name of its score.
    """

    name: str
    boxes: Array
    columns: Mapping[str, Array]
    texts: Sequence[tuple[str, str | None]]

    @property
    def prefix(self) -> str:
        """`vehicle` of `vehicle_boxes`; empty for `boxes`."""
        return self.name.removesuffix(_BOXES).removesuffix("_")

    @property
    def label(self) -> str | None:
        """The column that names the objects: `labels`, else the first text; None without one."""
        return self.texts[0][0] if self.texts else None

    def said(self, row: int) -> list[tuple[str, str, float | None]]:
        """Column, text and score of what is said of an object; empty texts are left out."""
        return [
            (name, text, None if score is None else float(self.columns[score][row]))
            for name, score in self.texts
            if (text := as_text(self.columns[name][row]))
        ]


@dataclass(frozen=True)
class Findings:
    """What an answer says of one picture.

    Attributes:
        sets: In the declared order, else in the answer's.
        rest: The tensors that are of no set, as they are.
        texts: Names of those of the rest that are one text; with each the name of its score.
    """

    sets: Sequence[BoxSet] = ()
    rest: Mapping[str, Array] = field(default_factory=dict)
    texts: Sequence[tuple[str, str | None]] = ()

    @property
    def count(self) -> int | None:
        """How many objects there are: `num_detections`, else all boxes; None if it is not said."""
        if (count := self._number(_COUNT)) is not None:
            return count
        return sum(len(each.boxes) for each in self.sets) if self.sets else None

    @property
    def found(self) -> int | None:
        """How many there were before the answer was cut to its K rows, where it says so."""
        return self._number(_FOUND)

    def _number(self, name: str) -> int | None:
        return int(self.rest[name].ravel()[0]) if name in self.rest else None


def by_picture(tensors: Tensors, count: int) -> list[Item]:
    """Splits the answer to a batch of `count` pictures; of each the tensors are a batch of one.

    A tensor `<name>_item` tells of which pictures the rows of `<name>` are, and is left out.

    Raises:
        ValueError: the rows of a tensor are no pictures, or its datatype is none of V2's.
    """
    items = by_item(Answer([_tensor(name, data) for name, data in tensors.items()]), count)
    if items is None:
        shapes = ", ".join(f"{name} {list(data.shape)}" for name, data in tensors.items())
        raise ValueError(f"the answer to {count} pictures has rows that are none: {shapes}")
    return items


def _tensor(name: str, data: Array) -> Tensor:
    try:
        return Tensor.of(name, np.asarray(data))
    except ValueError as error:
        raise ValueError(f"tensor {name!r}: {error}") from None


def read_findings(tensors: Tensors, *, declared: Sequence[str] = ()) -> Findings:
    """What the answer to one picture says; tensors that are absent are not missed.

    Args:
        tensors: Name -> array, a batch of one, in the answer's order.
        declared: Names of the model's outputs in the order of its metadata.
    """
    names = [name for name in declared if name in tensors]
    tensors = {name: tensors[name] for name in dict.fromkeys([*names, *tensors])}
    boxes = {name: data for name, data in tensors.items() if _is_boxes(name, data)}
    counts = {name: _count(name, data, tensors) for name, data in boxes.items()}
    members: dict[str, dict[str, Array]] = {name: {} for name in boxes}
    rest: dict[str, Array] = {}
    before: list[str] = []
    for name, data in tensors.items():
        if name in boxes:
            before.append(name)
            continue
        owner = _owner(name, data, boxes, counts, before)
        if owner is None:
            rest[name] = data
        else:
            members[owner][name] = data[0, : counts[owner]]
    sets = [
        BoxSet(name, data[0, : counts[name]], members[name], _texts(members[name], name))
        for name, data in boxes.items()
    ]
    single = {
        name: data.ravel()
        for name, data in rest.items()
        if data.shape == (1, 1) and not _is_binary(data.item())
    }
    return Findings(sets, rest, _texts(single, _BOXES))


def as_text(value: Any) -> str:
    """An element of a BYTES tensor; bytes that are not UTF-8 become U+FFFD."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_binary(value: Any) -> bool:
    return isinstance(value, bytes) and b"\0" in value


def _is_boxes(name: str, data: Array) -> bool:
    named = name == _BOXES or name.endswith(f"_{_BOXES}")
    shaped = data.ndim == 3 and data.shape[0] == 1 and data.shape[2] == 4
    return named and shaped and data.dtype.kind == "f"


def _count(name: str, boxes: Array, tensors: Tensors) -> int:
    rows = int(boxes.shape[1])
    count = tensors.get(name.removesuffix(_BOXES) + _COUNT)
    if count is not None and count.size == 1 and count.dtype.kind in "iu":
        return min(max(int(count.ravel()[0]), 0), rows)
    return _filled(boxes[0].any(axis=1))


def _filled(row_is_filled: Array) -> int:
    """The number of rows up to the last one that is filled."""
    rows = np.flatnonzero(row_is_filled)
    return int(rows[-1]) + 1 if len(rows) else 0


def _owner(
    name: str,
    data: Array,
    boxes: Mapping[str, Array],
    counts: Mapping[str, int],
    before: Sequence[str],
) -> str | None:
    """The set of boxes that a tensor is about; None if it is about none."""
    fitting = [each for each, of in boxes.items() if data.ndim == 2 and data.shape == of.shape[:2]]
    if name == _FOUND or name.endswith(_COUNT):
        return None
    if data.dtype == object:
        texts = _filled(np.array([bool(text) for text in data.ravel()]))
        fitting = [each for each in fitting if texts <= counts[each]]
    prefixed = [each for each in fitting if _has_prefix(name, each)]
    if prefixed:
        return max(prefixed, key=len)
    for each in reversed(before):
        if each in fitting:
            return each
    return fitting[0] if fitting else None


def _has_prefix(name: str, boxes: str) -> bool:
    prefix = boxes.removesuffix(_BOXES)
    return bool(prefix) and (name.startswith(prefix) or name == prefix.removesuffix("_") + "s")


def _texts(columns: Mapping[str, Array], boxes: str) -> list[tuple[str, str | None]]:
    """The text columns, labels first; with each its score."""
    prefix = boxes.removesuffix(_BOXES)
    texts = [name for name, data in columns.items() if data.dtype == object]
    scores: dict[str, str] = {}
    for position, name in enumerate(columns):
        if columns[name].dtype.kind == "f" and name.endswith(("score", "scores")):
            earlier = [each for each in list(columns)[:position] if each in texts]
            text = _text_of_score(name, texts, prefix) or (earlier[-1] if earlier else None)
            if text is not None:
                scores.setdefault(text, name)
    labels = [prefix + label for label in _LABELS]
    texts.sort(key=lambda name: name not in labels)
    return [(name, scores.get(name)) for name in texts]


def _text_of_score(name: str, texts: Sequence[str], prefix: str) -> str | None:
    stem = name.removesuffix("s").removesuffix("score").removesuffix("_")
    fits = [stem, f"{stem}s"] if stem else []
    if not stem or stem == prefix.removesuffix("_"):
        fits += [prefix + label for label in _LABELS]
    return next((each for each in fits if each in texts), None)
