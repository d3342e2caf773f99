"""Kill a process that changes an index, again and again, and see that each time the index holds a committed state.

    python tests/killed_writers.py FOLDER KILLS

A child makes one change after another (add, replace, delete, compact) and says so after each. It is killed with SIGKILL
at a random moment. What was said to be done must be there; of what was begun, all or nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from unweave.index.activations import rounded
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.index.writer import IndexWriter

N_LATENTS = 40
MOST_PASSAGES = 400
Corpus = dict[str, bytes]
"""The activations of each passage, (N_LATENTS,) float32, by id, in the order of the index."""


def change(writer: IndexWriter | None, step: int, before: Corpus) -> Corpus:
    """What the step makes of a state; done to the index too, if there is a writer."""
    random = np.random.default_rng(step)
    kind = random.choice(["add", "replace", "delete", "compact", "merge all"])
    if kind in ("compact", "merge all"):
        if writer:
            writer.compact(fully=kind == "merge all")
        return before
    some = [name for name in before if random.random() < (0.7 if len(before) > MOST_PASSAGES else 0.1)]
    if kind == "delete" or len(before) > MOST_PASSAGES:
        if writer and some:
            writer.delete(some)
        return {name: row for name, row in before.items() if name not in some}
    ids = (some if kind == "replace" else []) + [f"{step}-{i}" for i in range(random.choice([1, 20, 100]))]
    rows = np.where(random.random((len(ids), N_LATENTS)) < 0.3, random.random((len(ids), N_LATENTS)) + 0.1, 0)
    rows = rounded(rows)
    if writer:
        writer.add(ids, csr_array(rows))
    kept = {name: row for name, row in before.items() if name not in ids}
    return kept | {name: row.tobytes() for name, row in zip(ids, rows, strict=True)}


def held(folder: Path) -> Corpus:
    """What the index holds, every byte of it verified."""
    index = ConceptIndex.open(folder)
    index.verify()
    corpus, first = {}, 0
    for segment in index.segments:
        for place in segment.live_places.tolist():
            row = np.zeros(N_LATENTS, np.float32)
            latents, activations = index.row(first + place)
            row[latents] = activations
            corpus[segment.id(place)] = row.tobytes()
        first += segment.n_passages
    return corpus


def killed_once(folder: Path, step: int, state: Corpus, after: float) -> tuple[int, Corpus, bool]:
    """Change the index from a step on until killed; the step and state reached, and whether a change was cut off."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            state = change(IndexWriter(folder), step, state)
            step += 1
            os.write(tell, b".")
    os.close(tell)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as pipe:
        done = len(pipe.read())
    for _ in range(done):
        state = change(None, step, state)
        step += 1
    found, begun = held(folder), change(None, step, state)
    assert found in (state, begun), f"after step {step} the index holds no committed state"
    assert list(found) == list(state if found == state else begun), f"after step {step} the order is another"
    # A change that was committed and not yet said is not made again.
    return (step, state, True) if found == state else (step + 1, begun, False)


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(kills)
    step, state = 0, Corpus()
    IndexWriter.create(folder, N_LATENTS, PROFILES["default"])
    for step in range(12):  # warm: what is compiled is compiled before the first fork
        state = change(IndexWriter(folder), step, state)
    step, cut_off = 12, 0
    for _ in range(kills):
        step, state, lost = killed_once(folder, step, state, after=random.uniform(0.001, 0.15))
        cut_off += lost
    leftover = {p.name for p in (folder / "segments").iterdir()}
    IndexWriter(folder).compact(fully=True)
    IndexWriter(folder).add(["last"], csr_array(np.ones((1, N_LATENTS), np.float32)))
    listed = {Path(path).parent.name for path in ConceptIndex.open(folder).manifest.files}
    assert {p.name for p in (folder / "segments").iterdir()} == listed, "what the killed left behind is still there"
    print(json.dumps({"kills": kills, "changes": step, "cut_off": cut_off, "most_folders": len(leftover)}))  # noqa: T201 - what the parent reads


if __name__ == "__main__":
    main()
