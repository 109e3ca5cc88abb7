"""The examples in mlserver/, and the table of verdicts: `make manifests` writes them anew.

It is run in the root of the repository, as the notes name the samples from there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from infergraph.catalog import load_catalog
from infergraph.declaration import ModelDeclaration
from infergraph.graph import Pipeline, parse_pipeline
from infergraph.manifests.deployment import Deployment, plan_deployment
from infergraph.manifests.options import read_options
from infergraph.manifests.rendering import render
from infergraph.manifests.targets import TARGETS, Target
from infergraph.manifests.verdict import How, Verdict, verdict

MODELS = Path("model-settings")
EXAMPLES = Path("mlserver")
PAGE = Path("docs/cluster.md")
BEGIN, END = "<!-- verdicts: written by `make manifests` -->", "<!-- end of verdicts -->"
SELDON: tuple[Target, ...] = ("seldon-v2", "seldon-v1")
STORAGE: Mapping[Target, str] = {
    "seldon-v2": "gs://bucket/models",
    "seldon-v1": "pvc://models",
    "kubernetes": "pvc://models",
}


@functools.cache
def catalog() -> Mapping[str, ModelDeclaration]:
    return load_catalog(MODELS)


def pipelines() -> list[str]:
    return [each.name for each in catalog().values() if each.pipeline is not None]


def parsed(pipeline: str) -> Pipeline:
    file = catalog()[pipeline].pipeline
    assert file is not None
    return parse_pipeline(file.read_text(), file)


def judged(pipeline: str, target: Target) -> Verdict:
    """How a target runs a pipeline, with the versions of the examples."""
    return verdict(parsed(pipeline), catalog(), target, (2, 6, 0))


def planned(pipeline: str, target: Target, **given: object) -> Deployment:
    """A pipeline on a target, through the router where nothing else holds it."""
    if target in STORAGE:
        given.setdefault("storage_uri", STORAGE[target])
    if target == "seldon-v2" and judged(pipeline, target).how is How.ROUTER:
        given["via_router"] = True
    return plan_deployment(catalog(), [pipeline], MODELS, read_options(target, given, {}))


def verdicts() -> str:
    """The table of docs/cluster.md: how Seldon runs each pipeline, and why not as it is."""
    lines = ["| pipeline | `seldon-v2` | `seldon-v1` |", "|---|---|---|"]
    for pipeline in pipelines():
        cells = [_cell(judged(pipeline, target), target) for target in SELDON]
        lines.append(f"| {pipeline} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Verdict, target: Target) -> str:
    how = f"**{found.how.value}**"
    plain = found.how is How.UNCHANGED and target == "seldon-v2"
    return how if plain else f"{how}: {found.reasons[0]}"


def with_verdicts(page: str) -> str:
    """The page with the table between its marks written anew."""
    begin, _, rest = page.partition(BEGIN)
    _, _, end = rest.partition(END)
    return f"{begin}{BEGIN}\n{verdicts()}\n{END}{end}"


def main() -> None:
    """Writes every example; the model folders, which are in the repository already, are not."""
    from . import seldon_v1_page

    PAGE.write_text(with_verdicts(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    page = seldon_v1_page.PAGE
    page.write_text(seldon_v1_page.with_graphs(page.read_text(encoding="utf-8")), encoding="utf-8")
    for target in TARGETS:
        for pipeline in pipelines():
            folder = EXAMPLES / target / pipeline
            files = render(planned(pipeline, target)).files
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.iterdir():
                if old.name not in files:
                    old.unlink()
            for name, content in files.items():
                (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
