"""`infergraph demo`: a pipeline's sample request, step by step."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import workspace
from .overview import describe
from .serve import add_serving_options, prepare

if TYPE_CHECKING:
    from ..v2 import Message
    from .plan import ServerPlan

HELP = "serve a pipeline, send its sample request, show each step's answer and time"
DESCRIPTION = (
    "Serves a pipeline on free ports, sends the sample request of its folder, shows what each step "
    "said and how long it took, and stops the server."
)
_TIMEOUT_MS = 120_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="PIPELINE", help="a pipeline, or a model")
    add_serving_options(parser)
    parser.add_argument(
        "--url",
        help="ask a server that runs already, at grpc://host:port or http://host:port, "
        "rather than starting one",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="draw boxes, labels and results on the sample's image, and save it as .png, .jpg or "
        ".webp; or save the speech of the answer as .wav or .flac; of several each gets a number, "
        "as out-1.png for out.png",
    )


def run(args: argparse.Namespace) -> int:
    from ..catalog import SAMPLE, load_catalog
    from ..graph import parse_pipeline
    from . import pictures, report, sounds
    from .sample import load_sample

    declaration = workspace.find_servable(load_catalog(args.models_dir), args.name, args.models_dir)
    assert declaration.folder is not None
    request = load_sample(declaration)
    heard = args.save is not None and args.save.suffix.lower() in sounds.FORMATS
    if heard:
        sounds.check(args.save)
    elif args.save is not None:
        pictures.check(args.save, request, args.name)
    print(f"The sample request of {args.name}, {workspace.shown(declaration.folder / SAMPLE)}:")
    print("\n".join(report.message_lines(request)), "\n", sep="", flush=True)

    answers, times = _ask(args, request)
    answer, trace = report.unpadded(answers[-1]), answers[-1].trace
    if trace is not None and declaration.pipeline is not None:
        text = workspace.read_text(declaration.pipeline)
        pipeline = parse_pipeline(text, str(declaration.pipeline))
        table = report.trace_lines(trace, report.said_by_step(pipeline, answer))
        print("\n".join(table), "\n", sep="")
    parts = f"the first request took {report.milliseconds(times[0])}"
    if trace is not None and declaration.pipeline is None:
        queue, compute = (report.milliseconds(trace.get(key)) for key in ("queue_us", "compute_us"))
        parts = f"queue {queue}, compute {compute}; {parts}"
    print(f"Answered in {report.milliseconds(times[-1])} ({parts}):")
    print("\n".join(report.message_lines(answer)))
    if heard:
        saved = sounds.save(args.save, answers[-1], args.name)
        print("\nSaved:", ", ".join(map(workspace.shown, saved)))
    elif args.save is not None:
        declared = [spec.name for spec in declaration.outputs]
        saved = pictures.save(args.save, request, answers[-1], args.name, declared)
        print("\nDrawn:", ", ".join(map(workspace.shown, saved)))
    return 0


def _ask(args: argparse.Namespace, request: Message) -> tuple[list[Message], list[float]]:
    """The answers to two requests, the second to warm models, and their times in microseconds."""
    import asyncio

    if args.url is not None:
        return asyncio.run(_send(args.url, args.name, request))

    from ..settings import EMBEDDED_WORLD
    from .cluster import Cluster, Interrupted, on_signals, raise_interrupted
    from .model_server import choose_ports

    plans, options = prepare(args, [args.name], choose_ports())
    with on_signals(raise_interrupted):
        try:
            started = time.monotonic()
            servables = ", ".join(each.name for plan in plans for each in plan.servables)
            processes = "1 process" if len(plans) == 1 else f"{len(plans)} processes"
            print(f"Serving {servables} in {processes} ...", flush=True)
            with Cluster(plans, options) as cluster:
                print(f"Ready after {time.monotonic() - started:.1f} s", flush=True)
                if embedded := ", ".join(_embedded(plans, options.environment)):
                    print(f"With checkpoints that know only {EMBEDDED_WORLD}: {embedded}")
                print(flush=True)
                return asyncio.run(_send(cluster.entry.grpc_url, args.name, request))
        except Interrupted:
            raise KeyboardInterrupt from None


def _embedded(plans: Sequence[ServerPlan], environment: Mapping[str, str]) -> Iterator[str]:
    """The names of the planned models that run with their embedded checkpoint."""
    from ..settings import EMBEDDED, environment_prefix

    for declaration in (each for plan in plans for each in plan.servables):
        variant = describe(declaration)["variant"]
        if environment.get(f"{environment_prefix(declaration.name)}VARIANT", variant) == EMBEDDED:
            yield declaration.name


async def _send(url: str, name: str, request: Message) -> tuple[list[Message], list[float]]:
    from ..request import Deadline, RequestContext
    from ..transports import connect

    transport = connect(url)
    answers, times = [], []
    try:
        for _ in range(2):
            context = RequestContext(deadline=Deadline.after_ms(_TIMEOUT_MS), trace=True)
            started = time.perf_counter()
            answers.append(await transport.infer(name, request, context))
            times.append((time.perf_counter() - started) * 1e6)
    finally:
        await transport.close()
    return answers, times
