"""A catalog of models, and of the pipeline `p`, for the lint's tests."""

from __future__ import annotations

from tests.unit.graph.graphs import catalog

MODELS = catalog(
    p=("text BYTES -1,1; image? UINT8 -1,-1,-1,3", "label BYTES -1,1; score? FP32 -1,1"),
    classify=("text BYTES -1,1", "label BYTES -1,1; score FP32 -1,1"),
    light=("text BYTES -1,1", "accepted? BYTES -1,1; escalate? BYTES -1,1"),
    heavy=("text BYTES -1,1", "label BYTES -1,1"),
    answer=("question BYTES -1,1; context BYTES -1,1", "label BYTES -1,1"),
    embed=("text BYTES -1,1", "vector FP32 -1,8"),
    head=("vector FP32 -1,16", "label BYTES -1,1"),
    decode=("vector BYTES -1,8", "label BYTES -1,1"),
    detect=("image UINT8 -1,-1,-1,3", "count INT64 -1,1; boxes? FP32 -1,-1,4"),
    crop=("boxes FP32 -1,-1,4; count INT64 -1,1", "label BYTES -1,1"),
    opaque=("", ""),
)
