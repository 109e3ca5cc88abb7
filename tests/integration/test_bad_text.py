"""Bad texts and generation parameters: a 400 that says what is wrong, and a healthy server."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import FRONT_ENDS, Connect
from .server import ServerProcess
from .test_bad_input import assert_refused

MODELS = (
    "sentiment",
    "language-identification",
    "translation-fr-en",
    "translation-es-en",
    "translation-de-en",
    "translation-en-de",
    "summarization",
)
GOOD = "Anna Weber lives in Oslo."
BAD_TEXTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "empty": ("", ("tensor 'text'", "empty text")),
    "blank": (" \n\t ", ("tensor 'text'", "empty text")),
    "a million characters": (
        "a" * 1_000_000,
        ("tensor 'text'", "1000000 characters", "accepted: at most"),
    ),
    "over the model's window": ("seven " * 2000, ("tensor 'text'", "tokens", "accepted: at most")),
    "control character": ("Anna\x00Weber", ("tensor 'text'", "U+0000", "position 4")),
    "escape sequence": ("\x1b[31mred", ("tensor 'text'", "U+001B", "position 0")),
    "invalid UTF-8": (b"caf\xe9 au lait", ("tensor 'text'", "not valid UTF-8", "byte 3")),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", BAD_TEXTS)
async def test_a_bad_text_is_400_and_the_server_stays_healthy(
    models: ServerProcess, connect: Connect, name: str, model: str, front_end: str
) -> None:
    text, fragments = BAD_TEXTS[name]
    client = connect(models, front_end)

    assert_refused(await client.infer(model, {"text": [text]}), 400, f"model '{model}'", *fragments)
    in_a_batch = await client.infer(model, {"text": [GOOD, text]})
    assert_refused(in_a_batch, 400, "item 1", *fragments)

    assert (await client.infer(model, {"text": [GOOD]})).status == 200


BAD_PARAMETERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown": ({"num_beems": 2}, ("unknown parameter 'num_beems'", "did you mean 'num_beams'?")),
    "out of limits": ({"num_beams": 1000}, ("num_beams", "1000", "accepted")),
    "negative": ({"max_new_tokens": -1}, ("max_new_tokens", "-1", "accepted")),
    "too many tokens": ({"max_new_tokens": 10**6}, ("max_new_tokens", "1000000", "accepted")),
    "no number": ({"num_beams": "many"}, ("num_beams", "many")),
    "a boolean": ({"num_beams": True}, ("num_beams", "a number")),
    "contradictory": (
        {"min_new_tokens": 9, "max_new_tokens": 3},
        ("min_new_tokens", "max_new_tokens"),
    ),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("model", ["translation-en-de", "summarization"])
@pytest.mark.parametrize("name", BAD_PARAMETERS)
async def test_a_bad_generation_parameter_is_400(
    models: ServerProcess, connect: Connect, name: str, model: str, front_end: str
) -> None:
    parameters, fragments = BAD_PARAMETERS[name]
    client = connect(models, front_end)

    answer = await client.infer(model, {"text": [GOOD]}, parameters=parameters)

    assert_refused(answer, 400, f"model '{model}'", *fragments)
    assert (await client.infer(model, {"text": [GOOD]}, parameters={"num_beams": 2})).status == 200
