"""`AnswerCheck`: whether an answer is what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson

from infergraph.v2 import Tensor, rest

from ...payloads import Payload
from ...transports import Answer, Exchange
from ..configuration import Check
from ..errors import LoadError

Expected = Mapping[str, Tensor]


class AnswerCheck:
    """Checks the answers of one process.

    An answer that equals, byte for byte but for the request's id, one that was found right is
    right: so most answers are not parsed at all.

    Args:
        level: See `PayloadSource.check`.
        decode: Parses an answer; ValueError if it is none of V2.
        expected: By payload index, answers in V2 JSON, for the level `expected`.
        tolerance: Relative and absolute, of floating point values.
    """

    def __init__(
        self,
        level: Check,
        decode: Callable[[Exchange], Answer],
        expected: Sequence[bytes] = (),
        tolerance: float = 1e-3,
    ) -> None:
        self._level = level
        self._decode = decode
        self._tolerance = tolerance
        self._right: dict[int, bytes] = {}
        self._wanted: dict[int, Expected] = dict(enumerate(map(_outputs, expected)))

    def problem(self, exchange: Exchange) -> str | None:
        """What is wrong with an answer, or None."""
        if self._level == "none":
            return None
        body = exchange.body
        if exchange.id:
            body = body.replace(exchange.id, b"", -1 if exchange.answers else 1)
        if self._right.get(exchange.payload) == body:
            return None
        try:
            answer = self._decode(exchange)
        except Exception as error:  # protobuf's own error is not a ValueError
            return str(error) or type(error).__name__
        return self._problem_of(exchange.payload, answer, body)

    def problem_of_answer(self, exchange: Exchange, answer: Answer) -> str | None:
        """As `problem`, for an answer that has been parsed."""
        return self._problem_of(exchange.payload, answer, None)

    def _problem_of(self, payload: int, answer: Answer, body: bytes | None) -> str | None:
        if self._level not in ("none", "valid"):
            tensors = {tensor.name: tensor for tensor in answer.tensors}
            found = difference(self._wanted.setdefault(payload, tensors), tensors, self._tolerance)
            if found is not None:
                return found
        if body is not None and answer.trace is None:
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
        if tensor.data.dtype.kind == "f":
            same = np.allclose(other.data, tensor.data, tolerance, tolerance, equal_nan=True)
        else:
            same = np.array_equal(other.data, tensor.data)
        if not same:
            return f"output '{name}' has another value: {_shown(other)}; wanted: {_shown(tensor)}"
    return None


def read_expected(file: str, payloads: Sequence[Payload]) -> list[bytes]:
    """The expected answer to each payload, in V2 JSON.

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
    texts = [orjson.dumps(answer) for answer in answers]
    try:
        empty = not all(map(_outputs, texts))
    except (ValueError, TypeError) as error:
        raise LoadError(f"expected answers '{file}': {error}") from None
    if empty:
        raise LoadError(
            f"expected answers '{file}' have one without outputs, which any answer would be; "
            "accepted: one output or more"
        )
    return texts


def _outputs(answer: bytes) -> Expected:
    message, _ = rest.decode_response(answer, None, "")
    return {tensor.name: tensor for tensor in message.tensors}


def _shown(tensor: Tensor) -> str:
    values = tensor.data.reshape(-1)[:4].tolist()
    more = ", ..." if tensor.data.size > 4 else ""
    return f"[{', '.join(repr(each)[:60] for each in values)}{more}]"
