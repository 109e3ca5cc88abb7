"""What the pages show of the commands is what the commands print.

A page's `console` block is a list of commands; the block without a language right below it is what
the last of them prints. Where the commands begin with `$`, what each prints is below it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .server import COMMAND_SECONDS, REPOSITORY, ServerProcess, command

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```\n", re.M | re.S)
_EXAMPLES = "infergraph_clients.examples."
_ELSEWHERE = {"serve", "demo", "fetch", "convert"}
"""Commands of `infergraph` that start servers, need the network, or files that a reader has."""
_NOT_RUN = {".", "make", "mlserver", "docker", "pip", "infergraph-load", "infergraph-video"}
"""Programs that build, install, serve or measure, or need what a page's reader has."""


@dataclass(frozen=True)
class Shown:
    """A command of a page.

    Attributes:
        place: The page and the line of its block.
        words: The command's words.
        output: What the page says that it prints; None where it does not say.
    """

    place: str
    words: tuple[str, ...]
    output: str | None

    @property
    def runs(self) -> bool:
        """Whether it can run here, with a server of all models."""
        program, *arguments = self.words
        if "=" in program or program.startswith(".venv") or program in _NOT_RUN:
            return False
        if program == "infergraph" and arguments[0] in _ELSEWHERE:
            return False
        if program == "python" and not arguments[1].startswith(_EXAMPLES):
            return False
        files = (word.partition("=@")[2] for word in arguments)
        return all((REPOSITORY / file).exists() for file in files if file)


def shown(page: Path) -> Iterator[Shown]:
    """The commands of a page, in order."""
    text = page.read_text()
    for block in _BLOCK.finditer(text):
        language, body = block.groups()
        if language != "console":
            continue
        place = f"{page.name}:{text.count(chr(10), 0, block.start()) + 1}"
        body = body.replace("\\\n", " ")
        if body.startswith("$ "):
            for each in body.removeprefix("$ ").split("\n$ "):
                line, _, output = each.partition("\n")
                yield Shown(place, _words(line), output)
            continue
        lines = [words for line in body.splitlines() if (words := _words(line))]
        below = _BLOCK.match(text.removeprefix(text[: block.end()]).lstrip("\n"))
        printed = below[2] if below is not None and not below[1] else None
        for number, words in enumerate(lines, 1):
            yield Shown(place, words, printed if number == len(lines) else None)


def _words(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line, comments=True))


COMMANDS = [each for page in PAGES for each in shown(page)]


def arguments(words: Sequence[str], server: ServerProcess) -> list[str]:
    """The command line that asks this server."""
    program, *given = words
    if program == "curl":
        return [
            program,
            *(word.replace("http://127.0.0.1:8080", server.url) for word in given),
        ]
    if program == "python":
        source = REPOSITORY / "clients" / f"{given[1].replace('.', '/')}.py"
        over_rest = "127.0.0.1:8080" in source.read_text()
        port = server.http_port if over_rest else server.grpc_port
        return [sys.executable, *given, "--url", f"127.0.0.1:{port}"]
    if program == "infergraph-infer":
        given += ["--url", server.grpc_url]
    return [command(program), *given]


def plain(output: str) -> str:
    """An output without its times, on which the width of its columns depends."""
    timeless = re.sub(r"\b\d[\d,]*(\.\d+)? (us|ms|s)\b", "TIME", output)
    lines = (re.sub(r"(?<=\S)( {2,}|\t)", "  ", line).rstrip() for line in timeless.splitlines())
    return "\n".join(lines)


@pytest.mark.parametrize(
    "each",
    [each for each in COMMANDS if each.runs],
    ids=lambda each: f"{each.place}-{' '.join(each.words)[:40]}",
)
def test_a_command_prints_what_its_page_shows(each: Shown, models: ServerProcess) -> None:
    done = subprocess.run(
        arguments(each.words, models),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=COMMAND_SECONDS,
        encoding="utf-8",
        check=False,
    )

    if each.output is None:
        assert done.returncode == 0, done.stdout
    else:
        printed = done.stdout.replace(models.grpc_url, "grpc://127.0.0.1:8081")
        assert plain(printed) == plain(each.output)


def test_the_pages_show_what_is_tested() -> None:
    run = [each for each in COMMANDS if each.runs]

    assert {each.words[0] for each in run} == {"curl", "infergraph", "infergraph-infer", "python"}
    assert sum(each.output is not None for each in run) >= 4
    # A program that is in no list is a mistake, of the page or of the list.
    known = {*_NOT_RUN, "curl", "infergraph", "infergraph-infer", "python"}
    others = {each.words[0] for each in COMMANDS} - known
    assert all("=" in name or name.startswith(".venv") for name in others), others


def test_times_are_left_out_and_nothing_else() -> None:
    assert plain("  a  12.5 ms  0.9993\n") == plain("  a   1,203 ms   0.9993\n")
    assert plain("a: 3 ms") != plain("b: 3 ms")
    assert plain("a 0.9993") != plain("a 0.6886")
    assert plain("  a") != plain("a")
