"""Tensors of requests: good ones for each model, and what their answers must be."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import media

FORMATS = {
    "BOOL": "?", "INT8": "b", "UINT8": "B", "INT16": "h", "UINT16": "H", "INT32": "i",
    "UINT32": "I", "INT64": "q", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""V2 datatypes of numbers, and the letter that `struct` knows each by."""

TYPED_FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
    "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
    "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""Where a gRPC message has typed contents; FP16 has none."""

Answered = Mapping[str, tuple[list[int], list[Any]]]
"""Output name -> shape and flat values, BYTES as `bytes`."""


@dataclass
class Tensor:
    """An input tensor, right or made wrong.

    Attributes:
        values: Flat; `bytes` for BYTES, numbers or booleans for all else.
        text: Whether the values of a BYTES tensor are UTF-8.
    """

    name: str
    datatype: str
    shape: list[Any]
    values: list[Any] = field(default_factory=list)
    text: bool = True

    def raw(self) -> bytes:
        """The contents as bytes. Raises struct.error for values that the datatype cannot hold."""
        if self.datatype in FORMATS:
            letter = FORMATS[self.datatype]
            return struct.pack(f"<{len(self.values)}{letter}", *self.values)
        return b"".join(len(each).to_bytes(4, "little") + each for each in self.values)

    def in_json(self) -> dict[str, Any]:
        """The tensor as V2 JSON; bytes that are no text go as base64."""
        head = {"name": self.name, "datatype": self.datatype, "shape": self.shape}
        if self.text:
            return {**head, "data": [_in_json(each) for each in self.values]}
        data = [base64.b64encode(each).decode() for each in self.values]
        return {**head, "data": data, "parameters": {"content_type": "base64"}}


def good(rng: random.Random) -> tuple[str, list[Tensor], Answered | None]:
    """A model, tensors that it accepts, and its answer; None where media leave it open."""
    model, make = rng.choice(_MODELS)
    return model, *make(rng)


def _in_json(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _numbers(rng: random.Random) -> tuple[list[Tensor], Answered]:
    rows, columns = rng.randint(1, 4), rng.randint(1, 9)
    # Eighths survive every wire and format exactly.
    values = [rng.randint(-(2**15), 2**15) / 8 for _ in range(rows * columns)]
    shape = [rows, columns]
    return [Tensor("input", "FP32", [*shape], values)], {"output": (shape, values)}


def _text(rng: random.Random) -> tuple[list[Tensor], Answered]:
    texts = [_some_text(rng) for _ in range(rng.randint(1, 4))]
    shape = [len(texts), 1]
    return [Tensor("text", "BYTES", [*shape], texts)], {"text": (shape, texts)}


def _per_item(rng: random.Random) -> tuple[list[Tensor], Answered]:
    texts = [rng.choice([b"easy ", b"hard "]) + _some_text(rng) for _ in range(rng.randint(1, 5))]
    shape = [len(texts), 1]
    answered: dict[str, tuple[list[int], list[Any]]] = {"answer": (shape, texts)}
    hard = [index for index, text in enumerate(texts) if text.startswith(b"hard")]
    if hard:
        answered["side"] = ([len(hard), 1], [b"heavy"] * len(hard))
    return [Tensor("text", "BYTES", [*shape], texts)], answered


def _anything(rng: random.Random) -> tuple[list[Tensor], Answered]:
    rows = rng.randint(1, 3)
    tensors = []
    for number in range(rng.randint(1, 3)):
        datatype = rng.choice([*FORMATS, "BYTES"])
        shape = [rows, rng.randint(1, 4)]
        values = [_some_value(rng, datatype) for _ in range(shape[0] * shape[1])]
        tensors.append(Tensor(f"t{number}-{rng.getrandbits(24):x}", datatype, shape, values))
    return tensors, {each.name: ([*each.shape], [*each.values]) for each in tensors}


def _media(name: str, files: Sequence[bytes]) -> Callable[..., tuple[list[Tensor], None]]:
    def make(rng: random.Random) -> tuple[list[Tensor], None]:
        chosen = [rng.choice(files) for _ in range(rng.randint(1, 2))]
        return [Tensor(name, "BYTES", [len(chosen), 1], chosen, text=False)], None

    return make


_MODELS: Sequence[tuple[str, Callable[..., tuple[list[Tensor], Answered | None]]]] = (
    ("numbers", _numbers),
    ("chain", _numbers),
    ("text", _text),
    ("per-item", _per_item),
    ("anything", _anything),
    ("look", _media("image", media.IMAGES)),
    ("listen", _media("audio", media.SOUNDS)),
)


def _some_text(rng: random.Random) -> bytes:
    return f"{rng.choice(['a', 'zwei é', '三', chr(0x1F600)])} {rng.getrandbits(40):x}".encode()


def _some_value(rng: random.Random, datatype: str) -> Any:
    if datatype == "BYTES":
        return _some_text(rng)
    if datatype == "BOOL":
        return rng.random() < 0.5
    if datatype.startswith("FP"):
        return rng.randint(-64, 64) / 8
    return rng.randint(0, 100)
