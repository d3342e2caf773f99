"""Writes the figures of README.md and docs/ anew, from the results of the other benchmarks and from the commands' help.

    python benchmarks/render.py

Run it after a benchmark whose results are shown, and after a change of a command's first line of help. A block stands
between `<!-- begin NAME -->` and `<!-- end NAME -->`, on one page; a test holds every page to what this would write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audits
import click
import covered
import demo
import dictionary
import dictionary_choices
import effectiveness
import explanations
import gpu
import growth
import ideas
import journeys
import keywords
import million
import models
import mutation
import naming
import pursuit
import rates
import readable
import readers_marks
import refit
import related
import search
import serving
import small_corpora
import soak
import stability
import start
import texts
import training
import tutorial
import variants

import adapters
import cluster
import engines
import faults
from unweave.cli import main as commands
from unweave.cli.show import table
from unweave.evaluation.reproduction import DIFFERENCES
from unweave.report.pictures import staircase

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "hit.svg"
SOAKED = ROOT / "docs" / "soak.svg"
_FRONT = {
    "BM25 + tokens + codes 32": "BM25 + tokens + codes",
    "BM25 + dense": "BM25 + dense",
    "tokens + codes 32": "tokens + codes",
    "tokens": "tokens",
    "codes 32": "codes",
    "dense": "dense",
    "CL-SR": "CL-SR",
    "PQ 96 B": "product quantisation, 96 bytes",
    "random dictionary, codes 32": "codes of a random dictionary",
    "BM25": "BM25",
}
"""The systems of the front page, best first, and their names there, without the number of latents."""


def main() -> None:
    shown = blocks()
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8"), shown), encoding="utf-8")
    for path, drawn in pictures().items():
        path.write_text(drawn, encoding="utf-8")


def pictures() -> dict[Path, str]:
    """The pictures that are drawn from measured results, by their files: of the front page, and of docs/ideas.md."""
    hit = demo.hit_of(results(demo.RESULTS)["hit"])
    assert hit.dense_explanation is not None
    title = f"Why \u201c{demo.QUERY}\u201d finds \u201c{hit.passage.title}\u201d"
    of_ideas = ideas.pictures(hit.dense_explanation, results(related.RESULTS), results(readers_marks.RESULTS))
    drawn = {PICTURE: staircase(hit.dense_explanation, title), SOAKED: soak.picture(results(soak.RESULTS))}
    return drawn | {ROOT / "docs" / f"ideas-{name}.svg": drawn for name, drawn in of_ideas.items()}


def pages() -> list[Path]:
    """Every page that shows blocks, or may."""
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs" / "journeys").glob("*.md")),
    ]


def renewed(page: str, shown: dict[str, list[str]]) -> str:
    """A page with the blocks between its markers written anew."""

    def block(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        return "\n".join((begin, *shown[name], end))

    return re.sub(r"(<!-- begin (\w+) -->)\n.*?(<!-- end \2 -->)", block, page, flags=re.DOTALL)


def blocks() -> dict[str, list[str]]:
    """The lines of each block, by its name."""
    of_search = effectiveness_of(texts.MINILM)
    printed = {
        **demo.blocks(results(demo.RESULTS)),
        "front": list(table(front(of_search["rows"]))),
        "training": training.summary(results(training.RESULTS)),
        "growth": growth.summary(results(growth.RESULTS)),
        "cuda": gpu.summary(results(gpu.RESULTS)),
        "effectiveness": effectiveness.summary(of_search),
        "encoders": list(table(results(effectiveness.RESULTS)["encoders"])),
        "peers": list(table(results(effectiveness.RESULTS)["peers"])),
        "stability": stability.summary(results(stability.RESULTS)),
        "dictionary": dictionary.summary(results(dictionary.RESULTS)),
        "dictionary_choices": dictionary_choices.summary(results(dictionary_choices.RESULTS)),
        "refit": refit.summary(results(refit.RESULTS)),
        "small_corpora": small_corpora.summary(results(small_corpora.RESULTS)),
        "readable": readable.summary(results(readable.RESULTS)),
        "search": search.summary(results(search.RESULTS)),
        "faults": faults.summary(results(faults.RESULTS)),
        "mutation": mutation.summary(results(mutation.RESULTS)),
        "covered": covered.summary(results(covered.RESULTS)),
        "soak": soak.summary(results(soak.RESULTS)),
        "cluster": cluster.summary(results(cluster.RESULTS)),
        "million": million.summary(results(million.RESULTS)),
        "start": start.summary(results(start.RESULTS)),
        "keywords": keywords.summary(results(keywords.RESULTS)),
        "readers_marks": readers_marks.summary(results(readers_marks.RESULTS)),
        "naming": naming.summary(results(naming.RESULTS)),
        "adapters": adapters.summary(results(adapters.RESULTS)),
        "engines": engines.printed(),
        "audits": audits.summary(results(audits.RESULTS)),
        "serving": serving.summary(results(serving.RESULTS)),
        **models.summary(results(models.RESULTS)),
        **tutorial.blocks(results(tutorial.RESULTS)),
        **results(related.RESULTS)["printed"],
        "difference": results(explanations.RESULTS)["shown"],
        "explanations": explanations.summary(results(explanations.RESULTS)),
        "variants": variants.summary(results(variants.RESULTS)),
        "pursuit": pursuit.summary(results(pursuit.RESULTS)),
        **{
            f"plan_{name}": rates.summary(passages, whole=name == "100m")
            for name, passages in (("1m", "1M"), ("msmarco", "8.8M"), ("100m", "100M"), ("10b", "10B"))
        },
        "plan_10b_larger": rates.summary("10B", shard_passages=1_000_000),
    }
    printed |= journeys.blocks(results(journeys.RESULTS))
    fenced = {name: ["```text", *lines, "```"] for name, lines in printed.items()}
    fenced["developer_code"] = ["```python", *journeys.WHY.splitlines(), "```"]
    return {
        **fenced,
        "commands": ["| command | what it does |", "| --- | --- |", *map(_command_line, every_command())],
        "differences": [f"- {difference}" for difference in DIFFERENCES],
    }


def front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the front page: a few systems over all collections, losses among them."""
    by_system = {row["system"]: row for row in rows}
    columns = ("nDCG@10", "of dense", "worst", "▲", "▼", "B/passage")
    return [
        {"system": name, **{column: by_system[system][column] for column in columns}} for system, name in _FRONT.items()
    ]


def every_command(group: click.Group = commands, name: str = "unweave") -> Iterator[tuple[str, click.Command]]:
    """Each command with its full name, in the order of the help."""
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _command_line(named: tuple[str, click.Command]) -> str:
    name, command = named
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    sentence = " ".join((command.help or "").split("\n\n")[0].split())
    return f"| `{' '.join([name, *arguments])}` | {sentence} |"


def effectiveness_of(model: str) -> dict[str, Any]:
    """What effectiveness.py found for one encoder."""
    return dict(results(effectiveness.RESULTS)["models"][model])


def results(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
