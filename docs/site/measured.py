"""A page for each benchmark: its question and how it is measured, where and when it ran, its plot and what it printed.

All of it is read from the benchmark's docstring, its results, and the blocks of the pages that tell what they mean.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import plots

_BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)\n<!-- end \1 -->", re.DOTALL)
_MORE = {
    "demo": ("demo", "scifact", "seconds", "tokens"),
    "gpu": ("cuda",),
    "effectiveness": ("effectiveness", "encoders", "peers"),
    "models": ("models", "winners"),
    "rates": ("plan_1m", "plan_msmarco", "plan_100m", "plan_10b"),
    "related": ("related_pursuit", "related_steering", "related_paths", "related_labels", "related_cycle"),
    "ablations": (),
    "tutorial": ("tutorial_search", "tutorial_difference", "tutorial_steered", "tutorial_counterfactual"),
}
"""The blocks of a benchmark, where that is not one of its own name."""
_INDEX = """# The benchmarks, and their plots

Each is one script that anybody can run again: [what every figure needs](../docs/reproduction.md). Absolute times are
those of the machine that a page names.

"""


class Block(NamedTuple):
    """What a benchmark printed, and the page that tells what it means."""

    page: Path
    text: str


def write(folder: Path, root: Path) -> None:
    """Write a page for each of the results in benchmarks/results, its plot beside it, and the page that lists them."""
    shown = _shown(root / "docs")
    results = sorted((root / "benchmarks" / "results").glob("*.json"))
    rows = []
    for path in results:
        found = json.loads(path.read_text(encoding="utf-8"))
        title, method = _told(root / "benchmarks" / f"{path.stem}.py")
        blocks = [shown[name] for name in _MORE.get(path.stem, (path.stem,))]
        drawn = plots.draw(path.stem, found, folder / f"{path.stem}.svg")
        lines = _page(path.stem, title, method, found, blocks, drawn)
        (folder / f"{path.stem}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows.append(f"| [{path.stem}]({path.stem}.md) | {title} |")
    listed = "\n".join(path.stem for path in results)
    (folder / "index.md").write_text(
        f"{_INDEX}| benchmark | what it asks |\n| --- | --- |\n" + "\n".join(rows)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n", encoding="utf-8")  # fmt: skip


def _shown(docs: Path) -> dict[str, Block]:
    """Every block of the pages, by its name."""
    return {
        name: Block(page, text)
        for page in sorted([*docs.rglob("*.md"), docs.parent / "README.md"])
        for name, text in _BLOCK.findall(page.read_text(encoding="utf-8"))
    }


def _told(script: Path) -> tuple[str, str]:
    """What a benchmark asks, and how it answers: the first sentence of its docstring, and the rest."""
    told = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    first, _, method = told.partition("\n")
    title, more = re.match(r"(.*?[?.:])(?: (.*)|$)", first).groups()  # type: ignore[union-attr]
    return title.rstrip("."), "\n\n".join(filter(None, (more, method.strip("\n"))))


def _page(name: str, title: str, method: str, found: Any, blocks: list[Block], drawn: str) -> Iterator[str]:
    yield f"# {title}\n\n{textwrap.dedent(method)}\n"
    yield f"{_where(found)}\n"
    yield f"![{drawn}]({name}.svg)\n\n*{drawn}*\n"
    for page in sorted({block.page for block in blocks if block.page.parent.name == "docs"}):
        yield f"What it means, and what was lost: [{page.name}](../docs/{page.name}).\n"
    for block in blocks:
        yield f"{block.text}\n"


def _where(found: Any) -> str:
    """When and where it was measured, as the results say."""
    about = next(_abouts(found), None)
    if about is None:
        return f"Measured on an {found['device']}."
    commit = f", at commit {about['commit']}" if about["commit"] else ""
    versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
    return f"Measured on {about['date']}{commit}: {about['machine']}; Python {about['python']}, {versions}."


def _abouts(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if "about" in found:
            yield found["about"]
        for value in found.values():
            yield from _abouts(value)
