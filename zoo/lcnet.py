"""PP-LCNetV3 backbones cut small, and trained without the branches that fold into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

_STAGES = (2, 3, 4, 5)
# Parts of a layer that add to its one convolution, or scale it: a trained layer needs none.
_BRANCHES = ("identity", "conv_small_symmetric")


def backbone(stem: int, blocks: Sequence[Any]) -> dict[str, Any]:
    """The backbone's configuration.

    Args:
        stem: Channels of the first convolution.
        blocks: For each of five stages its blocks: kernel, channels in and out, stride, and
            whether there is squeeze and excitation.
    """
    return {
        "model_type": "pp_lcnet_v3",
        "scale": 1.0,
        "divisor": 8,
        "stem_channels": stem,
        "conv_symmetric_num": 1,
        "block_configs": blocks,
        "out_features": [f"stage{stage}" for stage in _STAGES],
        "out_indices": list(_STAGES),
    }


def _layers(network: torch.nn.Module) -> list[Any]:
    return [each for each in network.modules() if hasattr(each, "conv_symmetric")]


def without_branches(network: Any) -> Any:
    """The network with one convolution a layer, in place: trained in a third of the time.

    On a CPU the batch normalisations of parallel branches and the scalar factors take longer than
    the convolutions.
    """
    for layer in _layers(network):
        for name in _BRANCHES:
            setattr(layer, name, None)
        layer.lab = torch.nn.Identity()
        layer.act.lab = torch.nn.Identity()
    return network


def begun(network: Any) -> Any:
    """The network with convolutions as He et al. begin them, in place.

    With the deviation of 0.02 that transformers gives them all, a detector does not begin to learn.
    """
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network


@torch.no_grad()
def settle(network: Any, inputs: Iterable[torch.Tensor]) -> None:
    """Takes the means and variances of batch normalisations anew from `inputs`, in place.

    Those that training leaves lag behind the weights, and are of a few small batches.
    """
    layers = [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        # The mean of all batches.
        layer.momentum = None
    network.train()
    for pixels in inputs:
        network(pixels)
    network.train(False)


def whole(fresh: Any, trained: Mapping[str, torch.Tensor]) -> Any:
    """A network with all branches that computes just what one `without_branches` does.

    Args:
        fresh: Random, with all branches; gets the weights in place.
        trained: The weights of the other.
    """
    fresh.load_state_dict({**fresh.state_dict(), **trained})
    for layer in _layers(fresh):
        for name in _BRANCHES:
            branch = getattr(layer, name)
            if branch is not None:
                # What is normalised, times nothing.
                normalised = getattr(branch, "normalization", branch)
                torch.nn.init.zeros_(normalised.weight)
                torch.nn.init.zeros_(normalised.bias)
    return fresh.train(False)
