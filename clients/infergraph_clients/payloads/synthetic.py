"""Inputs that are made up from a model's metadata, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from infergraph.v2 import NUMPY_DTYPES, Tensor
from infergraph.v2.values import round_to_bf16

from ..errors import UsageError
from .declared import TensorSpec, find_spec
from .payload import Payload

_WORDS = ("a", "bridge", "copper", "of", "letter", "morning", "on", "river", "the", "train")
_ENDS = (0.0, 1.0)


class Synthetic(BaseModel):
    """How inputs are made up.

    Attributes:
        count: Payloads, each with values of its own.
        seed: Of all values.
        batch: The size of a first dimension that is declared as -1.
        shapes: Input -> its shape, in place of the declared one; -1 as in `batch` or 1.
        ranges: Input -> lowest and highest value of numbers. Else floating point values lie from 0
            to 1, and integers from 0 to 100.
        words: Words of each BYTES element.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt = 16
    seed: int = Field(default=0, ge=0)
    batch: PositiveInt = 1
    shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    words: PositiveInt = 12


def make_payloads(settings: Synthetic, inputs: Sequence[TensorSpec]) -> list[Payload]:
    """Payloads of all declared inputs.

    Raises:
        UsageError: the model declares no inputs, or not the one that a setting names; or a range
            is beyond the datatype.
    """
    if not inputs:
        raise UsageError("synthetic inputs need a model whose metadata declare its inputs")
    for name in (*settings.shapes, *settings.ranges):
        find_spec(name, inputs, "input")
    generators = np.random.SeedSequence(settings.seed).spawn(settings.count)
    return [
        Payload(
            f"synthetic-{number}",
            [
                _make(spec, settings, np.random.default_rng(seed))
                for spec, seed in zip(inputs, seeds.spawn(len(inputs)), strict=True)
            ],
        )
        for number, seeds in enumerate(generators)
    ]


def _make(spec: TensorSpec, settings: Synthetic, generator: np.random.Generator) -> Tensor:
    shape = _shape(spec, settings)
    dtype = NUMPY_DTYPES.get(spec.datatype)
    if dtype is None:
        raise UsageError(
            f"input {spec.name!r} is {spec.datatype}; accepted: {', '.join(NUMPY_DTYPES)}"
        )
    if dtype.kind == "O":
        size = int(np.prod(shape, dtype=int))
        drawn = generator.integers(0, len(_WORDS), (size, settings.words))
        texts = [" ".join(_WORDS[word] for word in row).encode() for row in drawn]
        return Tensor.of_bytes(spec.name, texts, shape)
    if dtype.kind == "b":
        return Tensor(spec.name, spec.datatype, generator.random(shape) < 0.5)
    low, high = settings.ranges.get(spec.name, _ENDS if dtype.kind == "f" else (0, 100))
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if not float(limits.min) <= low <= high <= float(limits.max):
        raise UsageError(
            f"input {spec.name!r} is {spec.datatype}, but its range is {low:g} to {high:g}; "
            f"accepted: from {limits.min} to {limits.max}, the lowest value first"
        )
    if dtype.kind != "f":
        values = generator.integers(int(low), int(high), shape, dtype, endpoint=True)
        return Tensor(spec.name, spec.datatype, values)
    numbers = generator.uniform(low, high, shape).astype(dtype)
    if spec.datatype == "BF16":
        numbers = round_to_bf16(numbers)
    return Tensor(spec.name, spec.datatype, numbers)


def _shape(spec: TensorSpec, settings: Synthetic) -> tuple[int, ...]:
    wanted = settings.shapes.get(spec.name)
    if wanted is not None and not spec.fits(wanted):
        raise UsageError(
            f"input {spec.name!r} has shape {list(spec.shape)}, but {list(wanted)} is asked for; "
            "accepted: that shape with sizes for -1"
        )
    sizes = list(wanted if wanted is not None else spec.shape)
    for place, size in enumerate(sizes):
        if size < 0:
            sizes[place] = settings.batch if place == 0 else 1
    return tuple(sizes)
