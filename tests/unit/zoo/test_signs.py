"""Signs: what is drawn, where it is said to be, and which fonts draw it."""

from __future__ import annotations

import random
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from zoo import signs
from zoo.signs import CHARACTERS, draw_sign, homography, mapped, rectangle, sign_scene, straightened


@pytest.fixture(autouse=True)
def font_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No font is installed for tests: signs are drawn in Pillow's own."""
    monkeypatch.setattr(signs, "any_font", lambda rng, split, size: ImageFont.load_default(size))


def _busy() -> signs.SignScene:
    return next(made for seed in range(20) if len((made := sign_scene(seed, "train")).signs) > 1)


def test_a_scene_is_that_of_its_seed_and_split() -> None:
    one, same, other = (sign_scene(seed, "train", signs=2) for seed in (1, 1, 2))

    assert one.image.tobytes() == same.image.tobytes() != other.image.tobytes()
    assert [line.text for line in one.lines] == [line.text for line in same.lines]
    assert one.image.tobytes() != sign_scene(1, "held_out", signs=2).image.tobytes()


def test_texts_are_of_the_characters_and_quads_within_the_picture() -> None:
    made = _busy()

    for line in made.lines:
        assert line.text == line.text.strip()
        assert line.text
        assert set(line.text) <= set(CHARACTERS)
        assert (line.quad >= 0).all()
        assert (line.quad <= made.image.size).all()
        assert len(line.centres) == len(line.text)
    assert len(CHARACTERS) == len(set(CHARACTERS))


def test_a_scene_may_have_no_sign() -> None:
    assert sign_scene(3, "train", signs=0).lines == ()


def test_ink_is_where_the_quads_are() -> None:
    sign = draw_sign(random.Random(2), ["Hello world", "12,50 €"], ImageFont.load_default(30))
    matrix = homography(
        rectangle(*sign.image.size),
        np.array([(10, 40), (210, 5), (220, 100), (20, 140)], np.float32),
    )
    image = sign.image.convert("RGB").transform(
        (240, 160),
        Image.Transform.PERSPECTIVE,
        (np.linalg.inv(matrix) / np.linalg.inv(matrix)[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BICUBIC,
    )

    for line in sign.lines:
        straight = np.asarray(straightened(image, mapped(matrix, line.quad), 32).convert("L"))
        flat = np.asarray(straightened(sign.image.convert("RGB"), line.quad, 32).convert("L"))
        resized = np.asarray(Image.fromarray(straight).resize(flat.shape[::-1]), float)
        # The same letters in the same places.
        assert np.corrcoef(resized.ravel(), flat.ravel())[0, 1] > 0.8
        assert flat.std() > 20


def test_middles_of_characters_are_in_order_and_on_them() -> None:
    (line,) = draw_sign(random.Random(1), ["I . I"], ImageFont.load_default(40)).lines

    assert list(line.centres) == sorted(line.centres)
    assert line.centres[0] == pytest.approx(1 - line.centres[-1], abs=0.05)
    assert line.centres[2] == pytest.approx(0.5, abs=0.05)


def test_no_font_file_is_of_both_splits() -> None:
    files = ["Lato-Bold", "Carlito-Regular", "Caladea-Italic", "LinLibertine_R", "LinBiolinum_RB"]
    for name in files:
        assert any(fnmatch(name, family) for family in signs.FAMILIES["held_out"])
        assert not any(fnmatch(name, family) for family in signs.FAMILIES["train"])


def test_missing_fonts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "FONTS", tmp_path)
    signs.fonts.cache_clear()

    with pytest.raises(FileNotFoundError, match=r"no font of Lato-.*zoo/README.md"):
        signs.fonts("held_out")
