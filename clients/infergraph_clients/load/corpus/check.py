"""`AnswerCheck`: whether an answer is what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson

from ..configuration import Check
from ..errors import LoadError
from ..v2.payload import Answer, Payload, Tensor, tensor_from_json

Expected = Mapping[str, Tensor]
_FLOATS = ("BF16", "FP16", "FP32", "FP64")


class AnswerCheck:
    """Checks the answers of one process.

    An answer that equals, byte for byte, one that was found right is right: servers echo the
    request's id, which is the payload's index, so most answers are not parsed at all.

    Args:
        level: See `PayloadSource.check`.
        decode: Parses a body; ValueError if it is no V2 answer.
        expected: By payload index, for the level `expected`.
        tolerance: Relative and absolute, of floating point values.
    """

    def __init__(
        self,
        level: Check,
        decode: Callable[[bytes], Answer],
        expected: Sequence[Expected] = (),
        tolerance: float = 1e-3,
    ) -> None:
        self._level = level
        self._decode = decode
        self._tolerance = tolerance
        self._right: dict[int, bytes] = {}
        self._wanted: dict[int, Expected] = dict(enumerate(expected))

    def problem(self, payload: int, body: bytes) -> str | None:
        """What is wrong with the answer to a payload, or None."""
        if self._level == "none" or self._right.get(payload) == body:
            return None
        try:
            answer = self._decode(body)
        except Exception as error:  # protobuf's own error is not a ValueError
            return str(error) or type(error).__name__
        return self.problem_of_answer(payload, answer, body)

    def problem_of_answer(self, payload: int, answer: Answer, body: bytes) -> str | None:
        """As `problem`, for an answer that has been parsed."""
        if self._level not in ("none", "valid"):
            if payload not in self._wanted:
                self._wanted[payload] = answer.tensors
            found = difference(self._wanted[payload], answer.tensors, self._tolerance)
            if found is not None:
                return found
        if answer.trace is None:
            self._right.setdefault(payload, body)
        return None


def difference(wanted: Expected, given: Mapping[str, Tensor], tolerance: float) -> str | None:
    """How answers differ, or None; outputs that are not wanted are not looked at."""
    for name, tensor in wanted.items():
        other = given.get(name)
        if other is None:
            return f"output '{name}' is missing"
        if (other.datatype, other.shape) != (tensor.datatype, tensor.shape):
            return (
                f"output '{name}' is {other.datatype} {list(other.shape)}; wanted: "
                f"{tensor.datatype} {list(tensor.shape)}"
            )
        if isinstance(tensor.values, list) or isinstance(other.values, list):
            same = tensor.values == other.values
        elif tensor.datatype in _FLOATS:
            same = np.allclose(other.values, tensor.values, tolerance, tolerance, equal_nan=True)
        else:
            same = np.array_equal(other.values, tensor.values)
        if not same:
            return f"output '{name}' has another value: {_shown(other)}; wanted: {_shown(tensor)}"
    return None


def read_expected(file: str, payloads: Sequence[Payload]) -> list[Expected]:
    """The expected outputs of each payload.

    Args:
        file: JSON: `{"outputs": [...]}` for all, that by payload name, or a list in their order.
        payloads: What is sent.

    Raises:
        LoadError: the file cannot be read, or lacks a payload.
    """
    try:
        document = orjson.loads(Path(file).read_bytes())
    except OSError as error:
        raise LoadError(f"expected answers '{file}' cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise LoadError(f"expected answers '{file}' are not JSON: {error}") from None
    if isinstance(document, dict) and "outputs" in document:
        answers = [document] * len(payloads)
    elif isinstance(document, dict):
        missing = [each.name for each in payloads if each.name not in document]
        if missing:
            raise LoadError(f"expected answers '{file}' have none for payload '{missing[0]}'")
        answers = [document[each.name] for each in payloads]
    elif isinstance(document, list) and len(document) == len(payloads):
        answers = document
    else:
        raise LoadError(
            f"expected answers '{file}' are not for {len(payloads)} payloads; accepted: an answer, "
            "an object of answers by payload, or a list of as many"
        )
    try:
        return [
            {tensor.name: tensor for tensor in map(tensor_from_json, answer["outputs"])}
            for answer in answers
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"expected answers '{file}': {error}") from None


def _shown(tensor: Tensor) -> str:
    values = tensor.values[:4] if isinstance(tensor.values, list) else tensor.values[:4].tolist()
    more = ", ..." if len(tensor.values) > 4 else ""
    return f"[{', '.join(repr(each)[:60] for each in values)}{more}]"
