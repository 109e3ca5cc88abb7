"""A reader of JSON that hands orjson one slice of the text after the other.

A slice is cut at a comma of the array or object that it is in, found by counting brackets outside
of strings, and gets brackets of its own. The whole is JSON if and only if every slice is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from .json_keys import parse, repeated, without_escaped_quotes
from .values import Elements, LargeList

SLICE = 131_072
"""Bytes of text that are parsed or written at once: a millisecond or two."""

# orjson's own limit is 1024, but each level of a small element costs as much as a slice.
# Tensors have 32 dimensions at most.
_DEEPEST = 64
_CROWD = 500  # lists and objects made at once, see Reader._look
_LONGEST_NUMBER = SLICE
_LONGEST_STRING = 16 * 2**20
_LARGEST_OBJECTS = 2**20

_SPACE = b" \t\n\r"
_QUOTE, _COMMA, _COLON = b'",:'
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]*")
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
# The change of depth at each byte, modulo 256.
_STEPS = bytes({91: 1, 123: 1, 93: 255, 125: 255}.get(byte, 0) for byte in range(256))


class _OpenArray:
    """An array that is being read."""

    closing = _CLOSING[ord("[")]

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.elements = Elements()
        # In order: where a run of elements stands in the body, or one large element.
        self._parts: list[tuple[int, int] | list[Any]] = []
        self._text = 0
        self.filled = False

    def take(self, start: int, end: int) -> bool:
        """Takes the elements of a piece of the body; whether there were any."""
        values = self._reader.parse(b"[", start, end, b"]")
        if values:
            self.elements.extend(values)
            self._parts.append((start, end))
            self._text += end - start
            self.filled = True
        return bool(values)

    def add(self, value: Any) -> None:
        """Takes one large element."""
        if isinstance(value, LargeList):
            self.elements.append(value.elements)
        else:
            self.elements.extend([value])
        self._parts.append([value])
        self.filled = True

    def value(self) -> Any:
        """The array: a list if it is one of objects, as `inputs` is, and has few small ones."""
        elements = self.elements
        whole = LargeList(elements, self._runs)
        objects = dict in elements.samples and elements.row == () and not elements.uneven
        few = self._text <= self._reader.slice_size and self._reader.has_room(self._text)
        if not (objects and few):
            return whole
        self._reader.keep(self._text)
        return list(whole)

    def _runs(self) -> Iterator[list[Any]]:
        for part in self._parts:
            if isinstance(part, tuple):
                yield self._reader.parse(b"[", *part, b"]")
            elif isinstance(part[0], bytes):
                yield [part[0].decode()]
            else:
                yield part


class _OpenObject:
    """An object that is being read."""

    closing = _CLOSING[ord("{")]

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._members: dict[str, Any] = {}
        self.key = ""
        self.filled = False

    def take(self, start: int, end: int) -> bool:
        """Takes the members of a piece of the body; whether there were any."""
        members = self._reader.parse(b"{", start, end, b"}")
        self._reader.keep(end - start)
        if not self._members.keys().isdisjoint(members):
            key = next(key for key in members if key in self._members)
            raise ValueError(repeated(key))
        self._members.update(members)
        self.filled = self.filled or bool(members)
        return bool(members)

    def add(self, value: Any) -> None:
        """Takes one large member, of the key that was read last."""
        if self.key in self._members:
            raise ValueError(repeated(self.key))
        self._members[self.key] = value
        self.filled = True

    def value(self) -> dict[str, Any]:
        return self._members


class Reader:
    """Reads a large text from its start to its end; `open` are the containers that it is within.

    Args:
        body: The text.
        slice_size: How much of it is parsed at once.
    """

    def __init__(self, body: bytes, slice_size: int) -> None:
        self.slice_size = slice_size
        self._window = slice_size
        self._body = body
        self._at = 0
        self._open: list[_OpenArray | _OpenObject] = []
        self._kept = 0

    def document(self) -> Any:
        """The value of the text, of which nothing else is left."""
        value = self._begin()
        while self._open:
            self._skip_space()
            value = self._advance()
        self._skip_space()
        if self._at < len(self._body):
            raise self._unexpected("the end of the text")
        return value

    def parse(self, opening: bytes, start: int, end: int, closing: bytes) -> Any:
        """A piece of the body between brackets of its own."""
        try:
            return parse(opening + self._body[start:end] + closing)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{error.msg}: near byte {start + error.pos - len(opening)}") from None

    def has_room(self, size: int) -> bool:
        """Whether that much more text may become Python objects that stay."""
        return self._kept + size <= _LARGEST_OBJECTS

    def keep(self, size: int) -> None:
        """Counts text that becomes Python objects that stay; ValueError when it is too much."""
        if not self.has_room(size):
            raise ValueError(
                f"the members of objects take more than {_LARGEST_OBJECTS} bytes; accepted: a text "
                "that is large by its arrays of numbers, booleans or strings"
            )
        self._kept += size

    def _advance(self) -> Any:
        """Reads on in the innermost container; its value once it ends, and of those it ends."""
        container = self._open[-1]
        cut, levels = self._cut(container)
        if cut is None:
            value = self._descend(levels)
            return None if value is _OPENED else self._end_element(value)
        taken = container.take(self._at, cut)
        closing = self._body[cut] != _COMMA
        if not taken and (container.filled or not closing):
            raise ValueError(f"a value is missing: near byte {cut}")
        self._at = cut + 1
        if not closing:
            return None
        if self._body[cut] != container.closing:
            self._at = cut
            raise self._unexpected(f"',' or '{chr(container.closing)}'")
        self._open.pop()
        return self._end_element(container.value())

    def _end_element(self, value: Any) -> Any:
        """Adds a large value to the container that it is in, and ends those that end after it."""
        while self._open:
            container = self._open[-1]
            container.add(value)
            self._skip_space()
            char = self._peek()
            if char == _COMMA:
                self._at += 1
                return None
            if char != container.closing:
                raise self._unexpected(f"',' or '{chr(container.closing)}'")
            self._at += 1
            self._open.pop()
            value = container.value()
        return value

    def _descend(self, levels: int) -> Any:
        """Opens that many containers, one in the other; or reads a long scalar in their place."""
        value = _OPENED
        while value is _OPENED:
            container = self._open[-1]
            if isinstance(container, _OpenObject):
                container.key = self._key()
            value = self._begin()
            levels -= 1
            if levels <= 0:
                break
        return value

    def _begin(self) -> Any:
        """Opens the container that begins here, or reads the scalar."""
        self._skip_space()
        char = self._peek()
        if char in _CLOSING:
            if len(self._open) == _DEEPEST:
                raise self._too_deep()
            self._open.append(_OpenArray(self) if char == ord("[") else _OpenObject(self))
            self._at += 1
            return _OPENED
        if char == _QUOTE:
            if self._open and isinstance(self._open[-1], _OpenArray):
                # Bytes, as tensors hold texts, are joined without the interpreter lock.
                return b"".join([piece.encode() for piece in self._string()])
            return self._kept_string()
        scalar = _SCALAR.match(self._body, self._at, self._at + _LONGEST_NUMBER + 1)
        assert scalar is not None
        start, end = scalar.span()
        if end - start > _LONGEST_NUMBER:
            raise ValueError(
                f"a number has more than {_LONGEST_NUMBER} characters: near byte {start}"
            )
        if start == end:
            raise self._unexpected("a JSON value")
        self._at = end
        return self.parse(b"", start, end, b"")

    def _key(self) -> str:
        """The key that begins here; leaves its colon behind."""
        self._skip_space()
        if self._peek() != _QUOTE:
            raise self._unexpected("a key in quotes")
        key = self._kept_string()
        self._skip_space()
        if self._peek() != _COLON:
            raise self._unexpected("':'")
        self._at += 1
        return key

    def _kept_string(self) -> str:
        """The string that begins here, outside of an array."""
        start = self._at
        pieces = []
        for piece in self._string():
            pieces.append(piece)
            if self._at - start > _LONGEST_STRING:
                raise ValueError(
                    f"a string outside of arrays has more than {_LONGEST_STRING} bytes: "
                    f"near byte {start}"
                )
        return "".join(pieces)

    def _string(self) -> Iterator[str]:
        """The pieces of the string that begins here."""
        self._at += 1
        ended = False
        while not ended:
            text = self._body[self._at : self._at + self.slice_size]
            plain = without_escaped_quotes(text)
            end = plain.find(b'"')
            ended = end >= 0
            if not ended:
                end = self._string_cut(plain)
                if end <= 0:
                    raise ValueError(f"a string has no end: near byte {self._at}")
            yield self.parse(b'"', self._at, self._at + end, b'"')
            self._at += end + ended

    def _string_cut(self, plain: bytes) -> int:
        """Where a string may be cut: within neither an escape nor a character of UTF-8."""
        end = len(plain)
        if self._at + end >= len(self._body):
            return 0
        escape = plain.rfind(b"\\", max(end - 6, 0))
        if escape >= 0:
            end = escape
        if _HIGH_SURROGATE.match(plain, max(end - 6, 0)):
            return end - 6
        for _ in range(3):
            if self._body[self._at + end] & 0xC0 == 0x80:
                end -= 1
        return end

    def _cut(self, container: _OpenArray | _OpenObject) -> tuple[int | None, int]:
        """Where whole elements of the innermost container end, within the next slice.

        Returns:
            The position of the container's last comma in the slice, or of its end. None when
            the next element is larger than the slice: then also how many of the containers that
            begin here, each the first in the other, are larger than it.
        """
        start = self._at
        text = self._look(container)
        if not text:
            raise self._unexpected(f"'{chr(container.closing)}'")
        if isinstance(container, _OpenArray) and not (b'"' in text or b"[" in text or b"{" in text):
            # Scalars alone: the common case, without the work of the general one.
            end = text.find(b"]")
            if end < 0:
                end = text.rfind(b",")
            return (None, 0) if end < 0 else (start + end, 0)
        plain = without_escaped_quotes(text)
        codes = np.frombuffer(plain, np.uint8)
        steps = np.frombuffer(plain.translate(_STEPS), np.int8)
        commas = codes == _COMMA
        if b'"' in plain:
            # A quote inverts whether what follows is in a string; uint8 wraps at an even number.
            outside = np.cumsum(codes == _QUOTE, dtype=np.uint8) & np.uint8(1) == 0
            steps = steps * outside
            commas &= outside
        depths = np.cumsum(steps, dtype=np.int32)
        below = depths < 0
        closed = int(below.argmax())
        if below[closed]:
            cut = closed
        else:
            own = np.flatnonzero(commas & (depths == 0))
            if not own.size:
                inner = depths[commas]
                return None, int(inner.min() if inner.size else depths[-1])
            cut = int(own[-1])
        if len(self._open) + int(depths[: cut + 1].max()) > _DEEPEST:
            raise self._too_deep()
        return start + cut, 0

    def _look(self, container: _OpenArray | _OpenObject) -> bytes:
        """The next slice of the text."""
        if isinstance(container, _OpenObject):
            # Objects have few members: a small slice finds the large ones among them early.
            return self._body[self._at : self._at + max(self.slice_size // 16, 16)]
        # Where lists and objects crowd, a smaller one. They are dropped after each slice, but some
        # ten thousand at a time would have the garbage collector walk the whole process, with the
        # interpreter lock, again and again.
        while True:
            text = self._body[self._at : self._at + self._window]
            crowd = text.count(b"[") + text.count(b"{")
            if crowd <= _CROWD:
                break
            self._window //= 2
        if crowd < _CROWD // 4:
            self._window = min(self._window * 2, self.slice_size)
        return text

    def _skip_space(self) -> None:
        body = self._body
        while self._at < len(body) and body[self._at] in _SPACE:
            text = body[self._at : self._at + self.slice_size]
            self._at += len(text) - len(text.lstrip(_SPACE))

    def _peek(self) -> int:
        """The next byte, 0 at the end of the text."""
        return self._body[self._at] if self._at < len(self._body) else 0

    def _unexpected(self, accepted: str) -> ValueError:
        if self._at >= len(self._body):
            return ValueError(f"unexpected end of data: byte {self._at}; accepted: {accepted}")
        return ValueError(f"unexpected character: byte {self._at}; accepted: {accepted}")

    def _too_deep(self) -> ValueError:
        return ValueError(f"nested more than {_DEEPEST} deep: near byte {self._at}")


_OPENED = object()
