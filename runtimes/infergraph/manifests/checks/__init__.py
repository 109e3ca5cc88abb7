"""Checks of manifests without a cluster: strict schemas, and what no schema says.

`check_schemas` looks at every field, `find_faults` at names, pods, references and autoscalers.
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
from .seldon_v1 import check_seldon_v1

__all__ = ["check", "find_faults"]

_CHECKS = (
    check_names,
    check_pods,
    check_references,
    check_scaling,
    check_seldon,
    check_seldon_v1,
    check_compose,
)


def check(documents: Sequence[Document], version: tuple[int, ...]) -> list[Finding]:
    """Both kinds of checks; where fields are wrong already, nothing is said of what they mean.

    Args:
        version: The version of Seldon Core 2.

    Raises:
        ConfigurationError: the packages with the schemas are not installed.
    """
    return sorted(check_schemas(documents, version)) or find_faults(documents)


def find_faults(documents: Sequence[Document]) -> list[Finding]:
    """What is wrong in documents that are applied together, in the order of files and lines."""
    inventory = Inventory(documents)
    return sorted(finding for check in _CHECKS for finding in check(inventory))
