from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, Rejected

from .conftest import Ask, Serve


async def test_an_item_is_refused_by_its_own_values(serve: Serve, ask: Ask) -> None:
    runtime = await serve("unsupported-language")

    with pytest.raises(Rejected) as caught:
        await ask(runtime, language=["it"], text=["Il faro"])

    assert caught.value.status_code == 400
    assert str(caught.value).endswith("language 'it' is not supported; accepted: en, fr, es, de")
    assert not runtime.blocking


async def test_of_several_items_the_first_is_named(serve: Serve, ask: Ask) -> None:
    runtime = await serve("unsupported-language")

    with pytest.raises(Rejected, match="item 0: language 'nl' is not supported"):
        await ask(runtime, language=["nl", "sv"], text=["a", "b"])


@pytest.mark.parametrize(
    ("message", "inputs", "text"),
    [
        ("no", {"language": ["it"], "text": ["a"]}, "no"),
        ("{{{language}}}: {text}", {"language": ["it"], "text": ["a\nb"]}, "{it}: a b"),
        ("{text}", {"language": ["it"], "text": ["x" * 200]}, "x" * 80 + "…"),
        ("{text}", {"language": ["it"], "text": [b"\xff"]}, "\ufffd"),
        # Fields are filled in once: what a client sends is not a template.
        ("{text}", {"language": ["it"], "text": ["{language}"]}, "{language}"),
    ],
)
async def test_messages(
    message: str, inputs: dict[str, Any], text: str, serve: Serve, ask: Ask
) -> None:
    runtime = await serve("unsupported-language", message=message)

    with pytest.raises(Rejected) as caught:
        await ask(runtime, **inputs)

    assert str(caught.value) == f"model 'unsupported-language': {text}"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{lang}", "no input 'lang' to fill in; accepted: {language}, {text}"),
        ("{}", "no input '' to fill in"),
        ("{0}", "no input '0' to fill in"),
        ("{text.__class__}", "no input 'text.__class__' to fill in"),
        ("{text!r}", "no input 'text' to fill in"),
        ("{text:>10}", "no input 'text' to fill in"),
        ("{text", "setting 'message' = '{text': "),
    ],
)
async def test_a_wrong_message_fails_at_load(message: str, text: str, serve: Serve) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve("unsupported-language", message=message)

    assert text in str(caught.value)


async def test_a_field_must_be_an_input_that_always_comes(serve: Serve) -> None:
    with pytest.raises(ConfigurationError, match="no input 'language' to fill in"):
        await serve("unsupported-language", optional_inputs=["language"])


async def test_it_needs_a_message(serve: Serve) -> None:
    with pytest.raises(ConfigurationError, match="setting 'message'"):
        await serve("unsupported-language", message=None)


async def test_numbers_are_shown(serve: Serve, ask: Ask) -> None:
    runtime = await serve(
        "unsupported-language",
        message="a score of {score} is too low",
        declared={"inputs": [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]},
    )

    with pytest.raises(Rejected, match=r"a score of \[0\.5\] is too low"):
        await ask(runtime, score=np.array([[0.5]], np.float32))
