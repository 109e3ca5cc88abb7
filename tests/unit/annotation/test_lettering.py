"""Lettering: texts in letters that the font has."""

from __future__ import annotations

import pytest
from PIL import Image

from infergraph_clients.annotation.lettering import BLACK, Lettering


def written(text: str) -> bytes:
    picture = Image.new("RGB", (400, 40))
    Lettering.of_size(16).write(picture, (0, 0), [text], BLACK)
    return picture.tobytes()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("weiße Tür", "weisse Tur"),
        ("¿Dónde está el niño?", "?Donde esta el nino?"),
        ("l\u2019œuvre où ça va", "l\u2019oeuvre ou ca va"),
        ("12 € \u2013 £5", "12 EUR - GBP5"),
    ],
)
def test_letters_that_the_font_lacks_are_written_in_others(text: str, shown: str) -> None:
    lettering = Lettering.of_size(16)

    assert written(text) == written(shown)
    assert lettering.width(text) == lettering.width(shown)
