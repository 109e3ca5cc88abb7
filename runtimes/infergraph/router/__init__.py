"""The router: a model that executes a pipeline. MLServer reloads this module; it holds no state."""

from .pipeline_router import PipelineRouter
from .settings import RouterSettings

__all__ = ["PipelineRouter", "RouterSettings"]
