from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.checkpoints.pretrained import load_tokenizer
from infergraph.tasks.text.languages import language_tokens
from infergraph.tasks.translation import Translation
from tests.checkpoints import TEXT

from .conftest import Ask, Serve

SENTENCES = ["the keeper lights the lamp.", "Mira built it.", "seven gulls!", "who lives there?"]


async def served(
    family: str, checkpoint: Callable[[str], str], serve: Serve, **settings: Any
) -> Translation:
    runtime = await serve("translation-fr-en", checkpoint(family), **settings)
    assert isinstance(runtime, Translation)
    # See test_text_generation.
    runtime.model.generate._network.double()
    return runtime


async def test_sentences_are_translated_one_by_one_and_joined_as_they_were(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("marian", checkpoint, serve)
    one, two, three, four = (await ask(runtime, text=SENTENCES))["text"]
    texts = [
        "  {} {}\n\n{}\t{}\n",
        "{1}\n***\n{1}",
        "{0}",
        "{2} — {3}",
    ]

    answer = await ask(runtime, text=[text.format(*SENTENCES) for text in texts])

    assert len({one, two, three, four}) == 4
    assert answer["text"][:3] == [f"{one} {two}\n\n{three}\t{four}", f"{two}\n***\n{two}", one]
    # A dash does not begin a sentence in lower case.
    assert (
        answer["text"][3]
        == (await ask(runtime, text=["seven gulls! — who lives there?"]))["text"][0]
    )


async def test_all_sentences_of_a_batch_run_together(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("marian", checkpoint, serve, max_batch_size=3)
    texts = [f"{WORD} built it. {WORD} lives there." for WORD in ("Mira", "Arden", "Solano")]
    expected = [(await ask(runtime, text=[text]))["text"][0] for text in texts]
    generate, rows = runtime.model.generate, []

    def noting(batch: dict[str, torch.Tensor], search: Any) -> list[str]:
        rows.append(len(batch["input_ids"]))
        return generate(batch, search)

    noting.padded, noting.max_rows = generate.padded, generate.max_rows  # type: ignore[attr-defined]
    runtime.model = replace(runtime.model, generate=noting)

    assert (await ask(runtime, text=texts))["text"] == expected
    assert rows == [3, 3]


async def test_a_text_as_a_whole(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    split = await served("marian", checkpoint, serve)
    whole = await served("marian", checkpoint, serve, split_sentences="false")
    text = " ".join(SENTENCES[:2])

    first, second = await ask(split, text=[text]), await ask(whole, text=[f" {text}\n"])

    assert first != second
    assert await ask(whole, text=[SENTENCES[0]]) == await ask(split, text=[SENTENCES[0]])


async def test_what_holds_no_words_stays(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("marian", checkpoint, serve)

    assert (await ask(runtime, text=["***", " … \n--- "]))["text"] == ["***", "… \n---"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tensor 'text': empty text; accepted: at least one word"),
        ("\n \t", "tensor 'text': empty text"),
        ("x" * 1_000_000, "1000000 characters; accepted: at most 20000 (setting 'max_text_char"),
        ("Mira\x00 built", "tensor 'text': control character U+0000 at position 4"),
        ("Mira\x1b[31m", "tensor 'text': control character U+001B at position 4"),
        (
            f"Mira built it. T{TEXT[1:]} {TEXT}.",
            "tensor 'text', sentence 2 ('The lighthouse of Arden was built by Mir…'): ",
        ),
        (b"\xe9", "tensor 'text', item 1: not valid UTF-8"),
    ],
)
async def test_a_bad_item_is_the_callers_fault(
    text: str, message: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("marian", checkpoint, serve)

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, text=["Mira built it.", text])

    assert caught.value.status_code == 400
    assert message in str(caught.value)
    assert "item 1" in str(caught.value)


async def test_of_a_long_sentence_the_first_part_is_translated(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("mbart", checkpoint, serve, truncation=True, max_source_length=7)

    answer = (await ask(runtime, text=[f"{TEXT}. Mira", " ".join(TEXT.split()[:5]), "Mira"]))[
        "text"
    ]

    assert answer[0] == f"{answer[1]} {answer[2]}"


@pytest.mark.parametrize(
    ("family", "source", "target", "ids"),
    [
        ("m2m100", "fr", "en", ("__fr__", "__en__")),
        ("nllb", "fra_Latn", "eng_Latn", ("fra_Latn", "eng_Latn")),
        ("nllb", "fra", "zho_Hant", ("fra_Latn", "zho_Hant")),
        ("mbart", "fr_XX", "de_DE", ("fr_XX", "de_DE")),
        ("mbart", "fr", "de", ("fr_XX", "de_DE")),
        ("mbart50", "de", "pt_XX", ("de_DE", "pt_XX")),
    ],
)
async def test_languages(
    family: str,
    source: str,
    target: str,
    ids: tuple[str, str],
    checkpoint: Callable[[str], str],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = await served(
        family, checkpoint, serve, source_language=source, target_language=target
    )
    tokenizer = load_tokenizer(checkpoint(family))
    source_id, target_id = (tokenizer.convert_tokens_to_ids(token) for token in ids)

    item = runtime.prepare({"text": "Mira"})

    special = {token for token in item.ids[0].tolist() if token in language_ids(tokenizer)}
    assert special == {source_id}
    assert runtime.model.generate._base.forced_bos_token_id == target_id


def language_ids(tokenizer: Any) -> set[int]:
    return set(language_tokens(tokenizer).values())


@pytest.mark.parametrize(
    ("family", "settings", "text"),
    [
        (
            "m2m100",
            {"source_language": "xx"},
            "setting 'source_language' = 'xx': the checkpoint translates between many languages; "
            "accepted: af, am, ar, ast, az, ba, be, bg, bn, br, bs, ca and 88 more",
        ),
        ("m2m100", {"target_language": None}, "setting 'target_language' is not set: the checkp"),
        (
            "nllb",
            {"source_language": "fra_Latn"},
            "setting 'target_language' = 'en': the checkpoint translates between many languages; "
            "accepted: deu_Latn, eng_Latn, fra_Latn, spa_Latn, zho_Hans, zho_Hant",
        ),
        (
            "nllb",
            {"source_language": "zho", "target_language": "eng"},
            "setting 'source_language' = 'zho': the checkpoint translates between many languages; "
            "accepted: zho_Hans, zho_Hant",
        ),
        ("mbart", {"target_language": "english"}, "setting 'target_language' = 'english'"),
    ],
)
async def test_a_language_that_the_tokenizer_does_not_know(
    family: str,
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await served(family, checkpoint, serve, **settings)

    assert text in str(caught.value)


async def test_the_prefix_is_the_checkpoints_own_for_the_languages_or_a_setting(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    tokenizer = load_tokenizer(checkpoint("t5"))
    known = await serve("translation-en-de", checkpoint("t5"))
    unknown = await served("t5", checkpoint, serve)
    chosen = await served("t5", checkpoint, serve, prefix="who built: ")

    for runtime, prefix in (
        (known, "translate English to German: "),
        (unknown, ""),
        (chosen, "who built: "),
    ):
        expected = tokenizer(f"{prefix}the lamp")["input_ids"]
        assert runtime.prepare({"text": "the lamp"}).ids[0].tolist() == expected
