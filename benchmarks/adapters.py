"""Do the adapters work with the real packages, the newest and the oldest that they support?

    python benchmarks/adapters.py [--only NAME …]

Each adapter's tests, which run the examples of its docstring too, are run twice, each time in an environment of its own
that sees this one's packages: with the newest version of its package that can be had, and with the oldest that the
extra names. Java, for PyTerrier's own retrievers, is not needed.

Writes results/adapters.json; the last line is one JSON object: `adapters`, by name the versions that passed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, NamedTuple

from environments import CACHE
from measuring import about

from unweave.base.files import write_atomically
from unweave.cli.show import table

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "adapters.json"


class Adapter(NamedTuple):
    """What an adapter is tested with."""

    package: str
    oldest: str
    beside: tuple[str, ...] = ()
    """Other packages that its tests need."""
    oldest_beside: tuple[str, ...] = ()
    """The same beside the oldest version."""


ADAPTERS = {
    "scikit_learn": Adapter("scikit-learn", "1.7.0"),
    "langchain": Adapter("langchain-core", "1.0.0"),
    "langchain_qdrant": Adapter("langchain-qdrant", "1.0.0"),
    "llama_index": Adapter("llama-index-core", "0.14.0"),
    "haystack": Adapter("haystack-ai", "3.0.0"),
    "mcp": Adapter("mcp", "2.0.0"),
    "opentelemetry": Adapter(
        "opentelemetry-api", "1.38.0", ("opentelemetry-sdk", "openinference-semantic-conventions"),
        ("opentelemetry-sdk==1.38.0", "openinference-semantic-conventions"),
    ),
    "sentence_transformers": Adapter("sentence-transformers", "6.1.0"),
    "mteb": Adapter("mteb", "2.26.0"),
    "pyterrier": Adapter("pyterrier", "1.0.0"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(ADAPTERS), choices=ADAPTERS, help="Adapters to test.")
    names = parser.parse_args().only
    found = {name: tested(name, ADAPTERS[name]) for name in names}
    if set(names) == set(ADAPTERS):
        record = json.dumps({"about": about("numpy"), "adapters": found}, indent=1)
        write_atomically(RESULTS, lambda path: path.write_text(record + "\n", encoding="utf-8"))
    passed = {name: [run["version"] for run in runs.values() if run["passed"]] for name, runs in found.items()}
    print(json.dumps({"adapters": passed}))


def summary(results: dict[str, Any]) -> list[str]:
    """A row an adapter: with which versions of its package its tests passed."""
    return list(table([
        {
            "adapter": name,
            "package": ADAPTERS[name].package,
            **{which: run["version"] if run["passed"] else "failed" for which, run in runs.items()},
        }
        for name, runs in results["adapters"].items()
    ]))  # fmt: skip


def tested(name: str, adapter: Adapter) -> dict[str, dict[str, Any]]:
    """What the tests of an adapter said with both versions."""
    runs = {
        "oldest": [f"{adapter.package}=={adapter.oldest}", *(adapter.oldest_beside or adapter.beside)],
        "newest": ["--upgrade", adapter.package, *adapter.beside],
    }
    return {
        which: _run(f"{name}-{which}", f"test_{name}.py", adapter.package, wanted) for which, wanted in runs.items()
    }


def _run(environment: str, tests: str, package: str, wanted: list[str]) -> dict[str, Any]:
    folder = CACHE / "adapters" / environment
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (within,) = folder.glob("lib/python*/site-packages")
    seen = "; ".join(f"site.addsitedir({path!r})" for path in site.getsitepackages())
    (within / "seen.pth").write_text(f"import site; {seen}\n")
    print(f"{environment}: installing {' '.join(wanted)}", file=sys.stderr, flush=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    if subprocess.run(install, stdout=sys.stderr).returncode:
        return {"version": None, "passed": False, "said": "it could not be installed"}
    asked = f"from importlib.metadata import version; print(version({package!r}))"
    version = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/adapters/{tests}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-200:]
    print(f"{environment}: {version}: {last}", file=sys.stderr, flush=True)
    ran = re.search(r"(\d+) passed", last) is not None  # a file that is skipped whole has shown nothing
    return {"version": version, "passed": done.returncode == 0 and ran, "said": last}


if __name__ == "__main__":
    main()
