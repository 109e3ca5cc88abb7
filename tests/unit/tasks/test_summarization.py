from __future__ import annotations

from collections.abc import Callable

import pytest

from infergraph.errors import InvalidInput
from tests.checkpoints import TEXT

from .conftest import Ask, Serve

ARTICLE = ". ".join([TEXT] * 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tensor 'text': empty text; accepted: at least one word"),
        ("x" * 1_000_000, "1000000 characters; accepted: at most 20000 (setting 'max_text_char"),
        ("the\x00lamp", "tensor 'text': control character U+0000 at position 3"),
        (ARTICLE, "accepted: at most 64, unless the setting 'truncation' is true"),
    ],
)
@pytest.mark.parametrize("family", ["bart", "pegasus", "t5"])
async def test_a_bad_item_is_the_callers_fault(
    family: str,
    text: str,
    message: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await serve("summarization", checkpoint(family))

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, text=["the lamp", text])

    assert caught.value.status_code == 400
    assert message in str(caught.value)
    assert "item 1: tensor 'text'" in str(caught.value)


@pytest.mark.parametrize("family", ["pegasus", "t5"])
async def test_of_a_long_article_the_first_part_is_read(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    words = ARTICLE.split()
    runtime = await serve(
        "summarization", checkpoint(family), truncation=True, max_source_length=20
    )
    tokens = runtime.prepare({"text": ARTICLE}).ids[0]
    # The first words that fill the window.
    first = next(
        part
        for count in range(1, 21)
        for part in [" ".join(words[:count])]
        if runtime.prepare({"text": part}).ids[0].tolist() == tokens.tolist()
    )

    assert len(tokens) == 20
    assert await ask(runtime, text=[ARTICLE]) == await ask(runtime, text=[first])


async def test_an_article_is_read_as_a_whole(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("summarization", checkpoint("bart"))

    item = runtime.prepare({"text": " Mira built it. She lives there.\n"})

    assert len(item.ids) == 1
    assert item.pieces.texts == ["Mira built it. She lives there."]
