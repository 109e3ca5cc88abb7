"""Text detection: kernels, the network, a training, and how found lines are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import ImageFont

from infergraph.tasks.vision.text_map import LineRules, find_lines
from zoo import signs, train_text_detection
from zoo.evaluate_text_detection import is_turned, is_unread, matches, overlap
from zoo.signs import Quad
from zoo.text_detection_data import KERNEL_RATIO, SIDE, WindowExample, kernel, of_scene
from zoo.train_text_detection import (
    DetectionLoss,
    batch_of,
    build_network,
    main,
    network_input,
    save,
)

EMBEDDED = Path(__file__).parents[3] / "model-settings" / "text-detection" / "embedded"


def _quad(x1: float, y1: float, x2: float, y2: float) -> Quad:
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[WindowExample]:
    monkeypatch.setattr(signs, "any_font", lambda rng, split, size: ImageFont.load_default(size))
    return [each for seed in range(4) for each in of_scene(seed, "train")]


@pytest.mark.parametrize("size", [(200, 20), (30, 20), (12, 12)])
def test_unclipping_a_kernel_gives_the_line(size: tuple[int, int]) -> None:
    width, height = size
    made = kernel(_quad(10, 5, 10 + width, 5 + height))

    (x1, y1), (x2, y2) = made[0], made[2]
    inner_width, inner_height = x2 - x1, y2 - y1
    moved = KERNEL_RATIO * inner_width * inner_height / (2 * (inner_width + inner_height))
    assert 0 < inner_height < height
    assert (x1 - moved, y1 - moved) == pytest.approx((10, 5), abs=0.01)
    assert (x2 + moved, y2 + moved) == pytest.approx((10 + width, 5 + height), abs=0.01)


def test_windows_mark_lines(windows: list[WindowExample]) -> None:
    assert len(windows) == 12
    for pixels, kernels, unknown in windows:
        assert pixels.shape == (SIDE, SIDE, 3)
        assert kernels.shape == unknown.shape == (SIDE, SIDE)
    assert any(kernels.any() for _, kernels, _ in windows)


def test_the_input_is_that_of_the_processor() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    processor = train_text_detection.processor()

    expected = processor(images=pixels, return_tensors="pt")["pixel_values"][0]

    torch.testing.assert_close(network_input(torch.from_numpy(pixels)[None])[0], expected)


def test_losses_fall_and_what_is_unknown_does_not_count(windows: list[WindowExample]) -> None:
    torch.manual_seed(0)
    network = build_network()
    some = [each for each in windows if each[1].any()][:2]
    batch = batch_of(some, np.random.default_rng(0))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        loss = DetectionLoss(network)(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    nowhere = batch | {"unknown": torch.ones_like(batch["unknown"])}

    assert losses[-1] < losses[0]
    assert DetectionLoss(network)(**nowhere).loss.item() == pytest.approx(1.0, abs=0.01)


def test_saved_branches_change_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network()
    pixels = torch.randn(2, 3, 64, 96)
    network(pixels)
    network.train(False)
    with torch.no_grad():
        expected = network(pixels).last_hidden_state
        save(network, tmp_path)
        loaded = hf.AutoModelForObjectDetection.from_pretrained(tmp_path, dtype=torch.float32)
        found = loaded(pixels).last_hidden_state

    assert found.shape == (2, 1, 64, 96)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0.02)


@pytest.mark.exhaustive
def test_a_training_writes_a_checkpoint_and_goes_on_from_it(
    tmp_path: Path, windows: list[WindowExample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_text_detection, "windows", lambda split, part: windows[:4])
    given = [f"--output={tmp_path}", "--steps=2", "--batch-size=2", "--warm-up=1", "--validation=1"]
    given.append(f"--threads={torch.get_num_threads()}")

    main([*given, "--save-every=1"])
    first = (tmp_path / "model.safetensors").read_bytes()
    main([*given, f"--start={tmp_path}"])

    assert (tmp_path / "model.safetensors").read_bytes() != first


def test_overlaps() -> None:
    square = _quad(0, 0, 10, 10)
    diamond = np.array([(5, -5), (15, 5), (5, 15), (-5, 5)], np.float32)

    assert overlap(square, square) == pytest.approx(1)
    assert overlap(square, _quad(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap(square, _quad(20, 0, 30, 10)) == 0
    assert overlap(square, diamond) == pytest.approx(100 / 200)
    assert overlap(diamond, square) == pytest.approx(100 / 200)


def test_a_line_is_found_once() -> None:
    wanted = [_quad(0, 0, 100, 20), _quad(0, 30, 100, 50)]
    found = np.stack([_quad(0, 33, 100, 50), _quad(2, 1, 100, 20), _quad(0, 0, 80, 20)])

    assert matches(found, wanted) == {0: 1, 1: 0}
    assert is_unread(_quad(4, 4, 6, 6), [_quad(0, 0, 10, 10)])
    assert not is_unread(_quad(40, 4, 60, 6), [_quad(0, 0, 10, 10)])
    assert is_turned(np.array([(0, 0), (10, 2), (10, 5), (0, 3)], np.float32))
    assert not is_turned(_quad(0, 0, 10, 10))


def test_the_embedded_checkpoint_finds_lines_and_nothing_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signs, "any_font", lambda rng, split, size: ImageFont.load_default(size))
    network = hf.AutoModelForObjectDetection.from_pretrained(EMBEDDED, dtype=torch.float32)
    found, right, wanted, wrong = 0, 0, 0, 0
    with torch.inference_mode():
        for seed in range(8):
            made = signs.sign_scene(seed, "held_out", signs=2 if seed < 6 else 0)
            pixels = network_input(torch.from_numpy(np.asarray(made.image).copy())[None])
            quads, _ = find_lines(
                network(pixels).last_hidden_state[0, 0].numpy(), LineRules(0.3, 0.6, 1.5, 3, 1000)
            )
            matched = matches(quads, [line.quad for line in made.lines])
            right += len(matched)
            wanted += len(made.lines)
            # Licence plates are text, too.
            found += sum(
                number in matched or not is_unread(quad, made.unread)
                for number, quad in enumerate(quads)
            )
            wrong += sum(not is_unread(quad, made.unread) for quad in quads if not made.lines)

    assert wanted > 12
    assert right / wanted >= 0.85
    assert right / found >= 0.85
    assert wrong == 0
