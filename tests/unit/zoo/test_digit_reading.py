"""Digit reading: the frames, training and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from infergraph.tasks.checkpoints.torchvision_checkpoint import load_network
from zoo.evaluate_digit_reading import main as evaluate
from zoo.game_frames import DIGITS, HEIGHT, ICON_BOX, WIDTH, frame
from zoo.train_digit_reading import cells, logits, main

EMBEDDED = Path(__file__).parents[3] / "model-settings" / "digit-reading" / "embedded"


def test_a_frame_is_that_of_its_seed_and_split() -> None:
    one, same, other = (frame(seed, "held-out") for seed in (1, 1, 2))

    assert (one.number, one.icon) == (same.number, same.icon)
    assert one.image.tobytes() == same.image.tobytes() != other.image.tobytes()
    assert one.image.size == (WIDTH, HEIGHT)
    assert one.image.tobytes() != frame(1, "train").image.tobytes()
    assert len(one.number) == DIGITS
    assert one.number.isdigit()


def test_a_frame_may_lack_digits_and_the_icon() -> None:
    signs = "".join(frame(seed, blanks=True, icons=False).number for seed in range(40))

    assert 0.15 < signs.count("?") / len(signs) < 0.45
    x1, y1, x2, y2 = ICON_BOX
    bare, full = (np.asarray(frame(3, icons=icons).image)[y1:y2, x1:x2] for icons in (False, True))
    assert np.abs(bare.astype(int) - full).mean() > 10


def test_cells_and_their_labels() -> None:
    pictures, labels = cells("train", 4)

    assert pictures.shape == (24, 3, 42, 30)
    numbers = [frame(seed, blanks=seed % 3 == 0, icons=False).number for seed in range(4)]
    wanted = [10 if sign == "?" else int(sign) for number in numbers for sign in number]
    assert labels.tolist() == wanted


def test_the_embedded_checkpoint_reads_whole_numbers() -> None:
    network, config = load_network(EMBEDDED)
    pictures, labels = cells("held-out", 300)

    found = logits(network, pictures).argmax(dim=1)

    assert config["architecture"] == "lenet"
    right = (found == labels).view(-1, DIGITS)
    full = (labels < 10).view(-1, DIGITS).all(dim=1)
    assert right[full].all(dim=1).float().mean() >= 0.97
    assert right[~full].float().mean() >= 0.95


def test_a_training_writes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = f"--threads={torch.get_num_threads()}"

    main([f"--output={tmp_path}", "--frames=6", "--steps=3", "--batch-size=8", threads])

    network, config = load_network(tmp_path)
    assert config["labels"] == [*"0123456789", "unknown"]
    assert network(torch.zeros(2, 3, 28, 28)).shape == (2, 11)
    evaluate([f"--checkpoint={tmp_path}", "--frames=4"])
    assert "whole numbers" in capsys.readouterr().out
