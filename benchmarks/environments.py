"""The environments that peers run in, made once in `benchmarks/.cache` (or $UNWEAVE_BENCHMARK_CACHE).

    python benchmarks/environments.py

Each `requirements-NAME.txt` in a folder of peers is one environment; PyTorch, where it is the first line, is installed
before the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("UNWEAVE_BENCHMARK_CACHE", HERE / ".cache"))


def python_of(requirements: Path) -> Path:
    """The interpreter of an environment, which is made first where it is missing or its requirements have changed."""
    wanted = requirements.read_text(encoding="utf-8")
    folder = CACHE / requirements.parent.name / requirements.stem.removeprefix("requirements-")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = folder / "installed.txt"  # written last, so an interrupted installation is taken up again
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print(f"installing the peers of {folder}", file=sys.stderr, flush=True)
        installed.unlink(missing_ok=True)
        venv.create(folder, with_pip=True, clear=True)
        lines = wanted.splitlines()
        for packages in (lines[:1], lines):
            words = " ".join(packages).split()
            subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True, stdout=sys.stderr)
        installed.write_text(wanted, encoding="utf-8")
    return python


def main() -> None:
    for requirements in sorted(HERE.glob("*/requirements-*.txt")):
        print(python_of(requirements))


if __name__ == "__main__":
    main()
