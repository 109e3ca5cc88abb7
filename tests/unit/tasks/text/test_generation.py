"""Generation over every family: the network's own answers, alone and in any batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.checkpoints.pretrained import load_tokenizer
from tests.exhaustive import one_in

from ..conftest import Ask, Serve
from ..text_families import FAMILIES, TEXTS, WORDS, folder_of, paired, served

FIRST_TOKEN = {"m2m100": "__en__", "nllb": "eng_Latn", "mbart": "en_XX", "mbart50": "en_XX"}
SOURCE = {"m2m100": "fr", "nllb": "fra_Latn", "mbart": "fr_XX", "mbart50": "fr_XX"}
# What T5's configuration says of the two tasks, in the words of `generate`.
T5 = {
    "t5": ("translate English to German: ", {"early_stopping": True, "max_length": 24}),
    "t5-summarization": (
        "summarize: ",
        {
            "early_stopping": True,
            "length_penalty": 2.0,
            "max_length": 28,
            "min_length": 6,
            "no_repeat_ngram_size": 3,
        },
    ),
}

SEARCHES: dict[str, dict[str, Any]] = {
    "the checkpoint's own": {},
    "greedy": {"num_beams": 1},
    "greedy, rules": {
        "num_beams": 1,
        "min_new_tokens": 9,
        "max_new_tokens": 16,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.4,
    },
    "beams": {"num_beams": 3, "early_stopping": False, "length_penalty": -1.0},
    "beams, rules": {
        "num_beams": 3,
        "early_stopping": True,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 3,
        "min_new_tokens": 10,
    },
    "beams, never": {
        "num_beams": 2,
        "early_stopping": "never",
        "length_penalty": 0.5,
        "max_new_tokens": 9,
    },
}


def reference(family: str, folder: str, texts: list[str], search: dict[str, Any]) -> list[str]:
    """What transformers itself gives for each text alone."""
    tokenizer = load_tokenizer(folder)
    network = AutoModelForSeq2SeqLM.from_pretrained(folder).eval().double()
    prefix, arguments = T5.get(family, ("", {}))
    arguments = {"num_beams": 4, **arguments} if family in T5 else dict(arguments)
    arguments |= search
    if "max_new_tokens" in search:
        arguments.pop("max_length", None)
        network.generation_config.max_length = None
    if "min_new_tokens" in search or "max_new_tokens" in search:
        shortest = arguments.pop("min_length", network.generation_config.min_length) or 1
        network.generation_config.min_length = None
        wanted = search.get("min_new_tokens", shortest - 1)
        arguments["min_new_tokens"] = min(wanted, search.get("max_new_tokens", wanted))
    if family in FIRST_TOKEN:
        tokenizer.src_lang = SOURCE[family]
        arguments["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(FIRST_TOKEN[family])
    answers = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(prefix + text, return_tensors="pt")["input_ids"]
            tokens = network.generate(ids, attention_mask=torch.ones_like(ids), **arguments)
            answers.append(tokenizer.decode(tokens[0], skip_special_tokens=True).strip())
    return answers


@pytest.mark.parametrize(("family", "search"), one_in(3, paired(FAMILIES, [*SEARCHES])))
async def test_answers_are_the_networks_own_alone_and_together(
    family: str, search: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    parameters = SEARCHES[search]
    expected = reference(family, folder_of(family, checkpoint), TEXTS, parameters)
    runtime = await served(family, checkpoint, serve)

    together = (await ask(runtime, parameters, text=TEXTS))["text"]
    alone = [(await ask(runtime, parameters, text=[text]))["text"][0] for text in TEXTS[:2]]

    # Else a swap of two rows would not show.
    assert len(set(expected)) > len(TEXTS) // 2
    assert together == expected
    assert alone == expected[:2]


@pytest.mark.parametrize("family", ["marian", "bart", "t5"])
async def test_a_sample_depends_on_its_seed_alone(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(family, checkpoint, serve)
    sampled = {"do_sample": True, "temperature": 1.3, "top_k": 12, "top_p": 0.9, "seed": 7}

    together = (await ask(runtime, sampled, text=TEXTS))["text"]
    alone = []
    for text in TEXTS:
        torch.rand(3)  # the process's own generator moves on
        alone.append((await ask(runtime, sampled, text=[text]))["text"][0])
    other = (await ask(runtime, {**sampled, "seed": 8}, text=TEXTS))["text"]

    assert alone == together
    assert sum(a != b for a, b in zip(together, other, strict=True)) > len(TEXTS) // 2
    assert together != (await ask(runtime, {"num_beams": 1}, text=TEXTS))["text"]


async def test_equal_texts_are_computed_once(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("marian", checkpoint, serve)
    expected = (await ask(runtime, text=TEXTS[:2]))["text"]
    read: list[int] = []
    runtime.model.generator.network.get_encoder().register_forward_pre_hook(
        lambda module, inputs, named: read.append(len(named["input_ids"])), with_kwargs=True
    )

    answer = await ask(runtime, text=[TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[1]])

    assert sum(read) == 2
    assert answer["text"] == [expected[1], expected[0], expected[1], expected[1]]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"num_beam": 2}, "unknown parameter 'num_beam'; did you mean 'num_beams'? accepted: do_s"),
        (
            {"num_beams": 9},
            "parameter 'num_beams' = 9: accepted: 1 to 8 (setting 'num_beams_limit'",
        ),
        ({"num_beams": 0}, "parameter 'num_beams' = 0: accepted: 1 to 8"),
        ({"num_beams": "many"}, "parameter 'num_beams' = 'many': input should be a valid integer"),
        ({"num_beams": True}, "parameter 'num_beams' = True: a boolean; accepted: a number"),
        (
            {"max_new_tokens": 65},
            "'max_new_tokens' = 65: accepted: 1 to 64 (the positions of the checkpoint's decoder)",
        ),
        ({"max_new_tokens": 0}, "parameter 'max_new_tokens' = 0: accepted: 1 to 64"),
        (
            {"max_new_tokens": 5, "min_new_tokens": 6},
            "parameter 'min_new_tokens' = 6: accepted: 0 to 5 ('max_new_tokens')",
        ),
        ({"length_penalty": "nan"}, "parameter 'length_penalty' = 'nan'"),
        ({"length_penalty": -4.5}, "accepted: -4 to 4 (setting 'length_penalty_limit')"),
        ({"repetition_penalty": 0}, "'repetition_penalty' = 0.0: accepted: above 0, at most 4"),
        ({"no_repeat_ngram_size": -1}, "'no_repeat_ngram_size' = -1: accepted: 0 to 64"),
        ({"early_stopping": "always"}, "parameter 'early_stopping' = 'always'"),
        ({"do_sample": True, "num_beams": 2}, "'num_beams' = 2: accepted: 1, since 'do_sample'"),
        (
            {"do_sample": True, "temperature": 0},
            "'temperature' = 0.0: accepted: above 0, at most 4",
        ),
        ({"do_sample": True, "top_p": 1.5}, "'top_p' = 1.5: accepted: above 0, at most 1"),
        ({"do_sample": True, "top_k": -1}, "parameter 'top_k' = -1: accepted: 0 to"),
        ({"seed": -1}, "parameter 'seed' = -1: accepted: 0 to 9223372036854775807"),
    ],
)
async def test_a_parameter_that_is_not_accepted(
    parameters: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await served("marian", checkpoint, serve)

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, parameters, text=["the lamp"])

    assert caught.value.status_code == 400
    assert text in str(caught.value)


async def test_parameters_as_text_and_with_those_of_the_protocol(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("bart", checkpoint, serve)
    numbers = {"num_beams": 3, "length_penalty": 0.5, "early_stopping": True}
    texts = {"num_beams": "3", "length_penalty": "0.5", "early_stopping": "true", "priority": 1}

    assert await ask(runtime, numbers, text=TEXTS) == await ask(runtime, texts, text=TEXTS)


async def test_a_request_goes_before_the_settings_and_these_before_the_checkpoint(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("bart", checkpoint, serve, num_beams="2", max_new_tokens="12")
    parameters = runtime.parameters_class
    assert parameters is not None

    settings = runtime.accept(parameters())
    request = runtime.accept(parameters(num_beams=5, max_new_tokens=4))
    sampled = runtime.accept(parameters(do_sample=True))

    assert (settings.num_beams, settings.max_new_tokens) == (2, 12)
    assert (settings.min_new_tokens, settings.length_penalty) == (7, 2.0)
    assert (request.num_beams, request.max_new_tokens, request.min_new_tokens) == (5, 4, 4)
    assert (sampled.num_beams, sampled.do_sample, sampled.top_k) == (1, True, 50)
    # Requests that mean the same share batches.
    assert settings == runtime.accept(parameters(num_beams=2))
    assert hash(settings) == hash(runtime.accept(parameters(num_beams=2)))


@pytest.mark.parametrize(
    ("family", "settings", "text"),
    [
        ("marian", {"num_beams": 9}, "setting 'num_beams' = 9: accepted: 1 to 8 (setting 'num_b"),
        ("marian", {"max_new_tokens": 65}, "setting 'max_new_tokens' = 65: accepted: 1 to 64"),
        ("t5", {"max_new_tokens": 513}, "accepted: 1 to 512 (setting 'max_new_tokens_limit')"),
        ("marian", {"min_new_tokens": 30}, "'min_new_tokens' = 30: accepted: 0 to 23"),
        ("marian", {"do_sample": True, "num_beams": 2}, "'num_beams' = 2: accepted: 1, since"),
        ("marian", {"num_beams_limit": 0}, "setting 'num_beams_limit' = 0"),
        ("marian", {"max_source_length": 65}, "'max_source_length' = 65: the checkpoint takes at"),
        ("marian", {"num_bems": 3}, "did you mean 'num_beams'?"),
        ("bart", {"max_source_length": 2}, "a length of 2 tokens leaves no room for text"),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    family: str,
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await served(family, checkpoint, serve, **settings)

    assert text in str(caught.value)


async def test_limits_are_settings(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(
        "t5", checkpoint, serve, num_beams_limit=2, max_new_tokens_limit=6, temperature_limit=1
    )

    # The checkpoint's own four beams and 23 tokens are cut to the limits.
    accepted = runtime.accept(runtime.parameters_class())  # type: ignore[misc]
    assert (accepted.num_beams, accepted.max_new_tokens) == (2, 6)
    for parameters in ({"num_beams": 3}, {"max_new_tokens": 7}, {"temperature": 1.1}):
        with pytest.raises(InvalidInput, match="_limit'"):
            await ask(runtime, parameters, text=["the lamp"])


async def test_relative_positions_take_longer_texts(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    text = " ".join(WORDS[:60] * 4)
    short = await served("t5-summarization", checkpoint, serve)
    long = await served("t5-summarization", checkpoint, serve, max_source_length=200)

    with pytest.raises(InvalidInput, match="tokens; accepted: at most 64, unless the setting"):
        await ask(short, text=[text])
    assert (await ask(long, text=[text]))["text"][0]


async def test_a_checkpoint_that_does_not_generate_is_refused(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match="cannot load the network of the checkpoint"):
        await serve("summarization", checkpoint("bert"))
