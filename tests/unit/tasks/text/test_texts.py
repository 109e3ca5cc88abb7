from __future__ import annotations

import pytest

from infergraph.errors import InvalidInput, Rejected
from infergraph.tasks.text.texts import check_text, excerpt


@pytest.mark.parametrize(
    "text",
    ["a", " a\tb\r\nc\n", "¿Qué?", "日本語", "a\u00a0b", "x" * 100, "👩\u200d🚀 \u202eabc", "~ }"],
)
def test_text(text: str) -> None:
    check_text(text, "text", 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tensor 'context': empty text; accepted: at least one word"),
        (" \t\r\n\u00a0\u2003", "tensor 'context': empty text"),
        (
            "x" * 101,
            "tensor 'context': 101 characters; accepted: at most 100 (setting "
            "'max_context_characters')",
        ),
        (" " * 101, "tensor 'context': 101 characters"),
        (
            "ab\x00c\x01",
            "tensor 'context': control character U+0000 at position 2; accepted: no control "
            "characters but tab, newline and carriage return",
        ),
        ("a\x07", "control character U+0007 at position 1"),
        ("a\x0bb", "control character U+000B at position 1"),
        ("a\x1bb", "control character U+001B at position 1"),
        ("a\x7fb", "control character U+007F at position 1"),
        ("a\x85b", "control character U+0085 at position 1"),
    ],
)
def test_what_is_no_acceptable_text(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_text(text, "context", 100)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"), [("", Rejected), (" \n", Rejected), ("x" * 101, InvalidInput)]
)
def test_an_empty_text_is_the_callers_whoever_made_it(text: str, kind: type[InvalidInput]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_text(text, "context", 100)

    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("two\n\n lines", "two lines"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 10 + "…"),
        (" " * 100 + "x", "…"),
    ],
)
def test_excerpt(text: str, expected: str) -> None:
    assert excerpt(text, 10) == expected
