"""Checks of text that a client sent, before anything costly is done with it."""

from __future__ import annotations

import re

from ...errors import InvalidInput, Rejected

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def check_text(text: str, tensor: str, max_characters: int, *, blank: bool = False) -> None:
    """Checks that text is text: neither empty nor too long, and without control characters.

    Args:
        text: What came.
        tensor: The tensor that it came in; `max_<tensor>_characters` is the setting that limits it.
        max_characters: Most characters accepted.
        blank: Whether it may be empty all the same.

    Raises:
        Rejected: the text is blank. Where another step made it, nothing was in what the caller
            sent: no speech in the audio, for example.
        InvalidInput: the text is longer than that, or holds a control character other than tab,
            newline and carriage return.
    """
    if len(text) > max_characters:
        raise InvalidInput(
            f"tensor '{tensor}': {len(text)} characters; accepted: at most {max_characters} "
            f"(setting 'max_{tensor}_characters')"
        )
    if not blank and not text.strip():
        raise Rejected(f"tensor '{tensor}': empty text; accepted: at least one word")
    found = _CONTROL.search(text)
    if found is not None:
        raise InvalidInput(
            f"tensor '{tensor}': control character U+{ord(found[0]):04X} at position "
            f"{found.start()}; accepted: no control characters but tab, newline and carriage return"
        )


def excerpt(text: str, length: int = 40) -> str:
    """The beginning of a text, on one line, for an error's text."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length and len(text) <= 4 * length else f"{line[:length]}…"
