"""Score a checkpoint of digit-reading on held-out frames of the game.

python -m zoo.evaluate_digit_reading --frames 1000
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from infergraph.tasks.checkpoints.torchvision_checkpoint import load_network
from zoo.calibration import expected_calibration_error
from zoo.game_frames import DIGITS
from zoo.train_digit_reading import cells, logits

CHECKPOINT = Path("model-settings/digit-reading/embedded")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--frames", type=int, default=1000)
    args = parser.parse_args(argv)
    network, _ = load_network(args.checkpoint)
    pictures, labels = cells("held-out", args.frames)
    scores, found = logits(network, pictures).softmax(dim=1).max(dim=1)
    right = found == labels
    unknown = labels == labels.max()
    whole = right.view(-1, DIGITS)[~unknown.view(-1, DIGITS).any(dim=1)].all(dim=1)
    error = expected_calibration_error(scores.numpy(), right.tolist())
    print(f"digits            {right[~unknown].float().mean():.2%} of {int((~unknown).sum())}")
    print(f"whole numbers     {whole.float().mean():.2%} of {len(whole)}")
    print(f"cells without     {right[unknown].float().mean():.2%} of {int(unknown.sum())}")
    print(f"calibration error {error:.4f}")


if __name__ == "__main__":
    main()
