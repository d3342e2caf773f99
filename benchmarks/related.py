"""What do related methods do, and how is it done here? Runs the page docs/related.md and writes down what it prints.

    python benchmarks/related.py

The blocks of Python on the page are run one after the other in one namespace, in a folder that has a project of every
tenth of the demo's articles, `articles`, with the packaged dictionary. Writes results/related.json; the last line is
one JSON object with the number of blocks.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from measuring import about
from models import made

PAGE = Path(__file__).parents[1] / "docs" / "related.md"
RESULTS = Path(__file__).parent / "results" / "related.json"
_CODE = re.compile(r"```python\n(.*?)```(?:\n\n<!-- begin (related_\w+) -->)?", re.DOTALL)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        made(Path("articles"), "mean").index()
        printed = run(page_blocks())
    results = {"about": about("numpy"), "printed": printed}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, lines in printed.items():
        print("\n".join([name, *lines, ""]))
    print(json.dumps({"blocks": len(printed)}))


def page_blocks() -> list[tuple[str, str]]:
    """The page's code, each block with the name of what stands below it; the first one has none."""
    return [(code, name) for code, name in _CODE.findall(PAGE.read_text(encoding="utf-8"))]


def run(blocks: list[tuple[str, str]]) -> dict[str, list[str]]:
    """What each block prints, by its name; the project is in the present folder."""
    names: dict[str, Any] = {}
    printed = {}
    for code, name in blocks:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)
        if name:
            printed[name] = out.getvalue().splitlines()
    return printed


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
