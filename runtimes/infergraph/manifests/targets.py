"""What manifests are for, what can scale them, and what their containers run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from .. import __version__

Target = Literal["seldon-v2", "seldon-v1", "kubernetes", "compose"]
TARGETS: tuple[Target, ...] = get_args(Target)

Autoscaler = Literal["native", "hpa", "keda", "vpa"]
AUTOSCALERS: tuple[Autoscaler, ...] = get_args(Autoscaler)
AUTOSCALERS_OF: Mapping[Target, tuple[Autoscaler, ...]] = {
    "seldon-v2": ("native", "hpa", "keda", "vpa"),
    "seldon-v1": ("hpa", "keda"),
    "kubernetes": ("hpa", "keda", "vpa"),
    "compose": (),
}
"""What can scale the objects of each target."""

IMAGES: Mapping[str, str] = {
    "models": f"infergraph-models:{__version__}",
    "gpu": f"infergraph-models:{__version__}-cuda",
    "router": f"infergraph-router:{__version__}",
    "huggingface": "seldonio/mlserver:1.7.1-huggingface",
}
"""Images by role: of models, of models on a GPU, of routers, of stock Hugging Face models."""
