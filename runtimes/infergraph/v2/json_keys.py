"""JSON as orjson reads it, but without keys that come twice in an object: it keeps the last."""

from __future__ import annotations

import json
from typing import Any

import orjson

_SHOWN = 80


def parse(text: bytes) -> Any:
    """The value of a text; ValueError when it is not JSON, or an object in it has a key twice.

    Counting is cheap: a text has a colon for each key, and its value a key less where two are
    equal.
    """
    value = orjson.loads(text)
    colons = text.count(b":")
    if not colons or colons == (keys := _keys_of_v2(value)):
        return value
    # There are colons in strings, objects where V2 has none, or equal keys.
    colons = b"".join(without_escaped_quotes(text).split(b'"')[::2]).count(b":")
    if colons != keys and colons != _count_keys(value):
        raise ValueError(repeated(_repeated_key(text)))
    return value


def _keys_of_v2(value: Any) -> int:
    """How many keys the objects of a value have, as far as they stand where V2 has objects."""
    if type(value) is not dict:
        return 0
    keys = len(value)
    for member in value.values():
        if type(member) is dict:
            keys += len(member)
        elif type(member) is list:
            for tensor in member:
                if type(tensor) is not dict:
                    break
                keys += len(tensor)
                for field in tensor.values():
                    if type(field) is dict:
                        keys += len(field)
    return keys


def _count_keys(value: Any) -> int:
    """How many keys all objects of a value have."""
    keys = 0
    pending = [value]
    for each in pending:
        if type(each) is dict:
            keys += len(each)
            pending += each.values()
        elif type(each) is list:
            pending += each
    return keys


def _repeated_key(text: bytes) -> str | None:
    """The first key that an object of a valid text has twice."""
    found: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    try:
        json.loads(text, object_pairs_hook=check, parse_float=str, parse_int=str)
    except RecursionError:
        return None
    return found[0] if found else None


def repeated(key: str | None) -> str:
    """What the error of a repeated key says."""
    shown = "" if key is None else f" '{key[:_SHOWN]}'"
    return f"an object has the key{shown} twice; accepted: each key once"


def without_escaped_quotes(text: bytes) -> bytes:
    """A text of the same length; it must not begin within an escape."""
    if b"\\" not in text:
        return text
    # From the left, so that of a run of backslashes a last odd one alone is an escape.
    return text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
