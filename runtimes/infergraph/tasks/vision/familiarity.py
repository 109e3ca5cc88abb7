"""How far a picture is from all that a classifier was trained on, as its label `unknown` says.

A network that tells kinds of things apart does not tell them from things that it never saw: these
are put where they are least unlike. What its last layer reads of them is, however, seldom like
what it reads of its own pictures, by the Mahalanobis distance (Lee et al., NeurIPS 2018).

A checkpoint whose last label is `unknown` may hold `familiarity.safetensors` for this:

- `centres` FP [labels but the last, K]: what the last layer reads of a label's pictures, on
  average, through `whitening`;
- `whitening` FP [features, K]: makes all directions vary alike;
- `near` FP32 []: the logarithm of the squared distance at which a picture is as likely unknown as
  of the world;
- `slope` FP32 []: what one more in that logarithm adds to the logarithm of this likelihood.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ...errors import ConfigurationError
from ...weights import loading

FILE = "familiarity.safetensors"
_SHAPES = "centres [labels - 1, K], whitening [features, K], near [] and slope []"


class FamiliarLinear(nn.Module):
    """A classifier's last layer that calls unknown what is far from all its labels.

    Args:
        layer: The last layer; its last logit is that of `unknown`.
        centres: Of each other label, [labels - 1, K].
        whitening: [features, K].
        near: See above.
        slope: See above.

    Raises:
        ValueError: the shapes do not fit the layer or each other.
    """

    def __init__(
        self,
        layer: nn.Linear,
        centres: torch.Tensor,
        whitening: torch.Tensor,
        near: torch.Tensor,
        slope: torch.Tensor,
    ) -> None:
        super().__init__()
        self.centres: torch.Tensor
        self.whitening: torch.Tensor
        self.near: torch.Tensor
        self.slope: torch.Tensor
        labels, directions = layer.out_features - 1, centres.shape[-1]
        shapes = [list(each.shape) for each in (centres, whitening, near, slope)]
        if shapes != [[labels, directions], [layer.in_features, directions], [], []]:
            raise ValueError(
                f"{FILE}: shapes {shapes}; accepted: {_SHAPES}, here of {labels + 1} labels and "
                f"{layer.in_features} features"
            )
        self.layer = layer
        for name, value in (
            ("centres", centres),
            ("whitening", whitening),
            ("near", near),
            ("slope", slope),
        ):
            self.register_buffer(name, value.float())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[n, features] -> logits [n, labels]."""
        logits: torch.Tensor = self.layer(features)
        world = logits[:, :-1].float()
        far = self.slope * (log_distance(features, self.centres, self.whitening) - self.near)
        unknown = torch.logaddexp(logits[:, -1].float(), world.logsumexp(dim=1) + far)
        return torch.cat([world, unknown[:, None]], dim=1).to(logits.dtype)


def log_distance(
    features: torch.Tensor, centres: torch.Tensor, whitening: torch.Tensor
) -> torch.Tensor:
    """The logarithm of the squared distance to the nearest label, FP32 [n]."""
    apart = (features.float() @ whitening)[:, None] - centres
    return apart.square().sum(dim=2).amin(dim=1).clamp_min(1e-12).log()


def last_layer(network: nn.Module) -> tuple[str, nn.Linear]:
    """The linear layer that gives a classifier's logits, and its name.

    Raises:
        ValueError: the network has none.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if type(layer) is nn.Linear]
    if not layers:
        raise ValueError("the network has no linear layer")
    return layers[-1]


def make_familiar(network: nn.Module, checkpoint: str | Path, device: torch.device) -> None:
    """Has a network answer as its checkpoint's `familiarity.safetensors` says, if it holds one.

    Args:
        network: A placed classifier; it is changed.
        checkpoint: A folder, or an id.
        device: The network's.

    Raises:
        ConfigurationError: the file is damaged or fits another network.
    """
    path = Path(checkpoint, FILE)
    if not path.is_file():
        return
    network = getattr(network, "_orig_mod", network)
    with loading(FILE, checkpoint):
        tensors = load_file(path)
    try:
        name, layer = last_layer(network)
        familiar = FamiliarLinear(layer, **tensors).to(device).eval()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the checkpoint '{checkpoint}': {error}") from None
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, familiar)


def save(
    folder: Path,
    centres: torch.Tensor,
    whitening: torch.Tensor,
    near: float,
    slope: float,
) -> None:
    """Writes a checkpoint's file, in fp16 but for the two numbers."""
    tensors = {
        "centres": centres.half().contiguous(),
        "whitening": whitening.half().contiguous(),
        "near": torch.tensor(near),
        "slope": torch.tensor(slope),
    }
    save_file(tensors, folder / FILE)
