"""Detectors of transformers and of torchvision, of a few queries or anchors each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torchvision.models import get_model

from infergraph.tasks.checkpoints import torchvision_checkpoint

from .saving import save, seeded

OBJECTS = ["car", "truck", "bus", "person", "dog"]
_QUERIES = 24
_LABELS = {
    "id2label": dict(enumerate(OBJECTS)),
    "label2id": {name: index for index, name in enumerate(OBJECTS)},
}
_SMALL_DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_queries": _QUERIES,
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "init_std": 0.3,
}
_SIZES = {"shortest_edge": 64, "longest_edge": 128}


def yolos(folder: Path) -> str:
    config = hf.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=[64, 96],
        patch_size=16,
        num_detection_tokens=_QUERIES,
        use_mid_position_embeddings=True,
        initializer_range=0.3,
        **_LABELS,
    )
    return _save(folder, hf.YolosForObjectDetection, config, hf.YolosImageProcessor(size=_SIZES))


def detr(folder: Path) -> str:
    config = hf.DetrConfig(backbone_config=_resnet(["stage4"]), **_SMALL_DETR, **_LABELS)
    return _save(folder, hf.DetrForObjectDetection, config, hf.DetrImageProcessor(size=_SIZES))


def conditional_detr(folder: Path) -> str:
    config = hf.ConditionalDetrConfig(backbone_config=_resnet(["stage4"]), **_SMALL_DETR, **_LABELS)
    processor = hf.ConditionalDetrImageProcessor(size=_SIZES)
    return _save(folder, hf.ConditionalDetrForObjectDetection, config, processor)


def deformable_detr(folder: Path, *, queries: int = _QUERIES) -> str:
    small = _SMALL_DETR | {"num_queries": queries}
    config = hf.DeformableDetrConfig(
        backbone_config=_resnet(["stage2", "stage3", "stage4"]),
        num_feature_levels=3,
        **small,
        **_LABELS,
    )
    processor = hf.DeformableDetrImageProcessor(size=_SIZES)
    return _save(folder, hf.DeformableDetrForObjectDetection, config, processor)


def rt_detr(folder: Path, *, second: bool = False) -> str:
    """RT-DETR, or its second version."""
    kind = (
        (hf.RTDetrV2Config, hf.RTDetrV2ForObjectDetection)
        if second
        else (hf.RTDetrConfig, hf.RTDetrForObjectDetection)
    )
    backbone = hf.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = kind[0](backbone_config=backbone, encoder_in_channels=[16, 24, 32], **_HYBRID)
    return _save(folder, kind[1], config, hf.RTDetrImageProcessor(size=_SQUARE))


def d_fine(folder: Path) -> str:
    backbone = hf.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 24, 32],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 24, 32, 40],
        stage_num_blocks=[1, 1, 1, 1],
        hidden_sizes=[16, 24, 32, 40],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = hf.DFineConfig(backbone_config=backbone, encoder_in_channels=[24, 32, 40], **_HYBRID)
    processor = hf.RTDetrImageProcessor(size=_SQUARE)
    return _save(folder, hf.DFineForObjectDetection, config, processor)


_SQUARE = {"height": 64, "width": 64}
_HYBRID = {
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_layers": 1,
    "encoder_ffn_dim": 48,
    "encoder_attention_heads": 2,
    "decoder_in_channels": [32, 32, 32],
    "decoder_layers": 2,
    "decoder_ffn_dim": 48,
    "decoder_attention_heads": 2,
    "decoder_n_points": 2,
    "num_queries": _QUERIES,
    "num_denoising": 0,
    "anchor_image_size": None,
    "initializer_range": 0.2,
    **_LABELS,
}


def compact_fcos(folder: Path, *, labels: list[str] = OBJECTS) -> str:
    """An FCOS with a backbone of timm's, in the format of this project."""
    config = {
        "architecture": "compact-fcos",
        "arguments": {
            "backbone": "resnet10t",
            "backbone_arguments": {},
            "channels": 32,
            "head_convs": 1,
            "min_size": 96,
            "max_size": 160,
        },
        "labels": labels,
    }
    network = seeded(lambda: torchvision_checkpoint.build_network(config))
    torchvision_checkpoint.save(folder, livelier(network), config)
    return str(folder)


def torchvision_weights(name: str) -> Mapping[str, torch.Tensor]:
    """Random weights of a detector of torchvision's, of the shapes of those that it publishes."""
    network = seeded(
        lambda: get_model(name, weights=None, weights_backbone=None, num_classes=_categories(name))
    )
    return dict(livelier(network, *_PUBLISHED[name]).state_dict())


def _categories(name: str) -> int:
    from torchvision.models import get_model_weights

    return len(get_model_weights(name).DEFAULT.meta["categories"])


def livelier(network: Any, quiet: float = 0.3, louder: Mapping[str, float] | None = None) -> Any:
    """A random detector that sees something: some of its scores are high, and not always the same.

    As initialised, what reaches the heads is nearly nothing, and all scores are nearly equal.

    Args:
        network: The detector.
        quiet: What batch norms take for the variance of their inputs, in comparison.
        louder: By how much the weights are larger whose name has this in it.
    """
    louder = _LOUDER if louder is None else louder
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for name, weights in network.named_parameters():
            for part, factor in louder.items():
                if part in name and weights.dim() > 1:
                    weights *= factor
            if "detection_tokens" in name:
                # YOLOS begins with all of its queries alike.
                weights.normal_()
        for name, values in network.named_buffers():
            if "running_var" in name:
                values *= quiet
    return network


_LOUDER = {
    "class_labels_classifier": 1.5,
    "class_embed": 1.2,
    "enc_score_head": 2,
    "cls_logits": 20,
}
_PUBLISHED: dict[str, tuple[float, dict[str, float]]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (0.3, {"cls_score": 300}),
    "retinanet_resnet50_fpn_v2": (1, {"cls_logits": 5}),
    "ssdlite320_mobilenet_v3_large": (0.035, {"classification_head.module_list": 100}),
}


def _resnet(stages: list[str]) -> Any:
    return hf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=stages,
    )


def _save(folder: Path, kind: Any, config: Any, processor: Any) -> str:
    return save(folder, livelier(seeded(lambda: kind(config))), processor)
