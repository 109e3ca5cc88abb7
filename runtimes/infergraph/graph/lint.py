"""`lint`: everything that is wrong in a pipeline file; `parse_pipeline`: the pipeline, or an error.

The lint refuses all that Seldon Core v2 refuses, and what Seldon accepts and then crashes on, hangs
on or silently ignores. `infergraph.graph.RULES` lists its rules. It works in stages, and stops
behind the first one with errors: what comes later would only repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

from ..declaration import ModelDeclaration
from ..errors import ConfigurationError
from .document import Path, Report, read
from .edges import Edges
from .finding import Finding
from .resource import Pipeline
from .rules_document import check_document
from .rules_flow import check_flow
from .rules_graph import check_cycles, check_external, check_names, check_references
from .rules_tensors import check_tensors
from .wiring import wire


def lint(
    text: str,
    file: str | PathLike[str],
    catalog: Mapping[str, ModelDeclaration] | None = None,
) -> list[Finding]:
    """Checks a pipeline file.

    Args:
        text: The file's content.
        file: The file's name, for the findings.
        catalog: The models, and the pipeline's own declaration, by name. Without it the edges are
            not checked against declared tensors.

    Returns:
        The findings in the order of their lines; empty when all is well.
    """
    return _check(text, fspath(file), catalog)[1]


def parse_pipeline(text: str, file: str | PathLike[str]) -> Pipeline:
    """Parses a pipeline file.

    Raises:
        ConfigurationError: the text lists every finding that is an error, one a line.
    """
    pipeline, findings = _check(text, fspath(file), None)
    errors = [str(finding) for finding in findings if finding.severity == "error"]
    if errors or pipeline is None:
        raise ConfigurationError("\n".join(errors))
    return pipeline


def _check(
    text: str, file: str, catalog: Mapping[str, ModelDeclaration] | None
) -> tuple[Pipeline | None, list[Finding]]:
    document, findings = read(text, file)
    if document is None:
        return None, findings
    lines = document

    def report(rule: str, path: Path, message: str, fix: str) -> None:
        findings.append(lines.finding(rule, path, message, fix))

    pipeline = check_document(document, report)
    if pipeline is not None:
        _check_graph(pipeline, catalog, findings, report)
    return pipeline, sorted(dict.fromkeys(findings), key=lambda finding: finding.line)


def _check_graph(
    pipeline: Pipeline,
    catalog: Mapping[str, ModelDeclaration] | None,
    findings: list[Finding],
    report: Report,
) -> None:
    check_names(pipeline, report)
    check_external(pipeline, report)
    wiring = wire(pipeline, report)
    check_references(wiring, report)
    if _has_error(findings):
        return
    check_cycles(wiring, report)
    if _has_error(findings):
        return
    edges = Edges(wiring, catalog)
    check_flow(wiring, edges, report)
    if catalog is not None:
        models = [name for name in catalog if name != pipeline.name]
        check_tensors(wiring, edges, models, report)


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)
