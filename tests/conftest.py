"""Holds for all tests: no network, and no setting of the developer's own environment."""

from __future__ import annotations

import os

for name in list(os.environ):
    if name.startswith(("INFERGRAPH_", "MLSERVER_")):
        del os.environ[name]

# Server processes inherit these.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
