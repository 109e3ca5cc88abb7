"""`infergraph list`: the models and pipelines, and their tensors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from . import workspace

if TYPE_CHECKING:
    from ..declaration import ModelDeclaration
    from ..tensors import TensorSpec

HELP = "list models and pipelines with their tensors"
DESCRIPTION = "Lists the models and pipelines of a model folder, with tensors and variants."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    workspace.add_models_dir(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from ..catalog import load_catalog

    servables = [describe(each) for each in load_catalog(args.models_dir).values()]
    if args.json:
        print(json.dumps(servables, indent=2))
    else:
        print("\n".join(_lines(servables)))
    return 0


def describe(declaration: ModelDeclaration) -> dict[str, Any]:
    """A servable as JSON values. `variant` takes the environment's override into account."""
    from ..catalog import MODEL_SETTINGS, read_settings
    from ..settings import environment_overrides

    assert declaration.folder is not None
    file = declaration.folder / MODEL_SETTINGS
    extra = (read_settings(file).get("parameters") or {}).get("extra") or {}
    given = variants = extra.get("variants") or {}
    if isinstance(given, str):
        try:
            variants = json.loads(given)
        except ValueError:
            variants = None
    if not isinstance(variants, dict):
        raise ConfigurationError(
            f"{file}: key 'parameters.extra.variants' is {given!r:.60}; accepted: an object of "
            "names and checkpoints"
        )
    variant = None
    if variants:
        override = environment_overrides(declaration.name).get("variant")
        variant = override[1] if override else extra.get("variant", "embedded")
    return {
        "name": declaration.name,
        "kind": "model" if declaration.pipeline is None else "pipeline",
        "implementation": declaration.implementation,
        "folder": workspace.shown(declaration.folder),
        "pipeline": declaration.pipeline and workspace.shown(declaration.pipeline),
        "variant": variant,
        "variants": variants,
        "inputs": [_tensor(spec) for spec in declaration.inputs],
        "outputs": [_tensor(spec) for spec in declaration.outputs],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(spec.shape),
        "optional": spec.optional,
    }


def _lines(servables: list[dict[str, Any]]) -> Iterable[str]:
    tensors = [tensor for each in servables for tensor in each["inputs"] + each["outputs"]]
    width = max((len(tensor["name"]) for tensor in tensors), default=0)
    for kind, title in (("pipeline", "Pipelines"), ("model", "Models")):
        chosen = [each for each in servables if each["kind"] == kind]
        if not chosen:
            continue
        yield title
        for each in chosen:
            yield f"  {each['name']}"
            yield f"    {each['pipeline'] or each['implementation']}"
            if each["variant"]:
                others = [name for name in each["variants"] if name != each["variant"]]
                also = f" (others: {', '.join(others)})" if others else ""
                yield f"    variant {each['variant']}{also}"
            for side, label in (("inputs", "in "), ("outputs", "out")):
                for tensor in each[side]:
                    optional = "  optional" if tensor["optional"] else ""
                    yield (
                        f"    {label} {tensor['name']:{width}}  {tensor['datatype']:5}  "
                        f"{tensor['shape']}{optional}"
                    )
