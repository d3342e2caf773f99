"""What several benchmarks measure alike: where they ran, the memory of some work, the error of some codes."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers.adapter import memory
from scipy.sparse import csr_array

from unweave.base.files import write_atomically
from unweave.sae.model import SAE


def about(*packages: str) -> dict[str, Any]:
    """When and on what a benchmark ran, with the versions of these packages."""
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}",
        "load_before": os.getloadavg()[0],
        "versions": {name: version(name) for name in packages},
    }


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file keeps of a measurement, which is made if there is none: a run that was broken off goes on there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(measure())
        write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def peak_bytes(work: Callable[[], object]) -> int:
    """The memory that some work takes at its peak, beyond what this process holds before."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = memory("VmRSS")
    work()
    return memory("VmHWM") - before


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """The processor time of some work, the least of some runs: whatever else a machine does only adds to it."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def nmse(sae: SAE, embeddings: NDArray[np.float32], codes: csr_array) -> float:
    """The normalised squared error of codes, (n, n_latents), of embeddings, (n, d_in); see `SAE.measure`."""
    missed = np.square(embeddings - sae.decode(codes), dtype=np.float64).sum()
    return float(missed / np.square(embeddings - embeddings.mean(axis=0), dtype=np.float64).sum())
