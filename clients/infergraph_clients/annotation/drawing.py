"""Draws findings on their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from .findings import BoxSet, Findings, as_text
from .lettering import BLACK, ERROR, Box, Colour, Lettering, colour_of, place_near

Caption = Literal["below", "inside"]
_INSIDE_OPACITY = 0.6
_LABEL_OPACITY = 0.8
_MOST_COVERED = 0.12
"""How much of a picture labels may cover before their letters become smaller."""


def annotate(
    picture: Image.Image,
    findings: Findings,
    *,
    caption: Caption = "below",
    problem: str | None = None,
) -> Image.Image:
    """A copy of a picture with boxes, what is said of each, and a caption about the whole.

    Boxes have the colour of their label, the same in every picture. Boxes that are not finite, or
    lie outside the picture, are left out; others end at its edge.

    Args:
        picture: As shown, that is after its EXIF rotation; of any mode.
        findings: What the answer says of it.
        caption: `below` the picture, in a strip that makes the copy higher, or `inside`, over its
            lowest part, so that the size stays.
        problem: Why there is no answer, or not a whole one; written above the caption.
    """
    drawn = picture.convert("RGB").copy()
    lettering = Lettering.for_picture(*drawn.size)
    boxes = sorted(_visible(findings.sets, drawn.size), key=lambda each: -_area(each[2]))
    thickness = max(2, round(min(drawn.size) / 200))
    draw = ImageDraw.Draw(drawn)
    for colour, _, box in boxes:
        _outline(draw, box, colour, thickness)
    lines = caption_lines(findings, lettering, drawn.width)
    if problem is not None:
        problem = lettering.cut(problem, drawn.width - 2 * lettering.margin)
    height = lettering.extent([*([problem] if problem else []), *lines])[1]
    below = height if caption == "inside" and (lines or problem) else 0
    room: Box = (0, 0, drawn.width, max(drawn.height - below, 1))
    labels = _fitting(lettering, [texts for _, texts, _ in boxes], room)
    taken: list[Box] = []
    for colour, texts, box in boxes:
        _label(drawn, box, texts, colour, labels, room, taken)
    return _with_caption(drawn, problem, lines, lettering, caption)


def caption_lines(findings: Findings, lettering: Lettering, width: int) -> list[str]:
    """What is said of the whole picture: how many objects it has, and its texts."""
    parts = []
    if (count := findings.count) is not None:
        of = f" of {findings.found}" if (findings.found or 0) > count else ""
        plural = "" if count == 1 and not of else "s"
        parts.append(f"{count}{of} object{plural}")
    if len(findings.sets) > 1 or any(each.prefix for each in findings.sets):
        parts += [f"{each.prefix or each.name}: {len(each.boxes)}" for each in findings.sets]
    for name, score in findings.texts:
        text = as_text(findings.rest[name].ravel()[0])
        parts.append(f"{name}: {_with_score(text, _number(findings, score))}")
    scores = {score for _, score in findings.texts}
    for name, data in findings.rest.items():
        if data.shape == (1, 1) and data.dtype.kind == "f" and name not in scores:
            parts.append(f"{name}: {float(data[0, 0]):.2f}")
    return lettering.wrap(parts, width - 2 * lettering.margin)


def _visible(sets: Sequence[BoxSet], size: tuple[int, int]) -> list[tuple[Colour, list[str], Box]]:
    """Colour, texts and box, in whole pixels and inclusive, of each box that can be seen."""
    found = []
    for each in sets:
        for row, corners in enumerate(each.boxes.astype(float)):
            if not np.isfinite(corners).all():
                continue
            x1, y1, x2, y2 = corners
            left, top = max(math.floor(x1), 0), max(math.floor(y1), 0)
            right, bottom = min(math.ceil(x2), size[0]) - 1, min(math.ceil(y2), size[1]) - 1
            if left > right or top > bottom:
                continue
            label, texts = _texts(each, row)
            found.append((colour_of(label), texts, (left, top, right, bottom)))
    return found


def _texts(boxes: BoxSet, row: int) -> tuple[str, list[str]]:
    """An object's label, which colours it, and its lines."""
    said = boxes.said(row)
    label = next((text for name, text, _ in said if name == boxes.label), boxes.prefix)
    lines = [_with_score(text, score) for _, text, score in said]
    if not said:
        scores = [
            float(data[row])
            for name, data in boxes.columns.items()
            if name.endswith("scores") and data.dtype.kind == "f"
        ]
        lines = [_with_score(boxes.prefix, scores[0] if scores else None).strip()]
    return label, [line for line in lines if line]


def _with_score(text: str, score: float | None) -> str:
    # A line of its own for each line of the text would tear the label apart.
    text = " ".join(text.split())
    return text if score is None or not math.isfinite(score) else f"{text} {score:.2f}"


def _number(findings: Findings, name: str | None) -> float | None:
    return None if name is None else float(findings.rest[name].ravel()[0])


def _outline(draw: ImageDraw.ImageDraw, box: Box, colour: Colour, thickness: int) -> None:
    left, top, right, bottom = box
    # A dark line around it keeps the box apart from a ground of its own colour.
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=BLACK)
    for step in range(thickness):
        if left + step > right - step or top + step > bottom - step:
            break
        draw.rectangle((left + step, top + step, right - step, bottom - step), outline=colour)


def _fitting(lettering: Lettering, labels: Sequence[Sequence[str]], room: Box) -> Lettering:
    """Letters so small that the labels leave most of the room to be seen, as far as they can."""
    most = _MOST_COVERED * (room[2] - room[0]) * (room[3] - room[1])
    chosen = lettering
    while sum(math.prod(chosen.extent(lines)) for lines in labels) > most:
        smaller = chosen.smaller
        if smaller is None:
            break
        chosen = smaller
    return chosen


def _label(
    picture: Image.Image,
    box: Box,
    texts: Sequence[str],
    colour: Colour,
    lettering: Lettering,
    room: Box,
    taken: list[Box],
) -> None:
    """Writes the lines of a box near it, as many as there is room for."""
    width, height = room[2] - room[0], room[3] - room[1]
    most = int((height - 2 * lettering.margin) // lettering.line)
    cut = (lettering.cut(text, int(width) - 2 * lettering.margin) for text in texts[: max(most, 0)])
    lines = [line for line in cut if line]
    if not lines:
        return
    edges = (box[0], box[1], box[2] + 1, box[3] + 1)
    place = place_near(edges, lettering.extent(lines), room, taken)
    left, top, right, bottom = place
    _shade(picture, (int(left), int(top), int(right), int(bottom)), colour, _LABEL_OPACITY)
    lettering.write(picture, (int(left), int(top)), lines, colour)
    taken.append(place)


def _shade(
    picture: Image.Image, area: tuple[int, int, int, int], colour: Colour, opacity: float
) -> None:
    part = picture.crop(area)
    picture.paste(Image.blend(part, Image.new("RGB", part.size, colour), opacity), area[:2])


def _with_caption(
    picture: Image.Image,
    problem: str | None,
    lines: Sequence[str],
    lettering: Lettering,
    caption: Caption,
) -> Image.Image:
    every = [*([problem] if problem else []), *lines]
    if not every:
        return picture
    height = lettering.extent(every)[1]
    if caption == "below":
        whole = Image.new("RGB", (picture.width, picture.height + height), BLACK)
        whole.paste(picture)
        top = picture.height
    else:
        whole, top = picture, max(picture.height - height, 0)
        _shade(whole, (0, top, whole.width, whole.height), BLACK, _INSIDE_OPACITY)
    if problem:
        strip = lettering.extent([problem])[1] - lettering.margin
        end = min(top + strip, whole.height) - 1
        ImageDraw.Draw(whole).rectangle((0, top, whole.width - 1, end), fill=ERROR)
    lettering.write(whole, (0, top), every, ERROR if problem else BLACK)
    return whole


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
