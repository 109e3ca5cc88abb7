"""The servables in a model folder, read from their model-settings.json. MLServer is not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .declaration import ModelDeclaration
from .errors import ConfigurationError
from .generations import plain_name
from .tensors import TensorSpec
from .v2 import NUMPY_DTYPES

MODEL_SETTINGS = "model-settings.json"
SERVER_SETTINGS = "settings.json"
SAMPLE = "request.json"
"""A servable's sample request, the body of a V2 REST request."""
ROUTER = "infergraph.router.PipelineRouter"


def load_catalog(root: Path) -> dict[str, ModelDeclaration]:
    """The declarations of all servables in `root`, by name, in the order of their names.

    Raises:
        ConfigurationError: `root` is not a folder, a file is not what MLServer accepts, or two
            servables have the same name; the text names file and key.
    """
    if not root.is_dir():
        raise ConfigurationError(
            f"'{root}' is not a folder; accepted: a folder that holds one folder per model, "
            f"each with a {MODEL_SETTINGS}"
        )
    catalog: dict[str, ModelDeclaration] = {}
    for file in sorted(root.glob(f"*/{MODEL_SETTINGS}")):
        declaration = read_declaration(file)
        other = catalog.setdefault(declaration.name, declaration)
        if other is not declaration:
            raise ConfigurationError(
                f"{file}: key 'name': '{declaration.name}' is already the name of the servable in "
                f"{other.folder}; names must differ"
            )
    return dict(sorted(catalog.items()))


def read_declaration(file: Path) -> ModelDeclaration:
    """The declaration in one model-settings.json; raises ConfigurationError."""
    settings = read_settings(file)
    folder = file.parent
    parameters = _get(settings, "parameters", dict, file, {})
    extra = _get(parameters, "extra", dict, file, {}, "parameters.")
    implementation = _get(settings, "implementation", str, file, "")
    if not implementation:
        raise ConfigurationError(f"{file}: key 'implementation' is missing")
    name = _get(settings, "name", str, file, "") or folder.name
    pipeline = None
    if implementation == ROUTER:
        uri = _get(parameters, "uri", str, file, "", "parameters.")
        try:
            pipeline = locate_pipeline(name, uri, folder)
        except ConfigurationError as error:
            raise error.prefixed(str(file)) from None
    return ModelDeclaration(
        name=name,
        inputs=_specs(settings, extra, "inputs", file),
        outputs=_specs(settings, extra, "outputs", file),
        implementation=implementation,
        folder=folder,
        pipeline=pipeline,
    )


def locate_pipeline(name: str, uri: str, folder: Path) -> Path:
    """The pipeline file of a router.

    Args:
        name: The router's.
        uri: Its `parameters.uri`: a file, or a folder in which one has a well-known name; relative
            to the folder. Empty stands for the folder itself.
        folder: That of its settings. Where the file of `uri` is not there it may lie here: Seldon
            copies nothing else.

    Returns:
        An absolute path, of a file that need not exist where `uri` names it.

    Raises:
        ConfigurationError: `uri` is not local, or names a folder without a pipeline file.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise ConfigurationError(
            f"model '{name}': parameters.uri '{uri}' is not local; accepted: the path of a "
            "pipeline file, or of a folder that holds one"
        )
    path = (folder / parts.path).resolve()
    if not path.is_dir():
        here = folder.resolve() / path.name
        return here if here.is_file() and not path.is_file() else path
    names = [f"{stem}.{end}" for stem in ("pipeline", plain_name(name)) for end in ("yaml", "yml")]
    for each in names:
        if (path / each).is_file():
            return path / each
    raise ConfigurationError(
        f"model '{name}': folder {path} holds no pipeline file; accepted names: "
        f"{', '.join(names)}; parameters.uri may also name the file itself"
    )


def read_settings(file: Path) -> dict[str, Any]:
    """The object in a settings file of MLServer; raises ConfigurationError."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as JSON: {error}") from None
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{file}: holds {_kind(settings)}; accepted: a JSON object")
    return settings


def _specs(
    settings: Mapping[str, Any], extra: Mapping[str, Any], side: str, file: Path
) -> tuple[TensorSpec, ...]:
    optional = _names(extra, f"optional_{side}", file)
    specs: list[TensorSpec] = []
    for index, entry in enumerate(_get(settings, side, list, file, [])):
        where = f"{side}[{index}]"
        if not isinstance(entry, dict):
            raise ConfigurationError(
                f"{file}: key '{where}' is {_kind(entry)}; accepted: an object with name, datatype "
                "and shape"
            )
        name = _require(entry, "name", str, file, where)
        datatype = _require(entry, "datatype", str, file, where)
        if datatype not in NUMPY_DTYPES:
            raise ConfigurationError(
                f"{file}: key '{where}.datatype' is '{datatype}'; accepted: "
                f"{', '.join(NUMPY_DTYPES)}"
            )
        shape = _require(entry, "shape", list, file, where)
        if not all(type(size) is int and size >= -1 for size in shape):
            raise ConfigurationError(
                f"{file}: key '{where}.shape' is {shape}; accepted: a list of sizes, -1 for any"
            )
        if any(name == other.name for other in specs):
            raise ConfigurationError(f"{file}: key '{where}.name': '{name}' is declared twice")
        specs.append(TensorSpec(name, datatype, tuple(shape), optional=name in optional))
    unknown = optional - {spec.name for spec in specs}
    if unknown:
        raise ConfigurationError(
            f"{file}: key 'parameters.extra.optional_{side}' names {', '.join(sorted(unknown))}, "
            f"not among the declared {side}: {', '.join(spec.name for spec in specs) or 'none'}"
        )
    return tuple(specs)


def _names(extra: Mapping[str, Any], key: str, file: Path) -> frozenset[str]:
    """A list of names, as JSON or as a string that holds JSON."""
    names = extra.get(key, [])
    if isinstance(names, str):
        try:
            names = json.loads(names)
        except json.JSONDecodeError:
            names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(
            f"{file}: key 'parameters.extra.{key}' is {extra[key]!r}; accepted: a list of tensor "
            "names"
        )
    return frozenset(names)


def _require(entry: Mapping[str, Any], key: str, kind: type, file: Path, where: str) -> Any:
    if entry.get(key) is None:
        raise ConfigurationError(f"{file}: key '{where}.{key}' is missing")
    return _get(entry, key, kind, file, None, f"{where}.")


def _get(
    settings: Mapping[str, Any], key: str, kind: type, file: Path, default: Any, prefix: str = ""
) -> Any:
    value = settings.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ConfigurationError(
            f"{file}: key '{prefix}{key}' is {_kind(value)}; accepted: {_KINDS[kind]}"
        )
    return value


_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)
