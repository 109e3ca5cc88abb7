"""Networks give the same without their batch normalisations, where these can be folded."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn
from torchvision.models import get_model

from infergraph.tasks.vision.folded import folded


def lively(network: nn.Module) -> nn.Module:
    """With statistics as of a trained network: folded in wrongly, they would show."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.running_mean, module.weight, module.bias):
                if values is not None:
                    with torch.no_grad():
                        values.uniform_(0.5, 1.5, generator=generator)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class Twice(nn.Module):
    """Its convolution's output goes two ways, and its other convolution is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.second, self.second_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.third, self.third_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.first(images)
        images = first + self.first_norm(first)
        images = self.second_norm(self.second(self.second(images)))
        return self.third_norm(self.third(self.third_norm(images)))


class Rectified(nn.Sequential):
    """What its convolution gives is changed in its place before it is normalised."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(3))


def by_batch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda: get_model("resnet18", weights=None), 0),
        (lambda: timm.create_model("resnet10t", features_only=True), 0),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)), 0),
        (Twice, 3),
        (Rectified, 1),
        (by_batch, 1),
    ],
)
@torch.inference_mode()
def test_the_answers_stay(build: Callable[[], nn.Module], left: int) -> None:
    torch.manual_seed(0)
    network = lively(build())
    images = torch.rand(2, 3, 64, 64)
    before = copy.deepcopy(network).eval()(images)

    after = folded(network, (64, 64))(images)

    for expected, found in zip(before, after, strict=True):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert norms(network) == left
