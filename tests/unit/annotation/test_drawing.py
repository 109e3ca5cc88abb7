"""What is drawn, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from infergraph_clients.annotation import Findings, annotate, read_findings
from infergraph_clients.annotation.drawing import caption_lines
from infergraph_clients.annotation.lettering import (
    BLACK,
    ERROR,
    WHITE,
    Lettering,
    colour_of,
    contrast,
    place_near,
)
from tests.unit.annotation.answers import (
    MONITORING,
    VIDEO,
    Array,
    boxes,
    number,
    scores,
    texts,
)

WIDTH, HEIGHT = 200, 120
GREY = (90, 90, 90)
CLASSES = ("person", "car", "truck", "bus", "bicycle", "dog", "bench", "traffic light")


def grey(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def pixels(image: Image.Image) -> Array:
    return np.asarray(image)


def drawn(answer: dict[str, Array], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Array:
    """The picture's own part of what is drawn on a grey one."""
    return pixels(annotate(grey(*size), read_findings(answer)))[: size[1]]


def changed(image: Array) -> Array:
    return np.any(image != GREY, axis=2)


def test_a_box_has_its_edges_at_its_pixels_and_nothing_else_is_touched() -> None:
    image = drawn({"boxes": boxes((40, 30, 160, 100))})
    # Corners of a box are where its pixels end, so the last column is 159.
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[29:101, 39:161] = True
    expected[32:98, 42:158] = False
    assert (changed(image) == expected).all()
    colour = colour_of("")
    for x, y in ((40, 60), (159, 60), (100, 30), (100, 99), (40, 30), (159, 99)):
        assert tuple(image[y, x]) == colour
    assert tuple(image[60, 39]) == tuple(image[60, 160]) == BLACK


def test_the_edge_has_the_colour_of_the_label() -> None:
    image = drawn({"boxes": boxes((20, 60, 80, 110)), "labels": texts("dog")})
    assert tuple(image[85, 20]) == tuple(image[109, 50]) == colour_of("dog")
    assert colour_of("dog") != colour_of("car")


def test_labels_of_one_picture_differ_in_colour() -> None:
    assert len({colour_of(name) for name in CLASSES}) == len(CLASSES)


def test_the_label_is_above_its_box() -> None:
    answer = {"boxes": boxes((20, 60, 180, 110)), "labels": texts("dog")}
    above = changed(drawn(answer))[:58]
    rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
    lettering = Lettering.for_picture(WIDTH, HEIGHT)
    assert rows[0] == 60 - lettering.extent(["dog"])[1]
    assert (columns[0], columns[-1]) == (20, 20 + lettering.extent(["dog"])[0] - 1)


def test_a_line_for_each_result() -> None:
    one = {"boxes": boxes((20, 80, 180, 110)), "labels": texts("dog")}
    two = {**one, "kinds": texts("poodle")}
    heights = [np.flatnonzero(changed(drawn(each)).any(axis=1))[0] for each in (one, two)]
    assert heights[0] - heights[1] == Lettering.for_picture(WIDTH, HEIGHT).line


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 30, 20),
        (170, 0, 200, 120),
        (0, 100, 200, 120),
        (0, 0, 200, 120),
        (195, 115, 200, 120),
    ],
)
@pytest.mark.parametrize("text", ["dog", "a label much longer than the picture is wide, cut there"])
def test_text_is_within_the_picture(box: tuple[float, ...], text: str) -> None:
    """Drawn on a larger picture at the same place, all of the label would be there as well."""
    answer = {"boxes": boxes(box), "labels": texts(text)}
    ground = np.array(colour_of(text))
    image = drawn(answer).astype(int)
    mixed = np.abs(image - (0.8 * ground + 0.2 * np.array(GREY))).max(axis=2) <= 2
    rows, columns = np.flatnonzero(mixed.any(axis=1)), np.flatnonzero(mixed.any(axis=0))
    lettering = Lettering.for_picture(WIDTH, HEIGHT)
    cut = lettering.cut(f"{text}", WIDTH - 2 * lettering.margin)
    width, height = lettering.extent([cut])
    assert columns[-1] - columns[0] + 1 >= width - 4
    assert rows[-1] - rows[0] + 1 >= height - 4
    assert width <= WIDTH


@pytest.mark.parametrize(
    "corners",
    [
        (math.nan, 0, 10, 10),
        (0, 0, math.inf, 10),
        (-50, 10, -10, 20),
        (WIDTH, 0, WIDTH + 9, 9),
        (50, 50, 40, 60),
    ],
)
def test_boxes_that_cannot_be_drawn_are_left_out(corners: tuple[float, ...]) -> None:
    answer = {"num_detections": number(1), "boxes": boxes(corners), "labels": texts("dog")}
    assert not changed(drawn(answer)).any()


def test_a_box_that_leaves_the_picture_ends_at_its_edge() -> None:
    image = drawn({"boxes": boxes((-20, 40, 300, 200))})
    colour = colour_of("")
    assert tuple(image[80, 0]) == tuple(image[80, WIDTH - 1]) == colour
    assert tuple(image[HEIGHT - 1, 100]) == colour


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16), (2000, 30)])
@pytest.mark.parametrize("caption", ["below", "inside"])
def test_pictures_of_any_size(size: tuple[int, int], caption: str) -> None:
    answer = {"boxes": boxes((0, 0, 1e4, 1e4)), "labels": texts("dog"), "kind": texts("poodle")}
    made = annotate(
        grey(*size),
        read_findings(answer),
        caption=caption,
        problem="lost",  # type: ignore[arg-type]
    )
    assert made.width == size[0]
    assert made.height == size[1] if caption == "inside" else made.height > size[1]


def test_labels_shrink_where_there_are_many() -> None:
    def covered(count: int) -> float:
        places = [(10 + 60 * (number % 10), 60 + 80 * (number // 10)) for number in range(count)]
        corners = [(x, y, x + 50, y + 70) for x, y in places]
        names = ["construction worker"] * count
        answer = {
            "boxes": boxes(*corners, rows=40), "labels": texts(*names, rows=40),
            "kinds": texts(*names, rows=40),
        }  # fmt: skip
        return float(changed(drawn(answer, (640, 384))).mean())

    assert covered(40) < 0.6
    assert covered(40) < 20 * covered(1)


def test_the_picture_itself_is_not_changed() -> None:
    picture = grey()
    annotate(picture, read_findings(VIDEO), caption="inside")
    assert not changed(pixels(picture)).any()


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "CMYK"])
def test_pictures_of_any_mode(mode: str) -> None:
    made = annotate(grey().convert(mode), read_findings(VIDEO))
    assert made.mode == "RGB"
    assert np.abs(pixels(made)[HEIGHT - 5, WIDTH - 5].astype(int) - 90).max() <= 2


def lines(answer: dict[str, Array]) -> list[str]:
    return caption_lines(read_findings(answer), Lettering.for_picture(900, 500), 900)


@pytest.mark.parametrize(
    ("count", "found", "text"),
    [(16, 21, "16 of 21 objects"), (1, 2, "1 of 2 objects"), (1, 1, "1 object"),
     (0, 0, "0 objects"), (2, 2, "2 objects")],
)  # fmt: skip
def test_the_caption_counts(count: int, found: int, text: str) -> None:
    assert lines({"num_detections": number(count), "num_found": number(found)}) == [text]


def test_the_caption_of_several_sets() -> None:
    assert lines(MONITORING) == ["3 objects   vehicle: 1   person: 1"]


def test_the_caption_of_texts_about_the_whole() -> None:
    answer = {
        "label": texts("tram", rows=1), "score": scores(0.5, rows=1),
        "language": texts("en", rows=1), "risk": scores(0.25, rows=1),
    }  # fmt: skip
    assert lines(answer) == ["label: tram 0.50   language: en   risk: 0.25"]


def test_the_caption_is_wrapped() -> None:
    answer = {f"name{i}": texts("x" * 20, rows=1) for i in range(6)}
    lettering = Lettering.for_picture(300, 300)
    wrapped = caption_lines(read_findings(answer), lettering, 300)
    assert len(wrapped) == 6
    assert all(lettering.width(line) <= 300 for line in wrapped)


def test_the_caption_is_a_strip_below() -> None:
    made = annotate(grey(), read_findings({"num_detections": number(0)}))
    lettering = Lettering.for_picture(WIDTH, HEIGHT)
    assert made.size == (WIDTH, HEIGHT + lettering.extent(["0 objects"])[1])
    assert not changed(pixels(made)[:HEIGHT]).any()
    strip = pixels(made)[HEIGHT:]
    assert tuple(strip[0, -1]) == BLACK
    assert strip.max() > 200


def test_the_caption_inside_leaves_the_size() -> None:
    made = annotate(grey(), read_findings({"num_detections": number(0)}), caption="inside")
    height = Lettering.for_picture(WIDTH, HEIGHT).extent(["0 objects"])[1]
    touched = changed(pixels(made))
    assert made.size == (WIDTH, HEIGHT)
    assert touched[HEIGHT - height :].mean() > 0.95
    assert not touched[: HEIGHT - height].any()


def test_a_problem_is_written_in_red() -> None:
    made = annotate(grey(), Findings(), caption="inside", problem="503: busy")
    assert tuple(pixels(made)[HEIGHT - 10, WIDTH - 1]) == ERROR
    assert not changed(pixels(made)[: HEIGHT // 2]).any()


def test_nothing_to_draw() -> None:
    assert not changed(pixels(annotate(grey(), Findings()))).any()


def test_letters_grow_with_the_picture() -> None:
    sizes = [Lettering.for_picture(*size).size for size in ((64, 64), (640, 384), (1920, 1080))]
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 9


def test_letters_can_be_read_on_every_colour() -> None:
    for name in CLASSES:
        letters, outline = contrast(colour_of(name))
        assert {letters, outline} == {BLACK, WHITE}
        difference = np.abs(np.array(letters) - np.array(colour_of(name))).sum()
        assert difference > 200


@pytest.mark.parametrize(
    ("box", "taken", "place"),
    [
        ((20, 40, 80, 90), [], (20, 30, 50, 40)),
        ((20, 4, 80, 90), [], (20, 4, 50, 14)),
        ((20, 40, 80, 90), [(0, 20, 60, 40)], (20, 40, 50, 50)),
        ((90, 40, 99, 90), [], (70, 30, 100, 40)),
    ],
    ids=["above", "inside at the top", "away from another", "kept in the room"],
)
def test_where_a_label_goes(
    box: tuple[float, float, float, float],
    taken: list[tuple[float, float, float, float]],
    place: tuple[float, float, float, float],
) -> None:
    room = (0.0, 0.0, 100.0, 100.0)
    assert place_near(box, (30, 10), room, taken) == place
