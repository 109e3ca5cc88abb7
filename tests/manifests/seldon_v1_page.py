"""docs/seldon-v1.md: the nine pipelines of the first generation as graphs of Seldon Core 1.

What stands between the marks is computed of the pipelines; `make manifests` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from infergraph.manifests.inference_graph import GraphNode, plan_graph
from infergraph.manifests.verdict import How

from . import examples

PAGE = Path("docs/seldon-v1.md")
BEGIN, END = "<!-- graphs: written by `make manifests` -->", "<!-- end of graphs -->"
FIRST_GENERATION = {
    "audio-qa": "two models in a chain, the question asked of a constant text",
    "audio-sent": "two models in a chain",
    "nlp": "three models in a chain, whatever the language",
    "sum-qa": "two models in a chain",
    "video": "two models in a chain, pictures of objects between them",
    "cascade": "a ROUTER between two models, the first of which echoed the image",
    "ensemble": "a COMBINER over three models",
    "preprocess": "a TRANSFORMER and a model",
    "video-monitoring": "a COMBINER over three models, all of them always called",
}
"""What each was in the first generation."""


def with_graphs(page: str) -> str:
    """The page with what is between its marks written anew."""
    begin, _, rest = page.partition(BEGIN)
    _, _, end = rest.partition(END)
    body = "\n".join(line for each in FIRST_GENERATION for line in _section(each))
    return f"{begin}{BEGIN}\n{body}\n{END}{end}"


def _section(pipeline: str) -> Iterator[str]:
    graph = plan_graph(examples.parsed(pipeline), examples.catalog())
    found = examples.judged(pipeline, "seldon-v1")
    yield f"## {pipeline}"
    yield ""
    yield (
        f"In the first generation {FIRST_GENERATION[pipeline]}; now {graph.described()}. Verdict: "
        f"**{found.how.value}**."
    )
    yield ""
    yield "```mermaid"
    yield "flowchart LR"
    yield "    request([request])"
    yield from (f"    {line}" for line in _drawn(graph))
    yield "```"
    yield ""
    yield "| node | is asked | its model reads | and answers | goes on with it |"
    yield "|---|---|---|---|---|"
    yield from map(_row, graph.walk())
    yield ""
    yield "```sh"
    yield (
        f"infergraph manifests {pipeline} --target seldon-v1 --storage-uri pvc://models "
        "--output out"
    )
    yield f"kubectl apply -f out/00-environment.yaml -f out/40-seldondeployment-{pipeline}.yaml"
    yield (
        f"curl -H 'content-type: application/json' -d @model-settings/{pipeline}/request.json \\"
    )
    yield f"  http://INGRESS/seldon/NAMESPACE/{pipeline}/v2/models/infer"
    yield "```"
    yield ""
    if graph.is_chain:
        yield "Over REST, and over gRPC as typed contents."
    else:
        yield "Over REST alone: the executor takes only chains over gRPC."
    if found.how is How.ONE_ITEM:
        items = "several items: send each by itself" if _holds_several(pipeline) else "one item"
        yield f"A request holds one item, since {found.reasons[1]}. The sample holds {items}."
    yield ""


def _holds_several(pipeline: str) -> bool:
    sample = json.loads((examples.MODELS / pipeline / "request.json").read_text())
    return bool(sample["inputs"][0]["shape"][0] > 1)


def _drawn(root: GraphNode) -> Iterator[str]:
    """Edges in the order in which messages go."""
    yield f"request --> {_entry(root)}"
    yield from _edges(root)
    if _may_answer(root):
        yield f"{root.name} -->|else| answer"
    yield f"{_exit(root)} --> answer([answer])"


def _may_answer(root: GraphNode) -> bool:
    """Whether the first node's own answer may be the graph's, none of its children being asked."""
    own = set((root.node.outputs or {}).values())
    always = not all(root.node.branches)
    return (
        bool(root.node.branches)
        and root.node.gives is not None
        and not always
        and all(own & set(any_of) for any_of in root.node.answers)
    )


def _entry(node: GraphNode) -> str:
    """Where a message comes first that is handed to a node."""
    if node.kind == "MODEL" or "ROUTE" in node.methods:
        return node.name
    return " & ".join(map(_entry, node.children))


def _exit(node: GraphNode) -> str:
    """Where a node's answer comes from."""
    if node.kind != "MODEL":
        return node.name
    if node.joins:
        return f"{node.name}-join"
    return _exit(node.children[0]) if node.children else node.name


def _edges(node: GraphNode) -> Iterator[str]:
    name = node.name
    if node.kind == "MODEL":
        yield f"{name}[{node.name}]"
    else:
        yield f"{name}[{node.name}: {node.kind}]"
    join = f"{name}-join" if node.kind == "MODEL" else name
    if node.kind == "MODEL" and node.joins:
        yield f"{join}[{node.name}: AGGREGATE]"
    for position, child in enumerate(node.children):
        if node.kind == "MODEL" or "ROUTE" in node.methods:
            label = ""
            if node.node.branches and node.node.branches[position]:
                label = f"|{' or '.join(node.node.branches[position])}|"
            yield f"{name} -->{label} {_entry(child)}"
        yield from _edges(child)
        if node.kind != "MODEL" or node.joins:
            yield f"{_exit(child)} --> {join}"


def _row(node: GraphNode) -> str:
    place = node.node
    reads = [
        name if found == [name] else f"{name} from {' or '.join(found)}"
        for name, found in (place.inputs or {}).items()
    ]
    answers = [
        name if name == out else f"{name} as {out}" for name, out in (place.outputs or {}).items()
    ]
    passes = [
        name + (f" (with {' or '.join(each)})" if each else "")
        for name, each in place.passes.items()
    ]
    when = " and ".join(" or ".join(any_of) for any_of in place.needs)
    condition = f"; only with {when}" if when else ""
    cells = (
        node.name,
        ", then ".join(_calls(node)),
        f"{', '.join(reads)}{condition}",
        ", ".join(answers) or "nothing",
        ", ".join(passes) or "nothing",
    )
    return f"| {' | '.join(cells)} |"


def _calls(node: GraphNode) -> Iterator[str]:
    if node.kind == "MODEL":
        yield "`infer`"
    if "ROUTE" in node.methods:
        yield "`route`"
    if node.joins:
        yield "`aggregate`"
    if node.kind == "OUTPUT_TRANSFORMER":
        yield "`infer`, of what its child answered"
