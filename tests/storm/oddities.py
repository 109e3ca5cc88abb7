"""Odd names, texts, numbers and JSON values, and changed bytes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

from .tensors import FORMATS, Tensor

UNHEARD_OF = "never-"
"""How a name begins that one request made up; no server may remember it."""
_RAW = "raw-json:"
_RAW_VALUE = re.compile(rf'"{_RAW}((?:[^"\\]|\\.)*)"')
_DEEP = (50, 50, 50, 500, 20_000)
MODELS = ("numbers", "text", "anything", "chain", "per-item", "look", "listen")


def name(rng: random.Random) -> str:
    """A name that nothing has; most are never used twice."""
    return rng.choice(
        (
            lambda: f"{UNHEARD_OF}{rng.getrandbits(48):x}",
            lambda: rng.choice(("", " ", ".", "..", "../../etc", "a/b", "%", "%00", "null", "0")),
            lambda: "n" * rng.choice((200, 5_000)),
            lambda: rng.choice(
                ("mödel", "模型", "\U0001f600", "a\tb", "a\nb", "\x7f", "{x}", "'\"")
            ),
        )
    )()


def json_value(rng: random.Random) -> Any:
    """Anything; some are JSON only in the eyes of a lenient parser."""
    return rng.choice(
        (
            lambda: rng.choice(
                (None, True, False, 0, -1, 1.5, "", "text", [], {}, [[]], {"a": {}})
            ),
            lambda: rng.choice((2**31, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308, 5e-324)),
            lambda: raw(
                rng.choice(("NaN", "Infinity", "-Infinity", "1e999", "-0", "01", "+1", "."))
            ),
            lambda: raw(rng.choice((r'"\ud800"', r'"\u0000"', r'"\udfff\ud800"', r'"\x"'))),
            lambda: raw(_deep(rng)),
            lambda: "x" * rng.choice((100, 100, 3_000, 60_000)),
            lambda: [rng.choice((1, "1", None, True, 1.5)) for _ in range(rng.randint(1, 6))],
        )
    )()


def raw(text: str) -> str:
    """A value that `dumps` writes as this text."""
    return _RAW + text


def dumps(content: Any) -> bytes:
    """JSON; surrogates alone stay escaped."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    if _RAW not in text:
        return text.encode()
    return _RAW_VALUE.sub(lambda found: json.loads(f'"{found[1]}"'), text).encode()


def shape(rng: random.Random) -> Any:
    """Sizes that no tensor has, or that are no sizes."""
    return rng.choice(
        (
            lambda: [rng.choice((0, -1, -(2**40), 2**31, 2**62, 2**63 - 1))],
            lambda: [2**32, 2**32],
            lambda: [1] * rng.choice((3, 33, 65, 1_000)),
            lambda: [0, 2**62],
            lambda: [rng.randint(0, 50), rng.randint(0, 50)],
            list,
        )
    )()


def spoil(rng: random.Random, tensors: list[Tensor]) -> None:
    """Makes one thing of a request's tensors wrong, in place."""
    tensor = rng.choice(tensors)
    what = rng.randrange(9)
    if what == 0:
        tensor.shape = shape(rng)
    elif what == 1:
        tensor.datatype = rng.choice((*FORMATS, "BYTES", "BF16", "FP13", "", "fp32", "STRING"))
    elif what == 2:
        tensor.name = name(rng)
    elif what == 3:
        tensor.values = tensor.values[: rng.randrange(len(tensor.values) + 1)]
    elif what == 4:
        tensor.values = tensor.values[:50] * rng.choice((2, 3, 10))
    elif what == 5:
        tensors.append(tensor)
    elif what == 6:
        tensors.remove(tensor)
    elif what == 7:
        _spoil_values(rng, tensor)
    else:
        tensors.extend(
            Tensor(name(rng), "FP32", [1, 1], [0.0]) for _ in range(rng.choice((1, 1, 1, 1, 300)))
        )


def changed(rng: random.Random, content: bytes) -> bytes:
    """The bytes with a few of them changed, cut out, put in or doubled."""
    if not content:
        return rng.randbytes(3)
    at = rng.randrange(len(content))
    to = min(len(content), at + rng.choice((1, 2, 8)))
    what = rng.randrange(5)
    if what == 0:
        return content[:at] + rng.randbytes(to - at) + content[to:]
    if what == 1:
        return content[:at] + content[to:]
    if what == 2:
        return content[:at] + rng.randbytes(rng.choice((1, 4, 30))) + content[at:]
    if what == 3:
        return content[:at]
    return content[:to] + content[at:]


def nodes(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON value: its container and its key or index."""
    keys = content.keys() if isinstance(content, dict) else range(len(content))
    for key in list(keys):
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from nodes(content[key])


def _deep(rng: random.Random) -> str:
    depth = rng.choice(_DEEP)
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    return opening * depth + ("1" + closing * depth if rng.random() < 0.7 else "")


def _spoil_values(rng: random.Random, tensor: Tensor) -> None:
    if not tensor.values:
        return
    at = rng.randrange(len(tensor.values))
    odd: Any = tensor.values[at]
    if isinstance(odd, bytes):
        odd = rng.choice((b"", b"\xff\xfe", b"\0", rng.randbytes(20), b"a" * 5_000))
        tensor.text = tensor.text and odd.isascii() and rng.random() < 0.5
    elif tensor.datatype.startswith("FP"):
        odd = rng.choice((float("nan"), float("inf"), -0.0, 1e-40))
    tensor.values = [*tensor.values[:at], odd, *tensor.values[at + 1 :]]
