"""`Deployment`: pipelines, and the models and routers that serve them on a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..catalog import MODEL_SETTINGS, SAMPLE, read_settings
from ..checkpoints import checkpoint_sources
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, UnknownModel
from ..graph import Pipeline, lint, parse_pipeline
from ..node import Node
from .broker import Largest, largest_message
from .memory import PLAIN, STOCK, model_memory
from .options import Options
from .verdict import How, Verdict, verdict


@dataclass(frozen=True)
class Stage:
    """A model or a router, as something that is deployed.

    Attributes:
        name: Its name, that of the step it serves.
        declaration: What its folder says of it.
        folder: The model's folder, which is what is uploaded.
        memory: Bytes that it needs beside its process.
        variant: The variant that is served where it is not the settings' own.
        gpu: GPUs of each replica.
        fetches: Whether its weights are fetched from a hub when it loads.
        steps: Of a router the steps that it calls; empty for a model.
        pipeline: Of a router its pipeline file.
        one_item: Whether it must refuse requests of more than one item.
        node: Its place in a graph of Seldon Core 1's.
    """

    name: str
    declaration: ModelDeclaration
    folder: Path
    memory: int
    variant: str | None = None
    gpu: int = 0
    fetches: bool = False
    steps: tuple[str, ...] = ()
    pipeline: Path | None = None
    one_item: bool = False
    node: Node | None = None

    @property
    def is_router(self) -> bool:
        return self.pipeline is not None

    @property
    def is_ours(self) -> bool:
        """Whether its runtime is in this project's images."""
        return self.declaration.is_ours

    @property
    def role(self) -> str:
        """Which image runs it, a key of `targets.IMAGES`."""
        if self.is_router:
            return "router"
        if not self.is_ours:
            return "huggingface"
        return "gpu" if self.gpu else "models"


@dataclass(frozen=True)
class Part:
    """One pipeline of a deployment.

    Attributes:
        name: Its name.
        declaration: What its router's folder says of it.
        file: Its file.
        text: The file's content.
        pipeline: The same, parsed.
        verdict: How the target runs it.
        routed: Whether our router runs it there.
    """

    name: str
    declaration: ModelDeclaration
    file: Path
    text: str
    pipeline: Pipeline
    verdict: Verdict
    routed: bool

    @property
    def sample(self) -> Path:
        """The file of its sample request."""
        assert self.declaration.folder is not None
        return self.declaration.folder / SAMPLE

    @property
    def largest_message(self) -> Largest | None:
        """The largest message that Kafka gets of its sample; None if it has none."""
        assert self.declaration.folder is not None
        return largest_message(self.declaration.folder)

    @property
    def one_item_models(self) -> set[str]:
        """The models that read its requests, if these may hold one item only."""
        if self.verdict.how is not How.ONE_ITEM or self.routed:
            return set()
        name = self.pipeline.name
        return {
            step.name
            for step in self.pipeline.spec.steps
            if any(each.partition(".")[0] == name for each in step.inputs or (name,))
        }


@dataclass(frozen=True)
class Deployment:
    """What is rendered.

    Attributes:
        options: How.
        models_dir: The folder of all model folders, whose settings.json its servers have.
        parts: The pipelines, in the order in which they were asked for.
        models: The models, in the order in which the pipelines need them.
        routers: The routers, each after those that it calls.
        candidates: Model -> the model that takes half of its requests, in an experiment.
    """

    options: Options
    models_dir: Path
    parts: tuple[Part, ...]
    models: tuple[Stage, ...]
    routers: tuple[Stage, ...]
    candidates: Mapping[str, str] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Models and routers, in an order in which they can start."""
        return (*self.models, *self.routers)

    def stage(self, name: str) -> Stage:
        return next(each for each in self.stages if each.name == name)


def plan_deployment(
    catalog: Mapping[str, ModelDeclaration],
    names: Sequence[str],
    models_dir: Path,
    options: Options,
) -> Deployment:
    """Everything that pipelines need on a target.

    Raises:
        UnknownModel: no such pipeline, or a step's model does not exist.
        ConfigurationError: the target does not hold a pipeline, an option names a model that is not
            there, or a variant, a GPU or a payload that cannot be.
    """
    parts = tuple(_part(catalog, name, models_dir, options) for name in dict.fromkeys(names))
    needed: dict[str, Stage] = {}
    for part in parts:
        for step in part.pipeline.spec.steps:
            _need(step.name, catalog, options, needed, (part.declaration,))
        if part.routed:
            needed[part.name] = _router(part.declaration, part.pipeline, options)
    alone: set[str] = set()
    if options.target == "seldon-v2":
        alone = alone.union(*(part.one_item_models for part in parts))
    stages = [replace(stage, one_item=stage.name in alone) for stage in needed.values()]
    candidates = dict(_candidates(stages, options))
    _check_named(options, stages, candidates.values())
    second = [
        replace(stage, name=candidates[stage.name], variant=options.variant[stage.name][1])
        for stage in stages
        if stage.name in candidates
    ]
    stages += [_with_memory(stage, options) for stage in second]
    return Deployment(
        options,
        models_dir,
        parts,
        tuple(stage for stage in stages if not stage.is_router),
        tuple(stage for stage in stages if stage.is_router),
        candidates,
    )


def _part(
    catalog: Mapping[str, ModelDeclaration], name: str, models_dir: Path, options: Options
) -> Part:
    declaration = catalog.get(name)
    if declaration is None or declaration.pipeline is None:
        known = ", ".join(each.name for each in catalog.values() if each.pipeline is not None)
        what = "is a model" if declaration is not None else f"is not in {models_dir}"
        raise UnknownModel(f"'{name}' {what}; accepted: {known or 'no pipeline exists'}")
    text, pipeline = _read(declaration, declaration.pipeline, catalog)
    # The file may name it otherwise than its router's folder.
    own = {**catalog, pipeline.name: declaration}
    found = verdict(pipeline, own, options.target, options.seldon)
    on_seldon = options.target == "seldon-v2"
    if on_seldon and found.how is How.ROUTER and not options.via_router:
        raise ConfigurationError(
            f"pipeline '{name}' cannot run on Seldon Core 2 as it is: {found.reasons[0]}; use "
            "--via-router, which deploys our router as a Model that executes it"
        )
    routed = options.via_router or found.how is How.ROUTER or _runs_router(options)
    part = Part(name, declaration, declaration.pipeline, text, pipeline, found, routed)
    if on_seldon and not routed and options.broker_limit is not None:
        largest = part.largest_message
        over = None if largest is None else largest.over_limit(options.broker_limit)
        if over is not None:
            raise ConfigurationError(f"pipeline '{name}': {over[0]}; {over[1]}")
    return part


def _runs_router(options: Options) -> bool:
    return options.target in ("kubernetes", "compose")


def _need(
    name: str,
    catalog: Mapping[str, ModelDeclaration],
    options: Options,
    needed: dict[str, Stage],
    above: tuple[ModelDeclaration, ...],
) -> None:
    """Adds what serves a step; `above` are the pipelines that it is in, the innermost last."""
    if name in needed:
        return
    declaration = catalog.get(name)
    if declaration is None or declaration.folder is None:
        raise UnknownModel(
            f"{above[-1].pipeline}: no model '{name}' for the step of that name; accepted: "
            f"{', '.join(catalog)}"
        )
    if declaration in above:
        walk = " -> ".join(each.name for each in (*above, declaration))
        raise ConfigurationError(f"pipelines are steps of each other: {walk}; leave one out")
    if declaration.pipeline is None:
        needed[name] = _model(declaration, declaration.folder, options)
        return
    _, inner = _read(declaration, declaration.pipeline, catalog)
    for step in inner.spec.steps:
        _need(step.name, catalog, options, needed, (*above, declaration))
    needed[name] = _router(declaration, inner, options)


def _read(
    declaration: ModelDeclaration, file: Path, catalog: Mapping[str, ModelDeclaration]
) -> tuple[str, Pipeline]:
    """A pipeline file's content; what its router would not load is refused here."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from None
    pipeline = parse_pipeline(text, str(file))
    known = {**catalog, pipeline.name: declaration}
    missing = {step.name for step in pipeline.spec.steps} - known.keys()
    # What is said of models that are not there is not what is wrong, see `_need`.
    found = [] if missing else lint(text, str(file), known)
    errors = [str(finding) for finding in found if finding.severity == "error"]
    if errors:
        raise ConfigurationError("\n".join(errors))
    return text, pipeline


def _router(declaration: ModelDeclaration, pipeline: Pipeline, options: Options) -> Stage:
    assert declaration.folder is not None
    return Stage(
        declaration.name,
        declaration,
        declaration.folder,
        options.memory.get(declaration.name, PLAIN),
        steps=tuple(step.name for step in pipeline.spec.steps),
        pipeline=declaration.pipeline,
    )


def _model(declaration: ModelDeclaration, folder: Path, options: Options) -> Stage:
    name = declaration.name
    extra = settings_of(folder)
    wanted = options.variant.get(name, [])
    if len(wanted) > 2 or len(set(wanted)) < len(wanted):
        raise ConfigurationError(
            f"--variant {name}={','.join(wanted)}: an experiment is between two different variants"
        )
    if wanted and "variants" not in extra:
        raise ConfigurationError(
            f"--variant {name}={wanted[0]}: model '{name}' has no variants; leave it out"
        )
    variant = wanted[0] if wanted else None
    for each in wanted:
        checkpoint_sources(name, folder, [each], extra)
    gpu = options.gpu.get(name, 0)
    if gpu and str(extra.get("device", "auto")) == "cpu":
        raise ConfigurationError(
            f"--gpu {name}: the settings of model '{name}' say device cpu; set device to auto or "
            f"cuda in {folder / MODEL_SETTINGS}"
        )
    stage = Stage(name, declaration, folder, 0, variant, gpu)
    if gpu and not (stage.is_ours and "variants" in extra):
        what = "has no network that could use a GPU" if stage.is_ours else "is of another runtime"
        raise ConfigurationError(f"--gpu {name}: model '{name}' {what}; leave it out")
    stage = replace(stage, fetches=not stage.is_ours or _fetches(name, folder, extra, variant))
    return _with_memory(stage, options)


def _with_memory(stage: Stage, options: Options) -> Stage:
    memory = options.memory.get(stage.name)
    if memory is None and stage.is_ours:
        extra, inputs = settings_of(stage.folder), stage.declaration.inputs
        memory = model_memory(stage.name, stage.folder, extra, stage.variant, inputs)
    return replace(stage, memory=STOCK if memory is None else memory)


def _fetches(name: str, folder: Path, extra: Mapping[str, Any], variant: str | None) -> bool:
    if "variants" not in extra:
        return False
    sources = checkpoint_sources(name, folder, [] if variant is None else [variant], extra)
    return not all(Path(source).is_absolute() for source in sources.values())


def settings_of(folder: Path) -> dict[str, Any]:
    """`parameters.extra` of the settings in a model's folder."""
    settings = read_settings(folder / MODEL_SETTINGS)
    return dict((settings.get("parameters") or {}).get("extra") or {})


def _check_named(options: Options, stages: Sequence[Stage], candidates: Iterable[str]) -> None:
    models = [stage.name for stage in stages if not stage.is_router]
    for option, given, known in (
        ("--variant", options.variant, models),
        ("--gpu", options.gpu, models),
        ("memory", options.memory, [*(stage.name for stage in stages), *candidates]),
    ):
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    f"{option} {name}: these pipelines have no such model; accepted: "
                    f"{', '.join(known)}"
                )


def _candidates(stages: Sequence[Stage], options: Options) -> Iterator[tuple[str, str]]:
    for stage in stages:
        wanted = options.variant.get(stage.name, [])
        if len(wanted) < 2:
            continue
        if options.target != "seldon-v2":
            raise ConfigurationError(
                f"--variant {stage.name}: two variants are an Experiment, which only target "
                f"seldon-v2 has; name one for target {options.target}"
            )
        suffix = "".join(c if c.isalnum() else "-" for c in wanted[1].lower()).strip("-")
        yield stage.name, f"{stage.name}-{suffix}"
