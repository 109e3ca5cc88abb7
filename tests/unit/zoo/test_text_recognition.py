"""Text recognition: lines for the training, the network, a training, and its scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import ImageFont

from infergraph.tasks.text.language_model import read_language_model
from infergraph.tasks.text_recognition import TextRecognition
from infergraph.tasks.vision.text_reader import Reading as Line
from zoo import signs, train_text_recognition
from zoo.evaluate_text_detection import load
from zoo.evaluate_text_recognition import Reading, distance, report, words_right
from zoo.text_recognition_data import HEIGHT, LineExample, drawn, frames, labels, network_input
from zoo.train_text_recognition import (
    CLASSES,
    RecognitionLoss,
    batch_of,
    build_network,
    logits_of,
    main,
    save,
    save_language_model,
    score_temperature,
)

EMBEDDED = Path(__file__).parents[3] / "model-settings" / "text-recognition" / "embedded"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[LineExample]:
    """Ten lines in Pillow's own font."""
    monkeypatch.setattr(signs, "any_font", lambda rng, split, size: ImageFont.load_default(size))
    return drawn(0, "train")


def test_lines_have_texts_and_places(lines: list[LineExample]) -> None:
    assert len(lines) >= 10
    for pixels, text, middles in lines:
        assert pixels.shape[0] == HEIGHT
        assert len(middles) == len(text)
        assert (np.diff(middles) > 0).all()
        assert (middles > -HEIGHT / 4).all()
        assert (middles < pixels.shape[1] + HEIGHT / 4).all()


def test_a_line_is_padded_on_its_right_by_its_own_width() -> None:
    values = network_input(np.full((HEIGHT, 70, 3), 255, np.uint8))

    assert values.shape == (3, HEIGHT, 96)
    assert (values[..., :70] == 1).all()
    assert (values[..., 70:] == 0).all()


def test_each_character_has_a_step_in_order() -> None:
    one, two, three = labels("ill")

    wanted = frames("ill", np.array([5, 6, 7], np.float32), 8)

    assert wanted.tolist() == [0, one, two, three, 0, 0, 0, 0]
    assert CLASSES[one] == "i"
    assert CLASSES[two] == CLASSES[three] == "l"
    assert CLASSES[0] == "blank"


def test_saved_branches_change_nothing(tmp_path: Path, lines: list[LineExample]) -> None:
    torch.manual_seed(0)
    network = build_network()
    width = lines[0][0].shape[1]
    batch = batch_of([lines[0]] * 4, np.random.default_rng(0))
    for _ in range(3):
        # Running means that are no longer those of a fresh network.
        logits_of(network, batch["pixels"])
    network.train(False)
    with torch.no_grad():
        expected = logits_of(network, batch["pixels"]).softmax(dim=2)
        save(network, tmp_path)
        loaded = hf.AutoModelForTextRecognition.from_pretrained(tmp_path, dtype=torch.float32)
        found = loaded(batch["pixels"]).last_hidden_state

    assert found.shape == (4, -(-width // 32) * 8, len(CLASSES))
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0.05)
    processor = hf.PPOCRV5ServerRecImageProcessor.from_pretrained(tmp_path)
    assert processor.character_list == CLASSES


def test_a_line_is_learned_by_heart(lines: list[LineExample]) -> None:
    torch.manual_seed(0)
    network = build_network()
    example = next(each for each in lines if len(each[1]) > 1)
    batch = batch_of([example] * 4, np.random.default_rng(0))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = RecognitionLoss(network)(**batch, share=1.0).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.exhaustive
def test_a_training_writes_a_checkpoint_and_goes_on_from_it(
    tmp_path: Path, lines: list[LineExample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_text_recognition, "lines", lambda split, part: lines)
    given = [f"--output={tmp_path}", "--steps=2", "--batch-size=4", "--warm-up=1", "--settle=1"]
    given.append(f"--threads={torch.get_num_threads()}")

    main([*given, "--save-every=1"])
    first = (tmp_path / "model.safetensors").read_bytes()
    main([*given, f"--start={tmp_path}"])

    assert (tmp_path / "model.safetensors").read_bytes() != first


def test_a_temperature_makes_scores_those_of_the_share_that_is_right() -> None:
    # Very sure, and right half of the time.
    logits = [torch.tensor([[6.0, 0.0]]), torch.tensor([[6.0, 0.0]])] * 20
    wanted = ["a", "b"] * 20

    temperature = score_temperature(logits, wanted, lambda line: Line("a", line.max().item()))

    assert temperature > 3
    score = (logits[0] / temperature).softmax(dim=1).max().item()
    assert score == pytest.approx(0.5, abs=0.25)


def test_what_is_read_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert words_right("the red house", "the house") == 2
    assert words_right("a b", "b a") == 1
    assert distance("kitten", "sitting") == 3
    assert distance("", "abc") == 3

    report("true quads", [Reading("one two", "one tw", 0.9), Reading("three", "three", 0.9)])

    printed = capsys.readouterr().out
    assert "words 66.7% of 3, lines 50.0% of 2, character error rate 8.33%" in printed


def test_the_embedded_checkpoint_reads_a_font_that_it_never_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signs, "any_font", lambda rng, split, size: ImageFont.load_default(size))
    network = hf.AutoModelForTextRecognition.from_pretrained(EMBEDDED, dtype=torch.float32)
    reader = load(TextRecognition, EMBEDDED.parent).model
    right, words, sure = 0, 0, 0
    with torch.inference_mode():
        for seed in range(6):
            for pixels, text, _ in drawn(seed, "held_out"):
                found = network(torch.from_numpy(network_input(pixels))[None]).last_hidden_state[0]
                reading = reader.reading_of(found)
                right += words_right(text, reading.text)
                words += len(text.split())
                sure += not text and reading.score >= 0.5

    assert words > 60
    assert right / words >= 0.8
    assert sure <= 1


def test_the_language_model_knows_the_worlds_words_and_no_nonsense(tmp_path: Path) -> None:
    save_language_model(tmp_path, signs=50)

    model = read_language_model(tmp_path)

    assert model is not None
    assert {"the", "hansen", "dreißig", "dreissig", "km"} <= model.words
    assert all(word.isalpha() and word == word.lower() for word in model.words)
