"""What is far from a classifier's own pictures is unknown; what is near is told apart as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.vision.classifiers import load_classifier
from infergraph.tasks.vision.familiarity import FILE, FamiliarLinear, save
from tests.pictures import pattern

from ..image_references import TIMM

PLACEMENT = Placement(torch.device("cpu"), torch.float32, False)
LABELS, FEATURES = 3, 4
CENTRES = torch.tensor([[5.0, 0], [0, 5]])
WHITENING = torch.eye(FEATURES)[:, :2]


def familiar(near: float = 2.0, slope: float = 4.0) -> FamiliarLinear:
    torch.manual_seed(0)
    layer = torch.nn.Linear(FEATURES, LABELS)
    return FamiliarLinear(layer, CENTRES, WHITENING, torch.tensor(near), torch.tensor(slope))


@torch.inference_mode()
def test_the_farther_from_all_labels_the_more_unknown() -> None:
    network = familiar()
    steps = torch.tensor([0.0, 1, 2, 4, 8, 100])
    # Away from the first label, and from the second no nearer.
    features = torch.zeros(len(steps), FEATURES)
    features[:, 0] = 5 + steps

    unknown = network(features).softmax(dim=1)[:, -1]
    of_layer = network.layer(features).softmax(dim=1)
    assert (unknown.diff() > 0).all()
    assert unknown[-1] > 0.99
    torch.testing.assert_close(unknown[0], of_layer[0, -1])
    world = network(features)[:, :-1].softmax(dim=1)
    torch.testing.assert_close(world, network.layer(features)[:, :-1].softmax(dim=1))


@torch.inference_mode()
def test_at_the_distance_near_a_picture_is_as_likely_unknown_as_of_the_world() -> None:
    network = familiar(near=float(torch.tensor(9.0).log()))
    network.layer.bias[-1] = -100.0
    scores = network(torch.tensor([[5.0, 3, 0, 0]])).softmax(dim=1)
    assert scores[0, -1] == pytest.approx(0.5, abs=1e-4)


@torch.inference_mode()
def test_answers_do_not_depend_on_the_batch_and_keep_the_dtype() -> None:
    network = familiar()
    network.layer.to(torch.bfloat16)
    features = torch.randn(5, FEATURES).to(torch.bfloat16)
    together = network(features)
    assert together.dtype == torch.bfloat16
    alone = torch.cat([network(row[None]) for row in features])
    torch.testing.assert_close(together, alone)


def with_file(folder: str, features: int, labels: int, near: float) -> None:
    torch.manual_seed(0)
    save(Path(folder), torch.randn(labels - 1, 5), torch.randn(features, 5), near, 8.0)


@pytest.fixture
def folder(checkpoint: Callable[[str], str], tmp_path: Path) -> str:
    """A copy of a classifier of timm's."""
    made = tmp_path / "copy"
    made.mkdir()
    for each in Path(checkpoint(TIMM[0])).iterdir():
        (made / each.name).write_bytes(each.read_bytes())
    return str(made)


@torch.inference_mode()
def test_a_checkpoint_with_the_file_calls_what_is_far_unknown(folder: str) -> None:
    plain = load_classifier(folder, PLACEMENT)
    pixels = plain.pixels(plain.prepare(pattern(64, 64, seed=1)))
    before = plain.network(pixels)
    labels = before.shape[1]
    features = last_weight(folder).shape[1]

    with_file(folder, features, labels, near=100.0)
    torch.testing.assert_close(load_classifier(folder, PLACEMENT).network(pixels), before)
    with_file(folder, features, labels, near=-100.0)
    far = load_classifier(folder, PLACEMENT).network(pixels)
    assert far.argmax(dim=1).tolist() == [labels - 1]
    torch.testing.assert_close(far[:, :-1], before[:, :-1])


def last_weight(folder: str) -> torch.Tensor:
    return [
        each
        for name, each in load_file(Path(folder, "model.safetensors")).items()
        if name.endswith("fc.weight")
    ][-1]


def test_a_file_of_another_network_is_refused(folder: str) -> None:
    with_file(folder, 7, 3, near=1.0)
    with pytest.raises(ConfigurationError, match=rf"{FILE}: shapes .*; accepted: centres"):
        load_classifier(folder, PLACEMENT)


@pytest.mark.parametrize("damage", ["cut", "other names"])
def test_a_damaged_file_is_refused(folder: str, damage: str) -> None:
    with_file(folder, last_weight(folder).shape[1], 3, near=1.0)
    path = Path(folder, FILE)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        save_file({"middles": torch.zeros(2, 2)}, path)
    with pytest.raises(ConfigurationError, match=r"familiarity\.safetensors|middles"):
        load_classifier(folder, PLACEMENT)
