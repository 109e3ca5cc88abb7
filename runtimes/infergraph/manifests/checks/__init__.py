"""Checks of manifests without a cluster: strict schemas, and what no schema says.

`find_faults` looks at names, pods, references and autoscalers; `check_schemas` at every field.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...graph import Finding
from ..documents import Document
from .compose import check_compose
from .inventory import Inventory
from .names import check_names
from .pods import check_pods
from .references import check_references
from .scaling import check_scaling
from .schemas import check_schemas
from .seldon import check_seldon

__all__ = ["check_schemas", "find_faults"]

_CHECKS = (
    check_names,
    check_pods,
    check_references,
    check_scaling,
    check_seldon,
    check_compose,
)


def find_faults(documents: Sequence[Document]) -> list[Finding]:
    """What is wrong in documents that are applied together, in the order of files and lines."""
    inventory = Inventory(documents)
    return sorted(finding for check in _CHECKS for finding in check(inventory))
