"""`infergraph manifests`: what a cluster, or another machine, needs to run pipelines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from . import workspace

HELP = "write manifests for Seldon Core, Kubernetes or Compose, or check some"
DESCRIPTION = (
    "Writes all that a target needs to run pipelines, computed from their graphs, their models' "
    "settings and checkpoints: objects to apply in the order of their files, the tree of model "
    "folders to upload, and NOTES.md. Without --output it prints the objects. With --check it "
    "looks for what is wrong in a folder of manifests, and exits with 1 if anything is."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..manifests.targets import AUTOSCALERS, IMAGES, TARGETS

    parser.add_argument("pipelines", nargs="*", metavar="PIPELINE", help="a pipeline")
    parser.add_argument("--target", choices=TARGETS, help="what runs the pipelines")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where to write (default: print the objects)"
    )
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="a folder to check instead")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="[ROLE=]IMAGE",
        help=f"what containers run; ROLE is one of {', '.join(IMAGES)}, and without one the image "
        "is for all of ours; may be repeated",
    )
    parser.add_argument(
        "--storage-uri",
        metavar="URI",
        help="where the model folders are found: seldon-v2 what rclone reads, such as "
        "gs://bucket/models; kubernetes and seldon-v1 pvc://CLAIM[/FOLDER], kubernetes also "
        "oci://IMAGE; compose a folder (default: the one that is rendered)",
    )
    parser.add_argument("--namespace", metavar="NAME", help="the namespace of all objects")
    parser.add_argument(
        "--seldon-version", metavar="VERSION", help="of Seldon Core 2 (default: 2.6.0)"
    )
    parser.add_argument(
        "--replicas", type=_count, metavar="N", help="of each model and router (default: 1)"
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="MODEL=VARIANT",
        help="the variant of a model; given twice for one model, an Experiment of seldon-v2",
    )
    parser.add_argument(
        "--gpu",
        action="append",
        default=[],
        metavar="MODEL[=N]",
        help="run a model on N GPUs, 1 unless given; may be repeated",
    )
    parser.add_argument(
        "--autoscale",
        choices=AUTOSCALERS,
        action=_Once,
        help="what changes the number of replicas, or for vpa their size",
    )
    parser.add_argument(
        "--via-router",
        action="store_const",
        const=True,
        help="seldon-v2, seldon-v1: execute the pipelines by our router, a Model of its own or the "
        "one node of a graph",
    )
    parser.add_argument(
        "--values",
        type=Path,
        metavar="FILE",
        help="YAML of all these options by their names, and of max-replicas, memory (by model), "
        "broker-limit and prometheus; the command line goes before it. --check reads "
        "seldon-version and broker-limit of it",
    )
    workspace.add_models_dir(parser)


class _Once(argparse.Action):
    """An option of which there can be one only."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest)
        if given is not None and given != values:
            parser.error(
                f"{option_string} {given} and {values}: two would fight over the same replicas; "
                "keep one"
            )
        setattr(namespace, self.dest, values)


def _count(text: str) -> int:
    """An argparse type: a number from 1 on."""
    if not _COUNT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no number; accepted: 1 and more")
    return int(text)


_COUNT = re.compile(r"0*[1-9]\d{0,5}", re.ASCII)
"""A number from 1 on; `Options` says how large it may be."""


def run(args: argparse.Namespace) -> int:
    from ..catalog import load_catalog
    from ..manifests.deployment import plan_deployment
    from ..manifests.options import read_options
    from ..manifests.rendering import render

    values = _values(args.values)
    if args.check is not None:
        return _check(args, values)
    target = args.target or values.get("target")
    pipelines = args.pipelines or values.get("pipelines") or []
    if not isinstance(pipelines, list) or not all(isinstance(each, str) for each in pipelines):
        raise ConfigurationError(f"pipelines = {pipelines!r}: accepted: a list of names")
    if not target or not pipelines:
        missing = "--target" if pipelines else "a PIPELINE"
        raise ConfigurationError(
            f"{missing} is missing; for example: infergraph manifests audio-qa --target kubernetes"
        )
    given = {
        "image": _images(args.image),
        "storage_uri": args.storage_uri,
        "namespace": args.namespace,
        "seldon_version": args.seldon_version,
        "replicas": args.replicas,
        "variant": _variants(args.variant),
        "gpu": _gpus(args.gpu),
        "autoscale": args.autoscale,
        "via_router": args.via_router,
    }
    others = {key: value for key, value in values.items() if key != "pipelines"}
    options = read_options(target, given, others)
    catalog = load_catalog(args.models_dir)
    rendered = render(plan_deployment(catalog, pipelines, args.models_dir, options))
    if args.output is None:
        print(rendered.text, end="")
    else:
        rendered.write(args.output)
        print(f"{args.output}: {len(rendered.files)} files; NOTES.md says what to do with them")
    return 0


def _check(args: argparse.Namespace, values: Mapping[str, Any]) -> int:
    from ..catalog import load_catalog
    from ..manifests.broker import check_messages
    from ..manifests.checks import check
    from ..manifests.documents import read_folder
    from ..manifests.options import named, read_options

    if args.pipelines or args.target or args.output:
        raise ConfigurationError(
            "--check looks at a folder that is there; leave out PIPELINE, --target and --output"
        )
    # Of all options only these two say what is accepted; the target is one that needs no others.
    known = named({key: value for key, value in values.items() if key != "pipelines"})
    given = {"seldon_version": args.seldon_version or known.get("seldon_version")}
    options = read_options("compose", {**given, "broker_limit": known.get("broker_limit")}, {})
    documents = read_folder(args.check)
    findings = check(documents, options.seldon)
    if options.broker_limit is not None:
        catalog = load_catalog(args.models_dir)
        findings += check_messages(documents, catalog, options.broker_limit)
    for finding in findings:
        print(finding)
    if findings:
        return 1
    print(f"{len(documents)} objects checked: no findings")
    return 0


def _values(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    import yaml

    try:
        values = yaml.safe_load(workspace.read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"--values {file}: no YAML: {problem}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"--values {file}: accepted: option names with their values")
    return values


def _images(given: Iterable[str]) -> dict[str, str]:
    images: dict[str, str] = {}
    for each in given:
        # No image has a = in its name.
        role, equals, image = each.partition("=")
        role, image = (role, image) if equals else ("models", each)
        if images.setdefault(role, image) != image:
            raise ConfigurationError(f"--image {each}: '{images[role]}' is given for it too")
    return images


def _variants(given: Iterable[str]) -> dict[str, list[str]]:
    variants: dict[str, list[str]] = {}
    for each in given:
        model, equals, variant = each.partition("=")
        if not (model and equals and variant):
            raise ConfigurationError(f"--variant {each}: accepted: MODEL=VARIANT")
        variants.setdefault(model, []).append(variant)
    return variants


def _gpus(given: Iterable[str]) -> dict[str, int]:
    gpus = {}
    for each in given:
        model, equals, count = each.partition("=")
        if not model or (equals and not _COUNT.fullmatch(count)):
            raise ConfigurationError(
                f"--gpu {each:.100}: accepted: MODEL or MODEL=N, a number from 1 on"
            )
        gpus[model] = int(count or 1)
    return gpus
