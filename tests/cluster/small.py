"""A corpus in two small shards, worked on by a toy encoder: a whole pipeline in a second."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unweave.cluster.sharded import create
from unweave.config import SAEConfig
from unweave.project import Project
from unweave.sae.model import SAE

WIDTH = 8
WORDS = ["moon", "sea", "wind", "blade", "tower", "wave", "light", "stone", "river", "cloud", "tide", "sand"]


class ToyEncoder:
    """Each word has a direction; a text is the sum of its words'."""

    identity: dict[str, Any] = {"model": "toy", "normalize": True}  # noqa: RUF012 - never mutated

    def __init__(self, config: object = None) -> None:
        pass

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        rows = [sum(_direction(word) for word in text.lower().split()) for text in texts]
        rows = np.array(rows, np.float32).reshape(len(texts), WIDTH)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_queries = encode_passages


def _direction(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH)


def write_files(folder: Path) -> Path:
    """Two files of ten passages of four words."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        rows = [{"_id": f"{name}{i}", "text": " ".join(random.choice(WORDS, 4))} for i in range(10)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def dictionary(folder: Path) -> Path:
    """An SAE with a latent for each word."""
    axes = np.stack([_direction(word) for word in WORDS]).astype(np.float32)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    none, config = np.zeros(len(WORDS), np.float32), SAEConfig(d_in=WIDTH, n_latents=len(WORDS), k=4)
    SAE(config, axes / 2, none, axes, np.zeros(WIDTH, np.float32), threshold=np.array([0.1], np.float32)).save(folder)
    return folder


def project_of(folder: Path, store: str, sae: Path) -> Project:
    """A new project whose shards hold ten passages each."""
    shards = create(folder, {"store": store, "size": 10, "sample": 12, "strongest": 2})
    return opened(folder, shards, sae)


def opened(folder: Path, shards: dict[str, Any], sae: Path) -> Project:
    fit = {"dictionary": str(sae), "own_latents": 0}
    return Project.open(folder, {"shards": shards, "embed": {"sentences": 0}, "fit": fit})


def make_all(project: Project, files: Path, on: str = "here") -> None:
    """All commands, in order; each does what is not done."""
    project.sharded(on).cut([str(files)])
    for stage in (project.embed, project.fit, project.index):
        stage(on=on)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a store that is a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
