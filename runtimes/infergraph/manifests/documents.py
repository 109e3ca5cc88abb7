"""`Document`: one YAML document of a folder, with the line on which each part of it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigurationError
from ..graph import Finding

Steps = tuple[str | int, ...]
"""Keys and list positions that lead to a part of a document."""
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_PARTS = 1_000_000
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True, eq=False)
class Document:
    """A parsed document.

    Attributes:
        file: The file, as findings name it.
        value: Its content as plain Python values.
        node: The same as YAML's nodes, which know their lines.
    """

    file: str
    value: dict[str, Any]
    node: yaml.Node

    @property
    def kind(self) -> str:
        return str(self.value.get("kind", ""))

    @property
    def api_version(self) -> str:
        return str(self.value.get("apiVersion", ""))

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    @property
    def metadata(self) -> dict[str, Any]:
        metadata = self.value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or "")

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace") or "")

    @property
    def spec(self) -> dict[str, Any]:
        spec = self.value.get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def is_compose(self) -> bool:
        return Path(self.file).name in COMPOSE_FILES

    @property
    def title(self) -> str:
        """What it is called in findings."""
        return "this Compose file" if self.is_compose else f"{self.kind} '{self.name}'"

    def line(self, path: Iterable[str | int]) -> int:
        """The line of a path, or of the nearest part around it that the file has."""
        node, line = self.node, self.node.start_mark.line
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == step), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                node = node.value[step]
                line = node.start_mark.line
            else:
                break
        return int(line) + 1

    def finding(self, rule: str, path: Steps, message: str, fix: str) -> Finding:
        return Finding(self.file, self.line(path), rule, f"{self.title}: {message}", fix)


def read_documents(file: str, text: str) -> list[Document]:
    """The documents of a YAML file; raises ConfigurationError where it holds anything else."""
    return list(_documents(file, text))


def _documents(file: str, text: str) -> Iterator[Document]:
    loader = _LOADER(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~"):
                continue
            if _expanded(node, {}) > _MOST_PARTS:
                raise ConfigurationError(
                    f"{file}:{node.start_mark.line + 1}: its aliases stand for more than "
                    f"{_MOST_PARTS} parts, or for what they are in; write them out"
                )
            value = loader.construct_document(node)
            if not isinstance(value, dict):
                raise ConfigurationError(
                    f"{file}:{node.start_mark.line + 1}: holds a {type(value).__name__}; accepted: "
                    "objects with apiVersion and kind"
                )
            yield Document(file, value, node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"{file}: no YAML: {problem}") from None
    finally:
        loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many parts a node has with its aliases written out; infinitely many of one in itself."""
    if id(node) not in known:
        # Until it is known, whatever leads here is inside of it.
        known[id(node)] = math.inf
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        if isinstance(node, yaml.MappingNode):
            children = [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_expanded(each, known) for each in children)
    return known[id(node)]


def read_folder(folder: Path) -> list[Document]:
    """The documents of all YAML files of a folder, below `models/` apart, which is not applied.

    Raises:
        ConfigurationError: it is no folder, holds no such file, or one that cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"'{folder}' is not a folder; name one that holds manifests")
    files = sorted(
        file
        for ending in ("*.yaml", "*.yml", "*.json")
        for file in folder.rglob(ending)
        if "models" not in file.relative_to(folder).parts[:-1]
    )
    if not files:
        raise ConfigurationError(f"'{folder}' holds no YAML file; name a folder of manifests")
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}: cannot be read: {error}") from None
        found += read_documents(str(file), text)
    return found
