"""Classifiers of every family, of folders and of hubs, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm.models._hub
import torch
import torchvision.models._api
from safetensors.torch import load_file
from timm.data.imagenet_info import ImageNetInfo
from torchvision.models import get_model, get_model_weights
from transformers import AutoModel, ViTImageProcessor

from infergraph import download as downloads
from infergraph.checkpoints import locate
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.vision.classifiers import load_classifier
from tests.checkpoints import images
from tests.checkpoints.images import KINDS
from tests.imitation_hub import ImitationHub, files_of, serving, use_hub
from tests.pictures import pattern, pattern_file

from ..image_references import (
    FAMILIES,
    TIMM,
    TORCHVISION,
    reference_logits,
    reference_pixels,
)

SIZES = [(90, 70), (33, 150), (64, 64), (40, 40), (120, 50)]
PICTURES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [pattern_file(*size, seed=seed) for seed, size in enumerate(SIZES)]
PLACEMENT = Placement(torch.device("cpu"), torch.float32, False)

IMAGE = {"name": "image", "datatype": "BYTES", "shape": [-1, 1]}
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [-1, 3, -1, -1]}
BOXES = {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]}
COUNT = {"name": "num_detections", "datatype": "INT64", "shape": [-1, 1]}
LABEL = {"name": "label", "datatype": "BYTES", "shape": [-1, -1]}
SCORE = {"name": "score", "datatype": "FP32", "shape": [-1, -1]}


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_the_networks_own(family: str, checkpoint: Callable[[str], str]) -> None:
    folder = checkpoint(family)
    classifier = load_classifier(folder, PLACEMENT)
    pixels = torch.cat([reference_pixels(folder, picture) for picture in PICTURES])

    with torch.inference_mode():
        logits = classifier.network(pixels)

    # The same sums in another order: the network's channels are kept side by side.
    torch.testing.assert_close(logits, reference_logits(folder, pixels), rtol=1e-3, atol=1e-3)
    assert logits.std(dim=0).min() > 0.1
    assert classifier.labels == KINDS


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "densenet121"])
def test_published_weights_of_torchvision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"init_weights": False, "aux_logits": True} if name == "googlenet" else {}
    state = get_model(name, weights=None, **arguments).state_dict()
    calls = []

    def download(url: str, **options: Any) -> dict[str, Any]:
        calls.append((url, options))
        return dict(state)

    monkeypatch.setattr(downloads, "fetch_file", lambda *_: None)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    classifier = load_classifier(f"torchvision/{name}", PLACEMENT)
    weights: Any = get_model_weights(name).DEFAULT
    pixels = weights.transforms()(torch.from_numpy(PICTURES[0]).permute(2, 0, 1))[None]
    theirs = get_model(name, weights=weights).eval()

    with torch.inference_mode():
        torch.testing.assert_close(classifier.network(pixels), theirs(pixels))
    assert classifier.labels == weights.meta["categories"]
    assert classifier.transform.size == (224, 224)
    # Before anything else reads the file.
    assert calls[0] == (
        weights.url,
        {"progress": False, "check_hash": True, "weights_only": True},
    )


def test_the_weights_of_torchvision_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def download(url: str, **_: Any) -> dict[str, Any]:
        read.append(url)
        return dict(get_model("mobilenet_v2", weights=None).state_dict())

    monkeypatch.setattr(downloads, "fetch_file", lambda url, *_: read.append(url))
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    load_classifier("torchvision/mobilenet_v2@IMAGENET1K_V1", PLACEMENT)

    weights: Any = get_model_weights("mobilenet_v2")
    assert weights.DEFAULT is not weights.IMAGENET1K_V1
    assert set(read) == {weights.IMAGENET1K_V1.url}


@pytest.mark.parametrize("stored", ["model.safetensors", "pytorch_model.bin"])
def test_a_checkpoint_of_timm_on_a_hub(
    checkpoint: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stored: str,
) -> None:
    folder = checkpoint("timm-resnet")
    files = files_of(folder)
    if stored.endswith(".bin"):
        torch.save(load_file(Path(folder) / "model.safetensors"), tmp_path / stored)
        files = {**files, stored: (tmp_path / stored).read_bytes()}
        del files["model.safetensors"]
    imitation = ImitationHub()
    imitation.add("timm/small.of_tests", files)
    with serving(imitation) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        found = locate("timm/small.of_tests", tmp_path)
        imitation.asked.clear()
        published = load_classifier(found.path, PLACEMENT)
    local = load_classifier(folder, PLACEMENT)

    assert imitation.asked == []
    pixels = published.transform(PICTURES[0])
    assert torch.equal(pixels, local.transform(PICTURES[0]))
    with torch.inference_mode():
        assert torch.equal(published.network(pixels[None]), local.network(pixels[None]))
    assert published.labels == KINDS


@pytest.mark.parametrize("classes", [1000, 7])
def test_names_of_labels_that_timm_leaves_out(classes: int, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=classes)
    timm.models._hub.save_for_hf(network, str(tmp_path), safe_serialization=True)

    labels = load_classifier(str(tmp_path), PLACEMENT).labels

    if classes == 7:
        assert labels == list("0123456")
    else:
        info = ImageNetInfo("imagenet-1k")
        assert labels == info.label_descriptions()
        assert labels[0].startswith("tench")


def test_a_checkpoint_of_another_task_is_refused(
    tmp_path: Path, checkpoint: Callable[[str], str]
) -> None:
    AutoModel.from_pretrained(checkpoint("vit")).save_pretrained(tmp_path)
    ViTImageProcessor().save_pretrained(tmp_path)

    with pytest.raises(ConfigurationError, match=r"not trained as a ViTForImageClass.*classifier"):
        load_classifier(str(tmp_path), PLACEMENT)


def test_a_regression_is_refused(tmp_path: Path) -> None:
    folder = images.vit(tmp_path, num_labels=1, problem_type="regression")

    with pytest.raises(ConfigurationError, match="predicts a number"):
        load_classifier(folder, PLACEMENT)


@pytest.mark.parametrize("family", ["vit", *TIMM[:1], *TORCHVISION[:1]])
def test_damaged_weights_are_refused(
    family: str, tmp_path: Path, checkpoint: Callable[[str], str]
) -> None:
    folder = Path(shutil.copytree(checkpoint(family), tmp_path / family))
    (folder / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(ConfigurationError, match=rf"cannot load .*{family}"):
        load_classifier(str(folder), PLACEMENT)


def test_a_network_of_another_size_is_refused(
    tmp_path: Path, checkpoint: Callable[[str], str]
) -> None:
    folder = shutil.copytree(checkpoint("vit"), tmp_path / "vit")
    ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)

    with pytest.raises(ConfigurationError, match=r"prepared as it says \(\[3, 48, 48\]\)"):
        load_classifier(str(folder), PLACEMENT)


def test_features_without_a_classifier_are_refused(tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=0)
    timm.models._hub.save_for_hf(network, str(tmp_path), safe_serialization=True)

    with pytest.raises(ConfigurationError, match="0 labels; accepted: a classifier"):
        load_classifier(str(tmp_path), PLACEMENT)
