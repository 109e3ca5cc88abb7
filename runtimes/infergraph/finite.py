"""Finds answers that are no numbers: NaN or infinite, where a network computed them.

It is done there because a task may lose them: no comparison with NaN holds, so that a threshold
finds nothing, and of NaN logits the first label or token is the likeliest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from .errors import StageFailure

_ANSWERS = ("logits", "start_logits", "end_logits", "pred_boxes")
"""Of transformers' outputs those that answers are made of; others may well be infinite."""


def check_answers(network: torch.nn.Module, name: str) -> None:
    """Makes a network, or the part of one that scores, fail where its answers are no numbers.

    Args:
        network: It is changed: it raises StageFailure, with which a batch is divided until the
            items are found that it fails for.
        name: The number format that it computes in, for the error text.
    """

    def check(module: torch.nn.Module, inputs: Any, answers: Any) -> None:
        # They would trace it.
        if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is None:
            check_finite(answers, name)

    network.register_forward_hook(check)


def check_finite(answers: Any, name: str = "") -> None:
    """Raises StageFailure if answers, tensors in any structure, hold NaN or infinite values.

    Args:
        answers: Those of a network.
        name: The number format that it computes in, for the error text.
    """
    for values in _tensors(answers):
        # A sum takes a fraction of the time; it may also overflow.
        if not values.sum(dtype=torch.float32).isfinite() and not values.isfinite().all():
            raise StageFailure(
                "it computed values that are no numbers"
                + (f", in {name}" if name else "")
                + ("" if name in ("", "fp32") else "; the setting 'dtype' = fp32 may help")
            )


def _tensors(answers: Any) -> Iterator[torch.Tensor]:
    if isinstance(answers, torch.Tensor):
        if answers.is_floating_point():
            yield answers
    elif isinstance(answers, Mapping):
        named = [answers[name] for name in _ANSWERS if answers.get(name) is not None]
        for each in named or answers.values():
            yield from _tensors(each)
    elif isinstance(answers, (list, tuple)):
        for each in answers:
            yield from _tensors(each)
