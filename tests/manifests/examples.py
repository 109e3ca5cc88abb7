"""The rendered examples in mlserver/: `python -m tests.manifests.examples` writes them anew.

It is run in the root of the repository, as the notes name the samples from there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from infergraph.catalog import load_catalog
from infergraph.declaration import ModelDeclaration
from infergraph.graph import parse_pipeline
from infergraph.manifests.deployment import Deployment, plan_deployment
from infergraph.manifests.options import read_options
from infergraph.manifests.rendering import render
from infergraph.manifests.targets import TARGETS, Target
from infergraph.manifests.verdict import How, Verdict, verdict

MODELS = Path("model-settings")
EXAMPLES = Path("mlserver")
STORAGE = "gs://bucket/models"


@functools.cache
def catalog() -> Mapping[str, ModelDeclaration]:
    return load_catalog(MODELS)


def pipelines() -> list[str]:
    return [each.name for each in catalog().values() if each.pipeline is not None]


def judged(pipeline: str, target: Target) -> Verdict:
    """How a target runs a pipeline, with the versions of the examples."""
    file = catalog()[pipeline].pipeline
    assert file is not None
    return verdict(parse_pipeline(file.read_text(), file), catalog(), target, (2, 6, 0))


def planned(pipeline: str, target: Target, **given: object) -> Deployment:
    """A pipeline on a target, through the router where nothing else holds it."""
    if target == "seldon-v2":
        given.setdefault("storage_uri", STORAGE)
        if judged(pipeline, target).how is How.ROUTER:
            given["via_router"] = True
    return plan_deployment(catalog(), [pipeline], MODELS, read_options(target, given, {}))


def main() -> None:
    """Writes every example; the model folders, which are in the repository already, are not."""
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
