"""The training loop of checkpoints whose batches are a model's keyword arguments: `fit`.

`go_on_from` has it start at another training's weights.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser, *, batch_size: int | None = None) -> None:
    """The arguments that `fit` reads, and the seed and thread count that go with them.

    Batches are limited in tokens, or have the size `batch_size` by default.
    """
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=None, help="default: the model's own")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warm-up", type=int, default=100, help="steps of rising learning rate")
    if batch_size is None:
        parser.add_argument("--batch-tokens", type=int, default=2000, help="in a batch, at most")
    else:
        parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())


def fit(
    model: torch.nn.Module,
    batches: Iterable[Mapping[str, Any]],
    args: argparse.Namespace,
) -> None:
    """Fit `model` to `args.steps` batches, in place: AdamW, warm-up, a cosine down to nothing.

    A batch holds the model's arguments by name, `labels` among them, so that the model's output
    has a `loss`. The model is left in evaluation mode.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / args.warm_up, 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
        ),
    )
    model.train()
    losses: list[float] = []
    started = time.monotonic()
    for step, batch in enumerate(batches, start=1):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        if step % args.log_every == 0 or step == args.steps:
            logger.info(
                "step %d/%d loss %.4f %.0f s",
                step,
                args.steps,
                sum(losses) / len(losses),
                time.monotonic() - started,
            )
            losses.clear()
    model.train(False)


def go_on_from(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Loads `weights` of the same network, in place; labels that they lack start at nothing.

    Such labels are the last of the network's.
    """
    own = model.state_dict()
    for name, weight in weights.items():
        if own[name].shape == weight.shape:
            own[name] = weight
        else:
            own[name] = torch.zeros_like(own[name])
            own[name][: len(weight)] = weight
    model.load_state_dict(own)
