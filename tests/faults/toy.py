"""A project so small that a case takes tenths of a second, with everything a project can have."""

from __future__ import annotations

import json
import traceback
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from click.testing import CliRunner

from unweave.cli import main
from unweave.config import EncoderConfig
from unweave.sae.model import SAE
from unweave.stages import workspace

WORDS = ["moon", "sea", "wind", "blade", "tower", "wave", "light", "stone", "river", "cloud", "tide", "sand"]
N_PASSAGES, N_QUERIES, WIDTH = 40, 4, 8
SYSTEMS = ("BM25", "dense", "CL-SR", "CL-SR rescored", "CL-SR then dense", "codes", "tokens", "BM25 + 2 codes")


class ToyEncoder:
    """Each word has a direction; a text is the sum of its words'. It shows its tokens, which are its words."""

    def __init__(self, config: EncoderConfig) -> None:
        self._config = config

    @property
    def identity(self) -> dict[str, Any]:
        c = self._config
        return {"model": c.model, "query_prefix": c.query_prefix, "passage_prefix": c.passage_prefix, "normalize": True}

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.stack([rows.sum(axis=0) for rows in self.encode_tokens(texts)]) if texts else np.zeros((0, WIDTH))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    encode_queries = encode_passages

    def words(self, texts: Sequence[str], *, of_queries: bool = False) -> list[list[str]]:
        return [text.lower().replace(".", " ").split() or ["nothing"] for text in texts]

    def encode_tokens(self, texts: Sequence[str], *, of_queries: bool = False) -> list[np.ndarray]:
        return [np.stack([_direction(word) for word in words]) for words in self.words(texts)]


def _direction(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH).astype(np.float32)


class Said(NamedTuple):
    """What a command did."""

    code: int
    output: str
    traceback: str
    """Of what it raised, where that was no error for people."""


def command(*words: str | Path) -> Said:
    """Run a command in this process."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    raised = done.exception is not None and not isinstance(done.exception, SystemExit)
    return Said(done.exit_code, done.output, "".join(traceback.format_exception(*done.exc_info)) if raised else "")


def use_toy_encoder() -> None:
    """Let every project of this process embed with the toy encoder."""
    workspace.open_encoder = ToyEncoder


def make_inputs(folder: Path) -> None:
    """What commands read besides a project: a corpus, other vectors, names to import, an SAE of another tool."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    sentences = [[" ".join(random.choice(WORDS, 5, replace=False)) for _ in range(2)] for _ in range(N_PASSAGES)]
    texts = [". ".join(f"The {sentence}" for sentence in two) + "." for two in sentences]
    lines = [
        json.dumps({"_id": f"p{i}", "title": "", "text": text, "metadata": {"half": "ab"[i % 2]}})
        for i, text in enumerate(texts)
    ]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "more.jsonl").write_text(
        json.dumps({"_id": "new", "title": "", "text": "The tide over the stone."}) + "\n"
    )
    queries = [json.dumps({"_id": f"q{i}", "text": sentences[i][0]}) for i in range(N_QUERIES)]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (folder / "qrels.txt").write_text("".join(f"q{i} 0 p{i} 1\n" for i in range(N_QUERIES)))
    rows = random.normal(size=(N_PASSAGES, WIDTH)).astype(np.float32)
    np.save(folder / "other.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    (folder / "names.csv").write_text("latent,name,description\n2,imported two,\n3,imported three,with a description\n")


FIT = ("--n-latents", "16", "--k", "8", "--steps", "20", "--batch-size", "16")
STAGES = {
    "init": ("init", "{project}", "--corpus", "{inputs}/corpus.jsonl", "--queries", "{inputs}/queries.jsonl",
             "--qrels", "{inputs}/qrels.txt"),
    "embed": ("embed", "{project}", "--sentences", "40"),
    "fit": ("fit", "{project}", *FIT),
    "name": ("name", "{project}"),
    "name by a lexicon": ("name", "{project}", "--namer", "lexicon"),
    "judge": ("judge", "{project}"),
    "index build": ("index", "build", "{project}"),
    "tokens": ("tokens", "{project}", "--n-latents", "24", "--k", "4", "--steps", "20", "--batch-size", "16"),
    "evaluate": ("evaluate", "{project}", "--sums", "BM25 + 2 codes"),
    "report": ("report", "{project}", "--query", "moon over the sea"),
    "pretrain": ("pretrain", "{project}"),
}  # fmt: skip
"""The commands that make a whole project, in order."""
EDITS = (
    ("concepts", "rename", "{project}", "1", "a person's name"),
    ("concepts", "flag", "{project}", "4", "a remark"),
    ("concepts", "merge", "{project}", "6", "5"),
    ("concepts", "lock", "{project}", "7"),
)


def filled(words: Sequence[str], case: Path) -> list[str]:
    """The words of a command with the places of a case in them."""
    places = {name: str(case / name) for name in ("project", "inputs", "out")}
    return [word.format(**places) for word in words]


def make_whole(case: Path) -> None:
    """A whole project with edits, its inputs beside it, files that are somebody else's, and a folder for results."""
    make_inputs(case / "inputs")
    make_guard(case / "guard")
    (case / "out").mkdir()
    for words in (*STAGES.values(), *EDITS):
        done = command(*filled(words, case))
        if done.code:
            raise RuntimeError(f"{words}: {done.output}{done.traceback}")
    made = SAE.load(case / "project" / "sae")
    made.save(case / "out" / "sae")
    for words in (
        ("concepts", "export", "{project}", "{out}/names.csv"),
        ("search-all", "{project}", "{out}/run.trec"),
        ("sae", "export", "{project}/sae", "{inputs}/foreign", "--format", "saelens"),
    ):
        done = command(*filled(words, case))
        if done.code:
            raise RuntimeError(f"{words}: {done.output}{done.traceback}")


def make_guard(folder: Path) -> None:
    """Files of the user, which nothing may touch."""
    for name in ("thesis.tex", "sub/data.csv", "sae.old/model.bin", "concepts.partial/notes.txt", ".bashrc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"precious {name}\n")
