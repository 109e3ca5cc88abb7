"""int8 on a CPU: linear layers of a network that compute in 8 bits, the rest of it in fp32.

Weights are rounded once, by output; what goes in is rounded at each call, row by row, so that an
item's answer does not depend on what else is in its batch. Nothing is calibrated: no data of the
task is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .errors import ConfigurationError

_SMALL = 32
"""Layers with fewer outputs (the labels of a classifier, say) take no time and stay as they are."""
# Their weights are read by others than the layers themselves.
_READ_FROM_OUTSIDE = ("WavLMAttention",)
_TINY = 1e-30
"""A scale of rows of zeros, by which they can be divided."""
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Int8Linear(nn.Module):
    """A linear layer that multiplies in int8.

    Args:
        layer: The one whose place it takes, FP32, on the CPU.
        levels: Into how many steps from zero numbers are rounded.
    """

    # Some networks look for it to see what format it has.
    weight = None

    def __init__(self, layer: nn.Linear, levels: int) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._levels = levels
        # Half a step above zero: what follows cuts off.
        self._middle = torch.tensor(levels + 1.5, dtype=torch.float32)
        weight = layer.weight.detach()
        scales = weight.abs().amax(dim=1).clamp_(min=_TINY).div_(127)
        rounded = (weight / scales[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._weight_scales = scales
        self._weight_zeros = torch.zeros(len(scales), dtype=torch.int64)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """FP32 [..., in_features] -> FP32 [..., out_features]."""
        rows = values.reshape(-1, self.in_features)
        zero = self._levels + 1
        # Not a norm, which takes twenty times as long.
        steps = rows.abs().amax(dim=-1, keepdim=True).clamp_(min=_TINY).div_(self._levels)
        rounded = torch.addcmul(self._middle, rows, steps.reciprocal()).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            *(rounded, 1.0, zero, self._weight, self._weight_scales, self._weight_zeros),
            *(None, 1.0, 0, torch.float32, "none", [], ""),
        )
        answer = sums.mul_(steps) if self.bias is None else torch.addcmul(self.bias, sums, steps)
        return answer.reshape(*values.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


def quantize(network: nn.Module) -> None:
    """Puts linear layers that compute in int8 in the places of a network's own.

    Args:
        network: FP32, on the CPU; it is changed.

    Raises:
        ConfigurationError: it would be no faster, since most of it is no linear layer; or this
            build of torch does not compute in int8.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        raise ConfigurationError(
            "setting 'dtype' = 'int8': torch was built without oneDNN here, which computes in it; "
            "accepted: auto, fp32, bf16, fp16"
        )
    layers = list(_linear_layers(network))
    linear = sum(layer.weight.numel() for _, _, layer in layers)
    convolutions = [each for each in network.modules() if isinstance(each, _CONVOLUTIONS)]
    convolved = sum(each.weight.numel() for each in convolutions)
    if len(layers) <= len(convolutions) or linear <= convolved:
        raise ConfigurationError(
            f"setting 'dtype' = 'int8': {type(network).__name__} has {len(layers)} linear layers "
            f"that can compute in it ({linear} weights) beside {len(convolutions)} convolutions "
            f"({convolved} weights), and would be no faster; accepted: auto, fp32, bf16, fp16"
        )
    levels = 127 if _multiplies_exactly() else 63
    made: dict[nn.Module, Int8Linear] = {}
    for parent, name, layer in layers:
        if layer not in made:
            made[layer] = Int8Linear(layer, levels)
        setattr(parent, name, made[layer])


def _linear_layers(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """The layers to replace, each with the module that it is a part of."""
    for parent in network.modules():
        if type(parent).__name__ in _READ_FROM_OUTSIDE:
            continue
        for name, layer in parent.named_children():
            # Not those of a subclass: it has a reason to be one.
            if type(layer) is nn.Linear and layer.out_features >= _SMALL:
                yield parent, name, layer


def _multiplies_exactly() -> bool:
    """Whether products of 8 bits are added up in 32.

    CPUs without such instructions add two of them up in 16 bits, where large ones do not fit: for
    those, what goes in is rounded to 7 bits.
    """
    layer = nn.Linear(64, _SMALL, bias=False, dtype=torch.float32)
    layer.weight.data.fill_(1.0)
    answer: Any = Int8Linear(layer, 127)(torch.ones(1, 64, dtype=torch.float32))
    return bool((answer - 64).abs().max() < 0.5)
