"""Detectors and recognisers of lines of text: PP-OCRv5's, of a few channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from .saving import save, seeded

CHARACTERS = ["blank", *"abcdefghijklmnopqrstuvwxyzäöüßéñ0123456789.,", " "]

_OUT = {"out_features": [f"stage{stage}" for stage in (2, 3, 4, 5)], "out_indices": [2, 3, 4, 5]}


def mobile_detector(folder: Path) -> str:
    """As PaddlePaddle/PP-OCRv5_mobile_det_safetensors."""
    backbone = _lcnet([(8, 12, 1), (12, 16, 2), (16, 24, 2), (24, 32, 2), (32, 40, 2)])
    config = hf.PPOCRV5MobileDetConfig(
        backbone_config=backbone, neck_out_channels=16, layer_list_out_channels=[8, 12, 16, 24]
    )
    return _save_detector(folder, hf.PPOCRV5MobileDetForObjectDetection, config)


def server_detector(folder: Path) -> str:
    """As PaddlePaddle/PP-OCRv5_server_det_safetensors."""
    sizes = {"longratio": 7, "midratio": 5, "shortratio": 3}
    kernels: dict[str, Any] = {"reduce_channel": [1, 1, 0], "return_channel": [1, 1, 0]}
    for ratio, size in sizes.items():
        kernels |= {
            f"symmetric_conv_long_{ratio}": [size, 1, size // 2],
            f"vertical_long_to_small_conv_{ratio}": [[size, 1], 1, [size // 2, 0]],
            f"horizontal_small_to_long_conv_{ratio}": [[1, size], 1, [0, size // 2]],
        }
    config = hf.PPOCRV5ServerDetConfig(
        backbone_config=_hgnet(["stage1", "stage2", "stage3", "stage4"]),
        neck_out_channels=16,
        intraclass_block_config=kernels,
        scale_factor_list=[1, 2, 4, 8],
        kernel_list=[3, 2, 2],
    )
    return _save_detector(
        folder, hf.PPOCRV5ServerDetForObjectDetection, config, "head.binarize_head.conv_final"
    )


def mobile_reader(folder: Path, **processor: Any) -> str:
    """As PaddlePaddle/PP-OCRv5_mobile_rec_safetensors."""
    config = hf.PPOCRV5MobileRecConfig(
        backbone_config=_lcnet(
            [(8, 12, (2, 1)), (12, 16, 1), (16, 24, (2, 1)), (24, 24, 1), (24, 32, 1)]
        ),
        hidden_size=16,
        depth=1,
        num_attention_heads=2,
        head_out_channels=len(CHARACTERS),
    )
    return _save_reader(folder, hf.PPOCRV5MobileRecForTextRecognition, config, 32, **processor)


def server_reader(folder: Path) -> str:
    """As PaddlePaddle/PP-OCRv5_server_rec_safetensors."""
    backbone = _hgnet(
        ["stage1", "stage2", "stage3", "stage4"],
        stem_strides=[2, 1, 1, 1, 1],
        stage_downsample=[True] * 4,
        stage_downsample_strides=[[2, 1], [1, 2], [2, 1], [2, 1]],
    )
    config = hf.PPOCRV5ServerRecConfig(
        backbone_config=backbone,
        hidden_size=16,
        depth=1,
        num_attention_heads=2,
        head_out_channels=len(CHARACTERS),
    )
    return _save_reader(folder, hf.PPOCRV5ServerRecForTextRecognition, config, 48)


def _lcnet(stages: list[tuple[int, int, Any]]) -> dict[str, Any]:
    blocks = [[[3, before, after, stride, False]] for before, after, stride in stages]
    return {
        "model_type": "pp_lcnet_v3",
        "stem_channels": 8,
        "conv_symmetric_num": 1,
        "block_configs": blocks,
        **_OUT,
    }


def _hgnet(stages: list[str], **more: Any) -> Any:
    return hf.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 24, 32],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 24, 32, 40],
        stage_num_blocks=[1, 1, 1, 1],
        hidden_sizes=[16, 24, 32, 40],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=stages,
        **more,
    )


def _save_detector(folder: Path, kind: Any, config: Any, head: str = "head.conv_final") -> str:
    network = _livelier(seeded(lambda: kind(config)), f"{head}.weight", 5)
    processor = hf.PPOCRV5ServerDetImageProcessor(limit_side_len=96, limit_type="max")
    return save(folder, network, processor)


def _save_reader(folder: Path, kind: Any, config: Any, height: int, **more: Any) -> str:
    processor = hf.PPOCRV5ServerRecImageProcessor(
        **{
            "size": {"height": height, "width": 64},
            "pad_size": {"height": height, "width": 64},
            "character_list": CHARACTERS,
            **more,
        }
    )
    network = _livelier(seeded(lambda: kind(config)), "head.head.weight", 30, height=height)
    return save(folder, network, processor)


def _livelier(network: Any, head: str, louder: float, height: int = 96) -> Any:
    """What a random network says differs from place to place, as what reaches its head does."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        coarse = torch.randn(4, 3, 6, 8)
        pixels = torch.nn.functional.interpolate(coarse, (height, 128), mode="bilinear")
        network.train()(pixel_values=pixels)
        dict(network.named_parameters())[head].mul_(louder)
    return network.eval()
