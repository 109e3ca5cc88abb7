"""Compares the outputs that a model declares with those that its settings make it give."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import ConfigurationError
from ..tensors import TensorSpec


def check_declared(
    given: Sequence[TensorSpec],
    declared: Sequence[TensorSpec],
    setting: str = "groups",
    undeclared: Collection[str] = (),
) -> None:
    """Checks the declaration of a model's outputs; one without any is not checked.

    Args:
        given: What the model gives; optional ones only for the items that a setting routes there.
        declared: What it declares.
        setting: The setting that the optional ones come from.
        undeclared: Names of outputs that need not be declared, and are then not given.

    Raises:
        ConfigurationError: a declared output is none of the model's, is of another datatype or
            shape, or misses; or a routed one is not declared as optional.
    """
    if not declared:
        return
    specs = {spec.name: spec for spec in declared}
    for spec in given:
        found = specs.get(spec.name)
        if found is None and spec.name in undeclared:
            continue
        wanted = f"{spec.datatype}, {list(spec.shape)}"
        if spec.optional and (found is None or not found.optional):
            raise ConfigurationError(
                f"output '{spec.name}' of setting '{setting}': not declared as an optional output; "
                f"name it in 'outputs' ({wanted}) and in the setting 'optional_outputs'"
            )
        if found is None:
            raise ConfigurationError(
                f"output '{spec.name}' is not declared; name it in 'outputs' ({wanted})"
            )
        shapes_fit = found.accepts_shape(spec.shape) or (
            spec.shape == (-1, 1) and len(found.shape) == 1
        )
        if found.datatype != spec.datatype or not shapes_fit:
            raise ConfigurationError(
                f"declared output '{found}': the model gives it as {spec.datatype} "
                f"{list(spec.shape)}"
            )
    names = [spec.name for spec in given]
    for name in specs:
        if name not in names:
            raise ConfigurationError(
                f"declared output '{name}' is none of the model's; its outputs: {', '.join(names)}"
            )


def check_groups(groups: dict[str, list[str]], labels: Collection[str]) -> None:
    """Checks the setting `groups`.

    Raises:
        ConfigurationError: a group has no labels, or one that the checkpoint does not have.
    """
    for group, members in groups.items():
        unknown = sorted(set(members) - set(labels))
        if unknown or not members:
            raise ConfigurationError(
                f"setting 'groups': group '{group}' has "
                + (f"the unknown labels {', '.join(unknown)}" if unknown else "no labels")
                + f"; the checkpoint's labels: {', '.join(labels)}"
            )


def group_texts(
    groups: dict[str, list[str]], other_group: str | None, labels: Collection[str]
) -> list[TensorSpec]:
    """The outputs that carry the text of items whose label is in a group, `<group>_text`.

    Args:
        groups: Group -> labels.
        other_group: The group of all labels that are in none of `groups`.
        labels: Those of the checkpoint.

    Raises:
        ConfigurationError: as `check_groups`; or two groups have one name.
    """
    check_groups(groups, labels)
    if other_group in groups:
        raise ConfigurationError(
            f"setting 'other_group' = '{other_group}': a group of that name is in 'groups'"
        )
    names = [*groups, *([] if other_group is None else [other_group])]
    return [TensorSpec(f"{name}_text", "BYTES", (-1, 1), optional=True) for name in names]
