"""Tensors from `NAME=value` and `NAME=@file` arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph.errors import MalformedRequest
from infergraph.v2 import NUMPY_DTYPES, Tensor, datatype_of
from infergraph.v2.values import array_from_list, check_nesting

from ..errors import UsageError
from .declared import TensorSpec, find_spec

HELP = """\
inputs:
  text="Some text"       text; for a numeric input a JSON value, as numbers="[1.5, 2]"
  audio=@question.wav    a file as it is: WAV, FLAC, MP3, OGG, JPEG, PNG, ...
  pixels=@pixels.npy     a typed tensor, or one item of it
  text=@article.txt      the text of a file; @@ starts a text with @
  text=one text=two      a name given several times makes a batch
"""
"""The grammar, for the help of the commands."""


@dataclass(frozen=True)
class Given:
    """One argument.

    Attributes:
        name: The input's.
        source: What the user wrote, for error messages: the file, or the text.
        value: `str` for text, `bytes` for an encoded file, an array for a .npy file.
    """

    name: str
    source: str
    value: str | bytes | npt.NDArray[Any]


def parse_input(argument: str) -> Given:
    """Reads one argument, and its file. A text that starts with @ is written with @@.

    Raises:
        UsageError: it is no such argument, or its file cannot be read.
    """
    name, equals, text = argument.partition("=")
    if not equals or not name:
        raise UsageError(f"{argument!r} is no input; accepted: NAME=text, NAME=@file")
    if text.startswith("@") and not text.startswith("@@"):
        return Given(name, text[1:], read_file(Path(text[1:])))
    text = text.removeprefix("@") if text.startswith("@@") else text
    return Given(name, repr(text if len(text) <= 40 else f"{text[:37]}..."), text)


def read_file(path: Path) -> str | bytes | npt.NDArray[Any]:
    """What a file holds: an array of a .npy, text of a .txt, else its bytes as they are.

    Raises:
        UsageError: it cannot be read, is empty, or is not what its name says.
    """
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
        content = path.read_bytes()
        if path.suffix == ".txt":
            # The last line's end belongs to the file, not to the text.
            return content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None
    except (ValueError, EOFError):
        raise UsageError(f"{path} is not an array that numpy.save has written") from None
    if not content:
        raise UsageError(f"{path} is empty")
    return content


def build_tensors(given: Sequence[Given], specs: Sequence[TensorSpec]) -> list[Tensor]:
    """One tensor for each name; what a name was given several times becomes a batch.

    Args:
        given: The arguments in order.
        specs: The model's declared inputs. Without any, text and encoded files become BYTES of
            shape [items, 1], and arrays stay as they are.

    Raises:
        UsageError: an unknown name, or a value that the declared tensor cannot hold.
    """
    by_name: dict[str, list[Given]] = {}
    for each in given:
        by_name.setdefault(each.name, []).append(each)
    return [
        _with_spec(values, find_spec(name, specs, "input")) if specs else _without_spec(values)
        for name, values in by_name.items()
    ]


def _without_spec(given: Sequence[Given]) -> Tensor:
    name = given[0].name
    arrays = [each.value for each in given if isinstance(each.value, np.ndarray)]
    if not arrays:
        return Tensor.of_bytes(name, _encoded(given))
    if len(arrays) < len(given):
        raise UsageError(f"input {name!r}: .npy files and other values cannot be one tensor")
    return Tensor.of(name, _joined(name, [_known(each) for each in given]))


def _with_spec(given: Sequence[Given], spec: TensorSpec) -> Tensor:
    if spec.datatype not in NUMPY_DTYPES:
        accepted = ", ".join(NUMPY_DTYPES)
        raise UsageError(f"input {spec.name!r} is {spec.datatype}; accepted: {accepted}")
    if spec.datatype == "BYTES" and not any(isinstance(each.value, np.ndarray) for each in given):
        return Tensor.of_bytes(spec.name, _encoded(given), (-1, *(1,) * (len(spec.shape) - 1)))
    data = _joined(spec.name, [_rows(_typed(each, spec), spec, each.source) for each in given])
    return Tensor(spec.name, spec.datatype, data)


def _encoded(given: Sequence[Given]) -> list[bytes]:
    values = [each.value for each in given if not isinstance(each.value, np.ndarray)]
    # An argument that is no text is sent as the bytes that it is.
    return [
        value.encode(errors="surrogateescape") if isinstance(value, str) else value
        for value in values
    ]


def _known(given: Given) -> npt.NDArray[Any]:
    """The array of a .npy file in a type that V2 has."""
    array = given.value
    assert isinstance(array, np.ndarray)
    if array.dtype.kind in "SU":
        texts = [str(each) if array.dtype.kind == "U" else bytes(each) for each in array.ravel()]
        values = [text.encode() if isinstance(text, str) else text for text in texts]
        return Tensor.of_bytes("", values, array.shape).data
    try:
        datatype_of(array.dtype)
    except ValueError:
        dtypes = dict.fromkeys(str(each) for each in NUMPY_DTYPES.values() if each.kind != "O")
        accepted = ", ".join(dtypes)
        raise UsageError(f"{given.source} holds {array.dtype}; accepted: {accepted}") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _typed(given: Given, spec: TensorSpec) -> npt.NDArray[Any]:
    """A value as an array of the declared datatype."""
    wanted = f"input {spec.name!r} is {spec.datatype} {list(spec.shape)}"
    if isinstance(given.value, np.ndarray):
        array, dtype = _known(given), NUMPY_DTYPES[spec.datatype]
        if array.dtype != dtype:
            raise UsageError(
                f"{wanted}, but {given.source} holds {array.dtype}"
                + (f"; save it with .astype({str(dtype)!r})" if dtype.kind != "O" else "")
            )
        return array
    if spec.datatype == "BYTES" or isinstance(given.value, bytes):
        raise UsageError(f"{wanted}; accepted: a .npy file or a JSON value, not {given.source}")
    try:
        return _numbers(json.loads(given.value), spec)
    except (ValueError, MalformedRequest):
        raise UsageError(
            f"{wanted}, but {given.source} is no such value; accepted: a .npy file or a JSON "
            "value, as 1.5 or [1, 2]"
        ) from None


def _numbers(value: Any, spec: TensorSpec) -> npt.NDArray[Any]:
    """A JSON value as an array of its own shape; a null is NaN."""
    values = value if isinstance(value, list) else [value]
    shape: list[int] = []
    inner: Any = values
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    check_nesting(spec.name, values, shape)
    array = array_from_list(spec.name, spec.datatype, values, len(shape))
    return array.reshape(shape if isinstance(value, list) else ())


def _rows(array: npt.NDArray[Any], spec: TensorSpec, source: str) -> npt.NDArray[Any]:
    """A part of the batch, from an array that is one or that is a single item."""
    if array.ndim == len(spec.shape):
        return array
    if array.ndim == len(spec.shape) - 1:
        return array[np.newaxis]
    if array.ndim == 0:
        return array.reshape((1,) * len(spec.shape))
    raise UsageError(
        f"input {spec.name!r}: {source} has shape {list(array.shape)}; accepted: "
        f"{list(spec.shape)}, where -1 is any size, or {list(spec.shape[1:])} for one item"
    )


def _joined(name: str, parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    if any(part.ndim == 0 or part.shape[1:] != parts[0].shape[1:] for part in parts):
        shapes = ", ".join(str(list(part.shape)) for part in parts)
        raise UsageError(f"input {name!r}: arrays of shapes {shapes} cannot be one batch")
    if any(part.dtype != parts[0].dtype for part in parts):
        dtypes = ", ".join(sorted({str(part.dtype) for part in parts}))
        raise UsageError(f"input {name!r}: arrays of {dtypes} cannot be one batch")
    return np.concatenate(parts)
