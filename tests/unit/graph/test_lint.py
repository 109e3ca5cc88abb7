"""Every rule, with files that break it and like files that do not: `lint/<rule>/{bad,good}*.yaml`.

In the files ``# finds: <rules>`` marks the line that a finding must name, and all of a file's
findings are marked; a good file may be found out by other rules. Rules that need a catalog get
`models.MODELS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergraph.graph import RULES, Finding, lint
from tests.unit.graph.models import MODELS

FOLDER = Path(__file__).parent / "lint"


def files(kind: str) -> list[object]:
    return [
        pytest.param(path, id=f"{path.parent.name}-{path.stem}")
        for path in sorted(FOLDER.glob(f"*/{kind}*.yaml"))
    ]


def findings_of(path: Path) -> list[Finding]:
    catalog = MODELS if RULES[path.parent.name].needs_catalog else None
    return lint(path.read_text(encoding="utf-8"), path, catalog)


def marked(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.search(r"# finds: (.*)", line)
        for rule in match[1].split() if match else ():
            yield number, rule


@pytest.mark.parametrize("path", files("bad"))
def test_a_bad_file_is_found_out(path: Path) -> None:
    findings = findings_of(path)
    assert sorted((f.line, f.rule) for f in findings) == sorted(marked(path.read_text("utf-8")))
    assert path.parent.name in {finding.rule for finding in findings}
    for finding in findings:
        rule = RULES[finding.rule]
        assert finding.file == str(path)
        assert (finding.severity, finding.origin) == (rule.severity, rule.origin)
        assert finding.message
        assert finding.fix


@pytest.mark.parametrize("path", files("good"))
def test_a_good_file_is_not(path: Path) -> None:
    findings = findings_of(path)
    assert path.parent.name not in {finding.rule for finding in findings}
    assert sorted((f.line, f.rule) for f in findings) == sorted(marked(path.read_text("utf-8")))


def test_every_rule_has_a_bad_and_a_good_file() -> None:
    for kind in ("bad", "good"):
        assert {path.parent.name for path in FOLDER.glob(f"*/{kind}.yaml")} == set(RULES)


def test_rules_are_named_and_described() -> None:
    for name, rule in RULES.items():
        assert rule.name == name
        assert re.fullmatch("[a-z]+(-[a-z]+)*", name)
        assert rule.summary.endswith(".")
