"""Writes the figures that README.md shows anew, from the results of the other benchmarks.

    python benchmarks/readme.py

Run it after a benchmark whose results it shows. A test holds the README to what it would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import demo
import effectiveness
import gpu
import growth
import naming
import pursuit
import search
import stability
import texts
import training
import variants

from unweave.cli.show import table

README = Path(__file__).parent.parent / "README.md"


def main() -> None:
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(readme: str) -> str:
    """The README with the blocks between its markers written anew."""
    for name, lines in blocks().items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, rest = readme.split(begin)
        readme = before + begin + "```text\n" + "\n".join(lines) + "\n```\n" + end + rest.split(end, 1)[1]
    return readme


def blocks() -> dict[str, list[str]]:
    """What the README shows, by the name of its block."""
    return {
        **demo.blocks(results(demo.RESULTS)),
        "training": training.summary(results(training.RESULTS)),
        "growth": growth.summary(results(growth.RESULTS)),
        "cuda": gpu.summary(results(gpu.RESULTS)),
        "effectiveness": effectiveness.summary(results(effectiveness.RESULTS)["models"][texts.MINILM]),
        "encoders": list(table(results(effectiveness.RESULTS)["encoders"])),
        "peers": list(table(results(effectiveness.RESULTS)["peers"])),
        "stability": stability.summary(results(stability.RESULTS)),
        "search": search.summary(results(search.RESULTS)),
        "naming": naming.summary(results(naming.RESULTS), "demo"),
        "names_of_both": naming.headlines(results(naming.RESULTS)),
        "variants": variants.summary(results(variants.RESULTS)),
        "pursuit": pursuit.summary(results(pursuit.RESULTS)),
    }


def results(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
