"""Pipelines: Seldon Core v2's `Pipeline` resource, its lint, its executor and its drawings.

This package does no I/O: it takes a file's text, and calls models through an `infer` it is given.
"""

from .executor import GraphExecutor, Infer
from .finding import Finding
from .lint import lint, parse_pipeline
from .plan import Plan, compile_plan
from .reference import Reference
from .render import FORMS, render
from .resource import Pipeline
from .rules import RULES, Rule

__all__ = [
    "FORMS",
    "RULES",
    "Finding",
    "GraphExecutor",
    "Infer",
    "Pipeline",
    "Plan",
    "Reference",
    "Rule",
    "compile_plan",
    "lint",
    "parse_pipeline",
    "render",
]
