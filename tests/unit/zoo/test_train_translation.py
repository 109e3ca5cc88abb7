"""Training of translation, on tiny sizes: tokenizer, batches, and a checkpoint that loads."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, MarianMTModel, MarianTokenizer

from zoo.evaluate_translation import score, translate
from zoo.train_translation import batches, encode, main, new_model, train_tokenizer
from zoo.translation_data import training_pairs

ARGUMENTS = argparse.Namespace(
    source="fr", target="en", seed=0, steps=3, batch_tokens=200, hidden_size=16, inner_size=32,
    layers=1, heads=2,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models of this size are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer() -> MarianTokenizer:
    texts = [text for pair in training_pairs(0, 500, "fr", "en") for text in pair]
    return train_tokenizer(texts, 600, "fr", "en")


def test_texts_come_back_from_their_pieces(tokenizer: MarianTokenizer) -> None:
    for text in (
        "Où habite Brenou Tilask ?",
        "quel âge a zwyxqueline",
        "¿Dónde está Ärger-Straße?",
        "La capitale de l'Égypte est Le Caire.",
    ):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_a_name_has_the_same_pieces_on_both_sides(tokenizer: MarianTokenizer) -> None:
    source = tokenizer("Brenou Tilask")["input_ids"]

    assert tokenizer(text_target="Brenou Tilask")["input_ids"] == source


def test_the_vocabulary_has_the_size_asked_for_and_equal_texts_give_equal_pieces(
    tokenizer: MarianTokenizer,
) -> None:
    texts = [text for pair in training_pairs(0, 500, "fr", "en") for text in pair]

    assert len(tokenizer) == 600
    assert train_tokenizer(texts, 600, "fr", "en").get_vocab() == tokenizer.get_vocab()


def test_labels_end_and_ignore_padding(tokenizer: MarianTokenizer) -> None:
    batch = encode(tokenizer, [("Où habite Anna ?", "Where does Anna live?"), ("Anna", "Anna")])

    for row, text in enumerate(("Where does Anna live?", "Anna")):
        labels = batch["labels"][row]
        kept = labels[labels != -100]
        assert kept[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(kept, skip_special_tokens=True) == text
    assert (batch["labels"][1] == -100).any()
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
    assert batch["attention_mask"].sum(-1).tolist()[1] < batch["attention_mask"].shape[1]


def test_batches_are_as_many_and_as_large_as_asked_for(tokenizer: MarianTokenizer) -> None:
    made = list(batches(tokenizer, ARGUMENTS))

    assert len(made) == 3
    for batch in made:
        assert 1 <= len(batch["input_ids"]) == len(batch["labels"]) < 50
    again = list(batches(tokenizer, ARGUMENTS))
    assert all(
        torch.equal(here[name], there[name])
        for here, there in zip(made, again, strict=True)
        for name in here
    )


def test_a_model_fits_and_then_generates_the_sentence(tokenizer: MarianTokenizer) -> None:
    torch.manual_seed(0)
    model = new_model(tokenizer, ARGUMENTS)
    pair = ("Où habite Anna Weber ?", "Where does Anna Weber live?")
    batch = encode(tokenizer, [pair])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()

    assert translate(model, tokenizer, [pair[0]]) == [pair[1]]
    assert translate(model, tokenizer, [pair[0]], num_beams=3) == [pair[1]]


def test_a_trained_checkpoint_loads_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sizes = "--vocabulary 600 --hidden-size 16 --inner-size 32 --layers 1 --heads 2"
    run = "--steps 2 --batch-tokens 200 --threads 1"
    languages = ["--source", "en", "--target", "de", "--output", str(tmp_path)]
    main([*languages, *sizes.split(), *run.split()])

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert isinstance(tokenizer, MarianTokenizer)
    assert isinstance(model, MarianMTModel)
    assert (tokenizer.source_lang, tokenizer.target_lang) == ("en", "de")
    assert model.dtype == torch.float16
    assert model.generation_config.decoder_start_token_id == tokenizer.pad_token_id
    assert model.generation_config.bad_words_ids == [[tokenizer.pad_token_id]]
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "source.spm",
        "target.spm",
        "tokenizer_config.json",
        "vocab.json",
    }


def test_one_language_is_no_direction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--source", "en", "--target", "en", "--output", str(tmp_path)])
    assert "source and target are both en" in capsys.readouterr().err


def test_scores_are_of_whole_sentences_and_of_letters() -> None:
    exact = score(["Wo wohnt Anna?"], ["Wo wohnt Anna?"])
    close = score(["Wo wohnt Anna?", "Wo wohnt Eva?"], ["Wo wohnt Anna?", "Wo wohnt Eve?"])

    assert (exact.exact_match, exact.chrf, exact.count) == (1.0, 100.0, 1)
    assert close.exact_match == 0.5
    assert 70 < close.chrf < 100
    assert str(exact) == "EM 100.0%  chrF 100.0  n=1"
