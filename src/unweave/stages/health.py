"""Whether a project is whole, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.artifact import MANIFEST, read_manifest, verify
from unweave.base.building import in_the_making
from unweave.base.files import is_aside
from unweave.concepts.layout import ConceptMap
from unweave.concepts.store import Concepts
from unweave.encode.embeddings import Embeddings
from unweave.errors import CorruptArtifact, MissingArtifact, StaleArtifact
from unweave.evaluation.table import Evaluation
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.retrieval.bm25 import BM25
from unweave.sae.latents import load_latents
from unweave.sae.model import SAE
from unweave.stages.places import ARTIFACTS
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet

WHOLE, DAMAGED, STALE = "whole", "damaged", "out of date"
_OPENED: Mapping[str, Callable[[Path], Any]] = {
    "corpus": Corpus.load, "queries": lambda folder: QuerySet.load(folder).all, "embeddings": Embeddings.load,
    "sae": SAE.load, "latents": load_latents, "concepts": lambda folder: list(Concepts.load(folder)),
    "index": ConceptIndex.open, "bm25": BM25.load, "codes": Codes.load, "evaluation": Evaluation.load,
    "map": ConceptMap.load,
}  # fmt: skip
"""How an artefact of each kind is opened, which also compares its parts with each other."""
_STEPS = {
    "embeddings/passages": "the passages are not embedded yet", "sae": "no SAE is trained yet",
    "concepts": "the concepts have no names yet", "index/default": "there is no index yet",
}  # fmt: skip
_BY_HAND = ("corpus", "queries")
"""What no command makes again in a project that is there."""


class Found(NamedTuple):
    """The state of one artefact."""

    artifact: str
    """Its name in the project."""
    state: str
    """`whole`, `damaged` or `out of date`."""
    n_bytes: int
    """Of all its files."""
    said: str
    """What is wrong; empty if it is whole."""


class Advice(NamedTuple):
    """Something to do."""

    about: str
    """What is wrong, missing or left over."""
    run: str
    """The command that mends it; empty where a person has to."""


def check(project: Workspace) -> list[Found]:
    """Read every byte of every artefact that is there, and compare it with what was written."""
    return [_checked(project, name) for name in ARTIFACTS if _is_there(project.path / name)]


def _is_there(folder: Path) -> bool:
    return folder.is_dir() and ((folder / MANIFEST).exists() or any(folder.glob("*.*")))


def _checked(project: Workspace, name: str) -> Found:
    folder, kind = project.path / name, ARTIFACTS[name].kind
    n_bytes = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        manifest = read_manifest(folder, kind)
        verify(folder, manifest)
        _OPENED[kind](folder)
    except (CorruptArtifact, MissingArtifact) as error:
        return Found(name, DAMAGED, n_bytes, str(error))
    try:
        project.manifest(name)
    except (StaleArtifact, MissingArtifact, CorruptArtifact) as error:
        return Found(name, STALE, n_bytes, str(error))
    return Found(name, WHOLE, n_bytes, "")


def advice(project: Workspace) -> list[Advice]:
    """What to do about a project, in the order in which to do it; nothing if all is well."""
    found = {one.artifact: one for one in check(project)}
    return [*_repairs(project, found), *_left_over(project), *_settings(project), *_next(project, found)]


def _repairs(project: Workspace, found: Mapping[str, Found]) -> Iterator[Advice]:
    """The commands that make anew what is damaged, then what is out of date, each once."""
    commands: dict[str, list[str]] = {}
    for state in (DAMAGED, STALE):
        for one in found.values():
            if one.state != state:
                continue
            if one.artifact in _BY_HAND and state == DAMAGED:
                yield Advice(f"{one.said}; put a copy of {one.artifact} in its place, or make a new project", "")
            else:
                reasons = commands.setdefault(ARTIFACTS[one.artifact].command, [])
                reasons.append(f"{one.artifact} is {state}: {one.said}")
    for command, reasons in commands.items():
        yield Advice("; ".join(reasons), f"unweave {command} {project.path}")


def _left_over(project: Workspace) -> Iterator[Advice]:
    """What killed processes left; unfinished work is worth going on with."""
    for name, place in ARTIFACTS.items():
        partial = in_the_making(project.path / name)
        if partial.is_dir():
            said = f"making {name} was broken off, or goes on in another process"
            yield Advice(said, f"unweave {place.command} {project.path}")
    for path in sorted(project.path.rglob(".*.unweave")):
        if is_aside(path) and not any(parent.name.endswith(".unweave-build") for parent in path.parents):
            yield Advice(f"{path} was left by a command that was killed; it may be deleted", "")


def _settings(project: Workspace) -> Iterator[Advice]:
    for stage, setting, made_with, now, artifact in project.unapplied():
        command = ARTIFACTS[artifact].command
        yield Advice(
            f"[{stage}] {setting} is {now!r} now, and {artifact} was made with {made_with!r}",
            f"unweave {command} {project.path}",
        )


def _next(project: Workspace, found: Mapping[str, Found]) -> Iterator[Advice]:
    """The first step of a project that was not taken yet."""
    missing = next((name for name in _STEPS if name not in found), None)
    if missing is not None:
        yield Advice(_STEPS[missing], f"unweave {ARTIFACTS[missing].command} {project.path}")
