"""Multi-model inference pipelines on MLServer, over the V2 (Open Inference) protocol."""

__version__ = "0.1.0"
