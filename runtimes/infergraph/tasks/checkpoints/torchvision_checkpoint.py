"""Checkpoints of torchvision's networks in a folder: `config.json` and `model.safetensors`.

torchvision has no such format of its own. The configuration holds "library": "torchvision", the
"architecture" with its "arguments", and the "labels" of the outputs in order; of a classifier also
the "preprocessing" that it was trained with. Architectures are the names of
`torchvision.models.list_models()`, and three that make small networks:

- "alexnet" takes the further arguments "pool" (sides of the last feature map) and "hidden" (widths
  of the fully connected layers), 6 and 4096 in the original, most of whose weights these make up.
- "compact-fcos" is torchvision's FCOS with a timm network as its backbone.
- "lenet" is LeNet-5 on the mean of an image's channels, of 28 x 28 pixels.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import (
    AlexNet,
    detection,
    get_model,
    get_model_weights,
    list_models,
)
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork

from ...checkpoints import TORCHVISION
from ...errors import ConfigurationError
from ...weights import loading

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LIBRARY = "torchvision"


def read_config(folder: str | Path) -> dict[str, Any] | None:
    """The configuration of a checkpoint of this format; None when the folder holds none.

    Raises:
        ConfigurationError: `config.json` is not JSON.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"the checkpoint '{folder}': {CONFIG}: {error}") from None
    if not isinstance(config, dict) or config.get("library") != LIBRARY:
        return None
    return config


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """An untrained network of a configuration.

    Raises:
        ConfigurationError: the architecture is unknown, or does not take the arguments.
    """
    try:
        architecture, labels = config["architecture"], config["labels"]
    except KeyError as error:
        raise ConfigurationError(f"{CONFIG} lacks {error}") from None
    arguments = dict(config.get("arguments", {}))
    try:
        if architecture == "compact-fcos":
            return _compact_fcos(len(labels), **arguments)
        if architecture == "lenet":
            return LeNet(len(labels), **arguments)
        if architecture == "alexnet":
            return _alexnet(len(labels), **arguments)
        if architecture in list_models(module=detection):
            # Else torchvision would fetch a backbone's weights, to be overwritten here.
            arguments.setdefault("weights_backbone", None)
        if architecture in ("googlenet", "inception_v3"):
            # Its own initial weights take it long to draw, and unasked it warns that they do.
            arguments.setdefault("init_weights", False)
        network: nn.Module = get_model(
            architecture, weights=None, num_classes=len(labels), **arguments
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"architecture '{architecture}' with arguments {arguments}: {error}"
        ) from None
    return network


def load_network(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """A checkpoint's network, in FP32 on the CPU and in evaluation mode, and its configuration.

    Raises:
        ConfigurationError: the folder holds no such checkpoint, or a damaged one.
    """
    config = read_config(folder)
    if config is None:
        raise ConfigurationError(
            f'the checkpoint \'{folder}\' has no {CONFIG} with "library": "{LIBRARY}"'
        )
    with loading("network", folder):
        network = build_network(config)
        state = load_file(Path(folder) / WEIGHTS)
        network.load_state_dict(
            {
                name: value.float() if value.is_floating_point() else value
                for name, value in state.items()
            }
        )
    network.eval()
    return network, config


def published_weights(checkpoint: str) -> Any:
    """What torchvision knows of an id `torchvision/<name>`: a member of its `WeightsEnum`.

    `torchvision/<name>@<weights>` names others than those that are the default, for example
    `torchvision/resnet50@IMAGENET1K_V1`.

    Raises:
        ConfigurationError: there is no such network, or it has no such weights.
    """
    name, _, wanted = checkpoint.removeprefix(TORCHVISION).partition("@")
    if name not in list_models():
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': torchvision has no network '{name}'; accepted: those of "
            "torchvision.models.list_models(), such as "
            f"{', '.join(difflib.get_close_matches(name, list_models()) or ['resnet50'])}"
        )
    known: Any = get_model_weights(name)
    if wanted and wanted not in known.__members__:
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': torchvision has no such weights; accepted: "
            f"{', '.join(known.__members__)}"
        )
    return known[wanted] if wanted else known.DEFAULT


def fetch_published(checkpoint: str, home: Path | None = None) -> Path:
    """The file of an id `torchvision/<name>`, fetched unless it is there, and checked.

    Args:
        checkpoint: The id.
        home: The folder in whose `hub/checkpoints` it is; TORCH_HOME unless given.

    Raises:
        ConfigurationError: there is no such checkpoint, its file is damaged or cannot be had.
    """
    from ...download import fetch_file

    url: str = published_weights(checkpoint).url
    hub = Path(torch.hub.get_dir()) if home is None else home / "hub"
    file = hub / "checkpoints" / url.rpartition("/")[2]
    digest = re.search(r"-([0-9a-f]{8,})\.", file.name)
    try:
        fetch_file(url, file, digest[1] if digest else "")
    except ConfigurationError as error:
        raise error.prefixed(f"checkpoint '{checkpoint}'") from None
    return file


def load_published(checkpoint: str) -> tuple[nn.Module, list[str]]:
    """The network of an id `torchvision/<name>`, in FP32 on the CPU, and the names of its outputs.

    Raises:
        ConfigurationError: as `fetch_published`.
    """
    weights = published_weights(checkpoint)
    fetch_published(checkpoint)
    with loading("network", checkpoint):
        # torchvision's own reading may run code in the file: not once it was read as tensors only.
        # Built without its weights, some networks differ (the epsilon of their batch norms).
        weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        name = checkpoint.removeprefix(TORCHVISION).partition("@")[0]
        network: nn.Module = get_model(name, weights=weights, progress=False)
    return network, list(weights.meta["categories"])


def save(folder: str | Path, network: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a checkpoint, weights in FP16."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps({"library": LIBRARY, **config}, indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _alexnet(classes: int, pool: int = 6, hidden: int = 4096) -> nn.Module:
    if (pool, hidden) == (6, 4096):
        original: nn.Module = AlexNet(num_classes=classes)
        return original
    # Without memory: it takes seconds to fill the widths that are replaced here.
    with torch.device("meta"):
        network: nn.Module = AlexNet(num_classes=classes)
    features = network.get_submodule("features").to_empty(device="cpu")
    for layer in features.children():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    network.avgpool = nn.AdaptiveAvgPool2d((pool, pool))
    network.classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * pool * pool, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, classes),
    )
    return network


class LeNet(nn.Module):
    """LeNet-5, with ReLUs. Source: LeCun et al., Gradient-Based Learning Applied to Document
    Recognition (1998).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[n, 3, 28, 28] -> logits [n, classes]."""
        maps = self.features(images.mean(dim=1, keepdim=True))
        logits: torch.Tensor = self.classifier(maps.flatten(1))
        return logits


class _Backbone(nn.Module):
    """A timm network's feature maps of strides 8, 16 and 32, through a feature pyramid."""

    def __init__(self, name: str, channels: int, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        body: Any = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=(2, 3, 4), **arguments
        )
        self.body = body
        self.pyramid = FeaturePyramidNetwork(body.feature_info.channels(), channels)
        self.out_channels = channels

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = OrderedDict((str(level), each) for level, each in enumerate(self.body(images)))
        pyramid: dict[str, torch.Tensor] = self.pyramid(maps)
        return pyramid


def _compact_fcos(
    classes: int,
    *,
    backbone: str,
    backbone_arguments: Mapping[str, Any],
    channels: int,
    head_convs: int,
    min_size: int,
    max_size: int,
    fixed_size: Sequence[int] | None = None,
    nms_threshold: float = 0.6,
) -> nn.Module:
    """FCOS of pictures with sides from `min_size` to `max_size`, or squeezed to width, height."""
    body = _Backbone(backbone, channels, backbone_arguments)
    anchors = AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3)
    network: nn.Module = FCOS(
        body,
        classes,
        min_size=min_size,
        max_size=max_size,
        nms_thresh=nms_threshold,
        fixed_size=None if fixed_size is None else tuple(fixed_size),
        anchor_generator=anchors,
        head=FCOSHead(channels, anchors.num_anchors_per_location()[0], classes, head_convs),
    )
    return network
