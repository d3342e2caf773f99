"""The environments that the peers run in, made once in `benchmarks/.cache/peers` (or $UNWEAVE_BENCHMARK_CACHE/peers).

    python benchmarks/peers/environments.py

Each `requirements-NAME.txt` beside this file is one environment; its first line, PyTorch, is installed before the rest.
All six peers agree on one set of versions today, so there is one; a peer that leaves gets a file of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("UNWEAVE_BENCHMARK_CACHE", HERE.parent / ".cache")) / "peers"
NAMES = tuple(sorted(path.stem.removeprefix("requirements-") for path in HERE.glob("requirements-*.txt")))


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made first where it is missing or its requirements have changed."""
    wanted = (HERE / f"requirements-{name}.txt").read_text(encoding="utf-8")
    folder = CACHE / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = folder / "installed.txt"  # written last, so an interrupted installation is taken up again
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print(f"installing the peers of {folder}", file=sys.stderr, flush=True)
        installed.unlink(missing_ok=True)
        venv.create(folder, with_pip=True)
        lines = wanted.split()
        for packages in (lines[:1], lines):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
        installed.write_text(wanted, encoding="utf-8")
    return python


def main() -> None:
    for name in NAMES:
        print(name, python_of(name))


if __name__ == "__main__":
    main()
