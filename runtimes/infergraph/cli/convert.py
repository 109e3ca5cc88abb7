"""`infergraph convert`: a checkpoint in another form as a folder with safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a checkpoint's weights as safetensors, into a folder that can be served"
DESCRIPTION = (
    "Reads a checkpoint's folder and writes a new one, with its weights as safetensors: from .bin "
    "files of transformers or timm, which are read as tensors only, and from a Whisper of "
    "CTranslate2 (faster-whisper). Serve it with --set MODEL.variant=FOLDER."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a checkpoint's folder")
    parser.add_argument("target", type=Path, metavar="FOLDER", help="the folder to write; new")


def run(args: argparse.Namespace) -> int:
    from ..tasks.checkpoints.conversion import convert

    target = convert(args.source, args.target)
    weights = sum(file.stat().st_size for file in target.glob("*.safetensors"))
    print(f"{target}  {weights / 1e6:,.1f} MB of safetensors")
    return 0
