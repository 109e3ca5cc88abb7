"""Lists of values, as JSON and typed gRPC contents give them, as arrays. Nothing is cast.

A list is read in slices, so that no step holds the interpreter lock for long, and its types are
checked before numpy sees it: numpy would pad every string to the longest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MalformedRequest
from .tensor import NUMPY_DTYPES

SLICE = 65_536
"""How many elements are converted at once: a millisecond or two."""

_FLOATS = frozenset({int, float, type(None)})
_TEXTS = frozenset({str, bytes})
_ACCEPTED = {
    "f": _FLOATS,
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "O": _TEXTS,
}
_WORDS = {
    "f": "numbers",
    "i": "integers",
    "u": "integers from 0",
    "b": "true or false",
    "O": "strings",
}
_UNSIGNED_END = 2**64


class Elements:
    """The scalars of a list of any nesting, in row-major order.

    Attributes:
        count: The length of the outermost list.
        row: The shape of each of its elements, () for scalars; None before the first one.
        uneven: Whether the elements differ in shape. Then there are no pieces.
        pieces: The scalars, as arrays of numbers or of booleans, or as lists of UTF-8. Numbers are
            INT64, or UINT64 or objects where those are too small, when all of a piece are integers,
            else FP64 with NaN for null. None at all when the kinds cannot be of one datatype.
        samples: The first value of each Python type among the scalars.
    """

    __slots__ = ("count", "pieces", "row", "samples", "uneven")

    def __init__(self) -> None:
        self.count = 0
        self.row: tuple[int, ...] | None = None
        self.uneven = False
        self.pieces: list[npt.NDArray[Any] | list[bytes]] = []
        self.samples: dict[type, Any] = {}

    @classmethod
    def of(cls, values: list[Any]) -> Elements:
        """The scalars of a list, read in slices of about `SLICE`."""
        elements = cls()
        step = SLICE
        first = values[0] if values else None
        while type(first) is list and first:
            step = max(1, step // len(first))
            first = first[0]
        if len(values) <= step:
            elements.extend(values)
        else:
            for start in range(0, len(values), step):
                elements.extend(values[start : start + step])
        return elements

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the nested lists, outermost first; of even ones only."""
        return (self.count, *(self.row or ()))

    @property
    def regular(self) -> bool:
        """Whether an array of one datatype could hold the scalars."""
        return not self.uneven and any(
            kinds.issuperset(self.samples) for kinds in _ACCEPTED.values()
        )

    def extend(self, values: list[Any]) -> None:
        """Takes further elements of the outermost list.

        Raises:
            UnicodeEncodeError: a string has no UTF-8 form.
        """
        self.count += len(values)
        row: list[int] = []
        kinds = _kinds(values)
        while kinds == {list}:
            sizes = set(map(len, values))
            if len(sizes) > 1:
                self._give_up()
                return
            row.append(sizes.pop())
            values = list(chain.from_iterable(values))
            kinds = _kinds(values)
        if self._take_shape(tuple(row)) and list not in kinds:
            for kind in kinds.difference(self.samples):
                self.samples[kind] = next(value for value in values if type(value) is kind)
            self._take_pieces([_piece(values, kinds)] if values else [])
        else:
            self._give_up()

    def append(self, other: Elements) -> None:
        """Takes one further element of the outermost list, itself a list."""
        self.count += 1
        if self._take_shape(other.shape) and not other.uneven:
            self.samples = {**other.samples, **self.samples}
            self._take_pieces(other.pieces)
        else:
            self._give_up()

    def _take_shape(self, row: tuple[int, ...]) -> bool:
        if self.row is None:
            self.row = row
        return row == self.row and not self.uneven

    def _take_pieces(self, pieces: list[npt.NDArray[Any] | list[bytes]]) -> None:
        if self.regular:
            self.pieces += pieces
        else:
            self.pieces.clear()

    def _give_up(self) -> None:
        self.uneven = True
        self.pieces.clear()


class LargeList:
    """A JSON array that is too large to be a list: its scalars as `Elements`, or its text.

    It is as long as the list would be, and gives its elements as JSON does, each time anew, for
    those who need neither `elements` nor an array.

    Args:
        elements: The array's scalars.
        runs: Gives the array's elements, some at a time. One with a LargeList in it comes alone.
    """

    __slots__ = ("_runs", "elements")

    def __init__(self, elements: Elements, runs: Callable[[], Iterator[list[Any]]]) -> None:
        self.elements = elements
        self._runs = runs

    def __len__(self) -> int:
        return self.elements.count

    def __repr__(self) -> str:
        # As errors show it.
        return f"a list of {len(self)} values"

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._runs())

    def runs(self) -> Iterator[list[Any]]:
        """The elements in order, some at a time."""
        return self._runs()


def plain(value: Any) -> Any:
    """A value of JSON with a list, however large, for each LargeList in it."""
    root = [value]
    pending: list[tuple[Any, Any]] = [(root, 0)]
    while pending:
        place, key = pending.pop()
        inner = place[key]
        if isinstance(inner, LargeList):
            values: list[Any] = []
            for run in inner.runs():
                if len(run) == 1:
                    pending.append((values, len(values)))
                values += run
            place[key] = values
        elif isinstance(inner, dict):
            place[key] = members = dict(inner)
            pending += [(members, name) for name in members]
        elif isinstance(inner, list):
            place[key] = values = list(inner)
            pending += [(values, index) for index in range(len(values))]
    return root[0]


def array_from_list(
    name: str, datatype: str, values: list[Any] | LargeList, rank: int
) -> npt.NDArray[Any]:
    """A flat or nested list as a flat array of its datatype.

    Args:
        name: The tensor's name, for error texts.
        datatype: A V2 datatype. Values of BF16 are rounded to it, and held as float32.
        values: Flat, or nested to at most `rank` levels.
        rank: The number of dimensions of the tensor's shape.

    JSON has no NaN: in a floating-point tensor null stands for it, as in answers.

    Raises:
        MalformedRequest: a value is not of the datatype, or out of its range, or the nesting is
            ragged.
    """
    dtype = np.dtype(np.float32) if datatype == "BF16" else NUMPY_DTYPES[datatype]
    accepted = _ACCEPTED[dtype.kind]
    try:
        if isinstance(values, LargeList):
            elements = values.elements
        elif 0 < len(values) <= SLICE and accepted.issuperset(kinds := _kinds(values)):
            # Most lists are short and flat: without Elements they take half the time.
            return _joined(name, datatype, dtype, [_piece(values, kinds)])
        else:
            elements = Elements.of(values)
    except UnicodeEncodeError:
        raise MalformedRequest(
            f"tensor '{name}': a string holds a lone surrogate, which has no UTF-8 form"
        ) from None
    if elements.uneven:
        raise MalformedRequest(f"tensor '{name}': data is nested unevenly")
    depth = len(elements.shape)
    if depth > max(rank, 1):
        raise MalformedRequest(
            f"tensor '{name}': data is nested {depth} deep, but its shape has {rank} dimensions"
        )
    if not accepted.issuperset(elements.samples):
        kind, value = next(each for each in elements.samples.items() if each[0] not in accepted)
        raise MalformedRequest(
            f"tensor '{name}' has datatype {datatype}, but data holds {_words(kind, value)}; "
            f"accepted: {_WORDS[dtype.kind]}"
        )
    return _joined(name, datatype, dtype, elements.pieces)


def check_nesting(name: str, values: list[Any] | LargeList, shape: Sequence[int]) -> None:
    """Checks that nested lists are nested as the shape says; flat ones fit any shape.

    Raises:
        MalformedRequest: another nesting.
    """
    if isinstance(values, LargeList):
        nested = [] if values.elements.uneven else list(values.elements.shape)
    else:
        nested = []
        inner: Any = values
        while isinstance(inner, list):
            nested.append(len(inner))
            inner = inner[0] if inner else None
    if len(nested) > 1 and nested != list(shape):
        raise MalformedRequest(
            f"tensor '{name}': data is nested as {nested}, but its shape is {list(shape)}; "
            "accepted: that nesting, or a flat list"
        )


def _joined(
    name: str,
    datatype: str,
    dtype: np.dtype[Any],
    pieces: list[npt.NDArray[Any] | list[bytes]],
) -> npt.NDArray[Any]:
    """Pieces as one array of the datatype; MalformedRequest when a number is beyond its range."""
    if len(pieces) == 1 and dtype.kind != "O":
        return _cast(name, datatype, dtype, pieces[0])
    array = np.empty(sum(map(len, pieces)), dtype)
    end = 0
    for piece in pieces:
        start, end = end, end + len(piece)
        array[start:end] = piece if dtype.kind == "O" else _cast(name, datatype, dtype, piece)
    return array


def _kinds(values: list[Any]) -> set[type]:
    """The types of the values. Most lists have one, and counting it is faster than a set."""
    types = list(map(type, values))
    if types and types.count(types[0]) == len(types):
        return {types[0]}
    return set(types)


def _piece(values: list[Any], kinds: set[type]) -> npt.NDArray[Any] | list[bytes]:
    """Scalars of these types as a piece of `Elements`; an empty one if they do not go together."""
    try:
        if kinds == {int}:
            return np.fromiter(values, np.int64, len(values))
        if kinds == {float} or kinds == {int, float}:
            return np.fromiter(values, np.float64, len(values))
        if kinds <= _FLOATS:
            return np.array(values, np.float64)  # which reads None as NaN, fromiter does not
    except OverflowError:
        if kinds == {int} and min(values) >= 0 and max(values) < _UNSIGNED_END:
            return np.fromiter(values, np.uint64, len(values))
        return np.array(values, object)
    if kinds == {bool}:
        return np.fromiter(values, np.bool_, len(values))
    if kinds == {str}:
        return list(map(str.encode, values))
    if kinds <= _TEXTS:
        return [value.encode() if isinstance(value, str) else value for value in values]
    return []


def _cast(
    name: str, datatype: str, dtype: np.dtype[Any], piece: npt.NDArray[Any] | list[bytes]
) -> npt.NDArray[Any]:
    """One piece of numbers or booleans as an array of the datatype, as `_joined`."""
    assert isinstance(piece, np.ndarray)
    if dtype.kind == "b":
        return piece
    if dtype.kind != "f":
        if piece.dtype != dtype:
            limits = np.iinfo(dtype)
            low, high = int(piece.min()), int(piece.max())
            if low < limits.min or high > limits.max:
                raise MalformedRequest(
                    f"tensor '{name}': {low if low < limits.min else high} is out of the range of "
                    f"{datatype}, {limits.min} to {limits.max}"
                )
        return piece.astype(dtype, copy=False)
    try:
        # Integers too go by way of FP64, as they do beside fractions: a value must not depend on
        # its neighbours.
        wide = piece.astype(np.float64, copy=False)
    except (OverflowError, TypeError):
        raise MalformedRequest(
            f"tensor '{name}': an integer is out of the range of {datatype}"
        ) from None
    if dtype.itemsize == 8:
        return wide
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype)
    if datatype == "BF16":
        narrow = round_to_bf16(narrow)
    beyond = np.isinf(narrow)
    if beyond.any():
        beyond &= np.isfinite(wide)
        if beyond.any():
            raise MalformedRequest(
                f"tensor '{name}': {wide[beyond][0]!s} is out of the range of {datatype}"
            )
    return narrow


def round_to_bf16(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The nearest bfloat16 of each float32, half-way cases to even; NaN stays NaN of its sign."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    upper = np.uint32(0xFFFF0000)
    nearest = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & upper
    nan = np.isnan(bits.view(np.float32))
    if nan.any():
        # The carry of a NaN's payload would make it another value, and so would a lost payload.
        kept = bits[nan] & upper
        kept[kept & np.uint32(0x7FFFFF) == 0] |= np.uint32(0x400000)
        nearest[nan] = kept
    rounded: npt.NDArray[np.float32] = nearest.view(np.float32)
    return rounded


def _words(kind: type, value: Any) -> str:
    """A value as an error text shows it: a string, list or object may be long, and is not shown."""
    if kind is bool:
        return f"{str(value).lower()} (a boolean)"
    if kind in (int, float):
        return f"{value!r} ({'an integer' if kind is int else 'a floating-point number'})"
    if value is None:
        return "null"
    if kind in _TEXTS:
        return "a string"
    return "an object" if kind is dict else f"a {kind.__name__}"
