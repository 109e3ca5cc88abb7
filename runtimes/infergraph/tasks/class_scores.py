"""From a classifier's logits to probabilities."""

from __future__ import annotations

import torch


def class_scores(logits: torch.Tensor, *, independent: bool) -> torch.Tensor:
    """Logits [n, labels] of any floating-point format -> FP32 [n, labels] from 0 to 1.

    Of labels that exclude each other the scores of a row add up to 1; independent ones each stand
    for themselves.
    """
    logits = logits.float()
    return logits.sigmoid() if independent else logits.softmax(dim=-1)
