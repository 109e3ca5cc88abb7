from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.checkpoints.pretrained import load_tokenizer
from infergraph.tasks.text.encoder import TextEncoder

FAMILIES = [
    *("bert", "distilbert", "roberta", "xlm-roberta"),
    *("marian", "m2m100", "nllb", "mbart", "mbart50", "bart", "pegasus", "t5"),
]
CPU = torch.device("cpu")


def encoder(folder: str, max_length: int = 64, **settings: Any) -> tuple[TextEncoder, Any]:
    tokenizer = load_tokenizer(folder)
    return TextEncoder(tokenizer, max_length, **{"truncation": False, **settings}), tokenizer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["the lamp", "Mira Solano", "gulls, in 1874!", " the  keeper "])
def test_a_text_has_the_tokenizers_own_tokens(
    family: str, text: str, checkpoint: Callable[[str], str]
) -> None:
    encode, tokenizer = encoder(checkpoint(family))

    assert encode(text, "text").tolist() == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_text_is_refused_or_cut(family: str, checkpoint: Callable[[str], str]) -> None:
    text = "the keeper lights the lamp every morning before he counts the gulls"
    encode, tokenizer = encoder(checkpoint(family), 9)
    cut, _ = encoder(checkpoint(family), 9, truncation=True)
    tokens = len(tokenizer(text)["input_ids"])

    with pytest.raises(InvalidInput) as caught:
        encode(text, "text", "sentence 2")

    assert str(caught.value) == (
        "tensor 'text', sentence 2 ('the keeper lights the lamp every morning…'): "
        f"{tokens} tokens; accepted: at most 9, unless the setting 'truncation' is true"
    )
    assert cut(text, "text").tolist() == tokenizer(text, max_length=9, truncation=True)["input_ids"]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "nllb", "mbart50", "t5"])
def test_special_tokens_in_a_text_are_text(family: str, checkpoint: Callable[[str], str]) -> None:
    encode, tokenizer = encoder(checkpoint(family))
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    plain = encode("a b", "text")
    expected = sorted(each for each in plain.tolist() if each in special)

    for token in (tokenizer.eos_token or tokenizer.sep_token, tokenizer.all_special_tokens[-1]):
        ids = encode(f"a {token} b", "text").tolist()
        assert sorted(each for each in ids if each in special) == expected


def test_the_prefix_belongs_to_the_text(checkpoint: Callable[[str], str]) -> None:
    encode, tokenizer = encoder(checkpoint("t5"), 7, prefix="built by: ", truncation=True)

    whole = tokenizer("built by: the keeper", max_length=7, truncation=True)["input_ids"]
    assert encode("the keeper", "text").tolist() == whole


def test_a_batch_is_padded_at_the_end(checkpoint: Callable[[str], str]) -> None:
    encode, tokenizer = encoder(checkpoint("xlm-roberta"))
    texts = ["the lamp", "the keeper lights the lamp", "gulls"]

    batch = encode.batch([encode(text, "text") for text in texts], CPU)

    expected = tokenizer(texts, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])


def test_a_text_without_tokens_is_refused(checkpoint: Callable[[str], str]) -> None:
    encode, _ = encoder(checkpoint("bert"))

    with pytest.raises(InvalidInput, match="tensor 'text': no text that the model has tokens for"):
        encode("\u200b", "text")


def test_a_length_without_room_for_text(checkpoint: Callable[[str], str]) -> None:
    with pytest.raises(ConfigurationError, match=r"a length of 2 tokens .* at least 3"):
        encoder(checkpoint("bert"), 2)


@pytest.mark.parametrize("family", ["bert", "marian", "nllb"])
def test_threads_may_share_it(family: str, checkpoint: Callable[[str], str]) -> None:
    encode, tokenizer = encoder(checkpoint(family))
    texts = [f"the keeper counts {'gulls ' * count}".strip() for count in range(1, 6)]
    expected = [tokenizer(text)["input_ids"] for text in texts]
    wrong: list[str] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(25):
            for text, ids in zip(texts, expected, strict=True):
                if encode(text, "text").tolist() != ids:
                    wrong.append(text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
