"""Other trainers of sparse autoencoders, each run by its own code in an environment apart from ours.

    result = peers.run("sparsify", {"data": "x.npy", "held_out": "h.npy", "n_latents": 12288, "k": 32, ...})

`adapter.Request` says what a request holds; `run_NAME.py` says what of the peer is run, and how.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments import python_of

HERE = Path(__file__).parent
PEERS = ("sparsify", "dictionary-learning", "overcomplete", "latentsae", "sentence-transformers", "saelens")
OURS = "unweave"
"""Run as they are, but in the environment of the caller."""
ENVIRONMENT = HERE / "requirements-shared.txt"
LINES_OF_ERROR = 30


def run(peer: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Train a peer, or OURS, in a process of its own; its result, also in request["out"] with weights-STEP.npz.

    Raises:
        RuntimeError: the peer failed; with the last lines that it wrote to stderr.
    """
    if peer not in (OURS, *PEERS):
        raise ValueError(f"unknown peer {peer!r}; there are {', '.join((OURS, *PEERS))}")
    out = Path(request["out"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").unlink(missing_ok=True)
    (out / "request.json").write_text(json.dumps(dict(request), default=str), encoding="utf-8")
    script = HERE / f"run_{peer.replace('-', '_')}.py"
    done = subprocess.run(
        [sys.executable if peer == OURS else python_of(ENVIRONMENT), script, out / "request.json"],
        env=_environ(request.get("threads", 2)),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-LINES_OF_ERROR:])
        raise RuntimeError(f"{peer} failed with exit status {done.returncode}; its last words:\n{tail}")
    result: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return result


def _environ(threads: int) -> dict[str, str]:
    """Ours, without what would lead Python to our packages, and with nothing reported or downloaded."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    quiet = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}
    return ours | quiet | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
