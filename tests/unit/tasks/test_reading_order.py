"""The operation `aggregate-text`: lines in the order in which people read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.v2 import Message, Tensor

from .conftest import Serve

Placed = list[tuple[str, list[float]]]


def placed(
    *lines: tuple[str, float, float, float, float], degrees: float = 0, about: Any = (0, 0)
) -> Placed:
    """Texts at x, y, of a width and height, all turned around a point: with each its quad."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    made = []
    for text, x, y, width, height in lines:
        corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
        made.append((text, ((corners - about) @ turn + about).ravel().tolist()))
    return made


def column(words: str, x: float, y: float, width: float = 200, height: float = 20) -> Any:
    """A line for each word, half a height apart."""
    return [
        (word, x, y + 1.5 * height * row, width, height) for row, word in enumerate(words.split())
    ]


async def aggregated(runtime: Runtime, *images: Placed) -> tuple[list[str], list[int]]:
    """Text and number of lines of each image, whose lines come in any order."""
    size = max(map(len, images)) + 1
    texts = np.full((len(images), size), b"", object)
    quads = np.zeros((len(images), size, 8), np.float32)
    generator = np.random.default_rng(len(images))
    for row, lines in enumerate(images):
        for place, index in enumerate(generator.permutation(len(lines))):
            texts[row, place] = lines[index][0].encode()
            quads[row, place] = lines[index][1]
    counts = np.array([[len(lines)] for lines in images])
    message = Message(
        [
            Tensor.of_bytes("text", texts.ravel().tolist(), list(texts.shape)),
            Tensor.of("quads", quads),
            Tensor.of("num_detections", counts),
        ]
    )
    answer = await runtime.infer(message, RequestContext())
    found = {tensor.name: tensor.data for tensor in answer.tensors}
    said = [text.decode() for text in found["text"].ravel()]
    routed = {"found_text": [], "no_text": []}
    for name in routed:
        if name in found:
            items = found.get(f"{name}_item", np.arange(len(images))).ravel()
            routed[name] = [
                (int(item), text) for item, text in zip(items, found[name].ravel(), strict=True)
            ]
    assert routed["found_text"] == [(i, t.encode()) for i, t in enumerate(said) if t]
    assert routed["no_text"] == [(i, b"") for i, t in enumerate(said) if not t]
    return said, found["num_lines"].ravel().tolist()


LEFT, RIGHT = column("one two three", 20, 20), column("four five six", 260, 24)
HEADING = ("heading", 20, -12, 440, 22)
CASES: dict[str, tuple[Placed, str, int]] = {
    "one word": (placed(("word", 5, 5, 50, 20)), "word", 1),
    "nothing": ([], "", 0),
    "nothing read": (placed(("", 5, 5, 50, 20), (" ", 5, 50, 50, 20)), "", 0),
    "wrapped": (
        placed(*column("The house is white.", 20, 20)), "The house is white.", 4,
    ),
    "words of a row": (
        placed(("no", 20, 20, 40, 20), ("way", 72, 22, 60, 20), ("out", 145, 19, 50, 21)),
        "no way out",
        1,
    ),
    "rows of words": (
        placed(
            *(("a", 20, 20, 40, 20), ("b", 72, 22, 60, 20), ("c", 20, 50, 50, 20)),
            ("d", 82, 51, 70, 20),
        ),
        "a b c d",
        2,
    ),
    "two columns": (placed(*LEFT, *RIGHT), "one two three\nfour five six", 6),
    "two columns below a heading": (
        placed(HEADING, *LEFT, *RIGHT), "heading\none two three\nfour five six", 7,
    ),
    "the same, turned": (
        placed(HEADING, *LEFT, *RIGHT, degrees=12), "heading\none two three\nfour five six", 7,
    ),
    "the same, turned back": (
        placed(HEADING, *LEFT, *RIGHT, degrees=-14), "heading\none two three\nfour five six", 7,
    ),
    "signs turned away from each other": (
        placed(*LEFT, degrees=14, about=(120, 50))
        + placed(*RIGHT, degrees=-14, about=(360, 50)),
        "one two three\nfour five six",
        6,
    ),
    "signs one above the other, the upper one on the right": (
        placed(*column("far up", 400, 10), *column("below it", 20, 300)), "far up\nbelow it", 4,
    ),
    "a right column that begins higher": (
        placed(*column("one two three", 20, 60), *column("four five six", 260, 10)),
        "one two three\nfour five six",
        6,
    ),
    "large and small": (
        placed(("SALE", 20, 20, 200, 60), *column("up to half", 20, 90)), "SALE\nup to half", 4,
    ),
    "a divided word": (
        placed(*column("Straßen- bahn und Nord- und Süd- bahnhof", 20, 20)),
        "Straßenbahn und Nord- und Südbahnhof",
        7,
    ),
    "a word that does not go on": (placed(*column("A- B", 20, 20)), "A- B", 2),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_the_order_is_that_of_reading(case: str, serve: Serve) -> None:
    runtime = await serve("aggregate-text")
    lines, text, count = CASES[case]

    assert await aggregated(runtime, lines) == ([text], [count])


async def test_images_of_a_batch_keep_to_themselves(serve: Serve) -> None:
    runtime = await serve("aggregate-text")
    images, texts, counts = zip(*CASES.values(), strict=True)

    assert await aggregated(runtime, *images) == (list(texts), list(counts))


async def test_gaps_are_settings(serve: Serve) -> None:
    operations = [
        {"kind": "aggregate-text", "boxes": "quads", "word_gap": 0.2, "line_gap": 0.2},
        {"kind": "not-blank", "tensors": ["text"], "kept": "found_", "rest": "no_"},
    ]
    runtime = await serve("aggregate-text", operations=operations)
    rows, _, _ = CASES["rows of words"]

    assert await aggregated(runtime, rows) == (["a\nb\nc\nd"], [4])


async def test_boxes_are_ordered_as_quads_are(serve: Serve) -> None:
    inputs = [
        {"name": "text", "datatype": "BYTES", "shape": [-1, -1]},
        {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]},
    ]
    runtime = await serve(
        "aggregate-text",
        declared={"inputs": inputs, "outputs": [{**inputs[0], "shape": [-1, 1]}]},
        operations=[{"kind": "aggregate-text", "count": None}],
        optional_outputs=[],
    )
    boxes = np.array([[[260, 20, 400, 40], [20, 50, 200, 70], [20, 20, 200, 40]]], np.float32)
    message = Message(
        [Tensor.of_bytes("text", [b"c", b"b", b"a"], [1, 3]), Tensor.of("boxes", boxes)]
    )

    answer = await runtime.infer(message, RequestContext())

    assert answer.tensors[0].data.ravel().tolist() == [b"a b\nc"]


async def test_what_is_no_number_is_refused(serve: Serve) -> None:
    runtime = await serve("aggregate-text")
    good, _, _ = CASES["one word"]

    with pytest.raises(InvalidInput, match=r"tensor 'quads', row 0: \[nan"):
        await aggregated(runtime, [("word", [np.nan] * 8)])
    assert await aggregated(runtime, good) == (["word"], [1])


async def test_rows_that_do_not_fit_are_refused(serve: Serve) -> None:
    runtime = await serve("aggregate-text")
    message = Message(
        [
            Tensor.of_bytes("text", [b"a", b"b"], [1, 2]),
            Tensor.of("quads", np.zeros((1, 3, 8), np.float32)),
            Tensor.of("num_detections", np.array([[2]])),
        ]
    )

    with pytest.raises(InvalidInput, match="tensor 'text': 2 rows; accepted: 3, as tensor 'quads'"):
        await runtime.infer(message, RequestContext())


async def test_boxes_of_another_shape_are_refused(serve: Serve) -> None:
    with pytest.raises(
        ConfigurationError, match=r"operation 'aggregate-text': tensor .*; accepted:"
    ):
        await serve("aggregate-text", operations=[{"kind": "aggregate-text", "boxes": "text"}])
