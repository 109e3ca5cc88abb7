"""`Document`: the YAML of one pipeline file, with the line on which each part of it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from .finding import Finding
from .rules import RULES

Path = tuple[str | int, ...]
"""Keys and list positions that lead to a part of a document."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document.

    Attributes:
        file: The file as the caller named it.
        value: Its content as plain Python values.
        lines: The line, counted from 1, of each path.
    """

    file: str
    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest part around it that the file has."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def finding(self, rule: str, path: Path, message: str, fix: str) -> Finding:
        return finding(self.file, self.line(path), rule, message, fix)


Report = Callable[[str, Path, str, str], None]
"""Takes a rule's name, the path it concerns, a message and a fix."""


def finding(file: str, line: int, rule: str, message: str, fix: str) -> Finding:
    known = RULES[rule]
    return Finding(file, line, rule, message, fix, known.severity, known.origin)


def read(text: str, file: str) -> tuple[Document | None, list[Finding]]:
    """Parses the text; the document is None where there is no single one to speak of."""
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        nodes: list[yaml.Node] = []
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                nodes.append(node)
        real = [node for node in nodes if not _is_null(node)]
        if len(real) != 1:
            return None, [_not_one(file, real)]
        lines: dict[Path, int] = {}
        findings: list[Finding] = []
        _mark(real[0], (), lines, set(), file, findings)
        return Document(file, loader.construct_document(real[0]), lines), findings
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        problem = " ".join(part for part in (error.context, error.problem) if part)
        return None, [finding(file, line, "yaml-syntax", problem, "write valid YAML")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0] or "nested too deeply"
        return None, [finding(file, 1, "yaml-syntax", problem, "write valid YAML")]
    finally:
        if loader is not None:
            loader.dispose()


def _not_one(file: str, nodes: list[yaml.Node]) -> Finding:
    if not nodes:
        return finding(file, 1, "one-document", "the file is empty", "write one Pipeline resource")
    return finding(
        file,
        nodes[1].start_mark.line + 1,
        "one-document",
        f"the file holds {len(nodes)} YAML documents, of which this is the second",
        "keep one Pipeline resource in a file",
    )


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _mark(
    node: yaml.Node,
    path: Path,
    lines: dict[Path, int],
    seen: set[int],
    file: str,
    findings: list[Finding],
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    # Aliases share their anchor's node, and may even contain themselves.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            _mark(child, (*path, position), lines, seen, file, findings)
    elif isinstance(node, yaml.MappingNode):
        keys: dict[str, int] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in keys:
                findings.append(
                    finding(
                        file,
                        line,
                        "duplicate-key",
                        f"key '{key.value}' stands on line {keys[key.value]} already",
                        "keep one of the two",
                    )
                )
            keys[key.value] = line
            at = (*path, key.value)
            lines[at] = line
            _mark(child, at, lines, seen, file, findings)
