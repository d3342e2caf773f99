"""Stages of a project: embed and index; fit is in `fitting`, name and judge are in `concepts.stages`.

Each makes its artefacts once, and says so.
"""

from __future__ import annotations

import json
import logging
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.artifact import file_digest, read_manifest
from unweave.corpus import Corpus
from unweave.embeddings import Embeddings
from unweave.encoders import PRECOMPUTED
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, ScoringUndefined
from unweave.index import codes
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES, Scoring
from unweave.latents import write_latents
from unweave.project import ARTIFACTS, Project
from unweave.sentences import draw_sentences, has_sentences

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What a stage did about one artefact."""

    artifact: str
    fresh: bool
    """False if it was there already, up to date."""
    seconds: float
    """Time it took to make, whenever that was."""
    results: dict[str, Any]


def is_stale(folder: Path, kind: str, settings: Mapping[str, Any], made_from: Mapping[str, str]) -> bool:
    """Whether an artefact is missing, damaged, or made with other settings or from other sources."""
    try:
        there = read_manifest(folder, kind)
    except (MissingArtifact, CorruptArtifact):
        return True
    return (there.settings, there.made_from) != (json.loads(json.dumps(settings)), dict(made_from))


def ensure(
    project: Project,
    name: str,
    make: Callable[[], object],
    *,
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> Outcome:
    """Make an artefact unless it is there, whole, with these settings and sources."""
    folder, kind = project.path / name, ARTIFACTS[name].kind
    fresh = is_stale(folder, kind, settings, made_from)
    if fresh:
        make()
    manifest = read_manifest(folder, kind)
    return Outcome(name, fresh, manifest.seconds, manifest.results)


# --- embed ----------------------------------------------------------------------------------------


def embed(project: Project) -> list[Outcome]:
    """Embed the queries, the passages and, as the settings say, sentences of the passages."""
    outcomes = []
    config = project.settings.embed
    if config.sentences and has_sentences(project.corpus, config.language):
        settings, made_from = asdict(config), project.made_from("corpus")
        outcomes.append(
            ensure(
                project,
                "sentences",
                lambda: Corpus.write(
                    project.path / "sentences",
                    draw_sentences(project.corpus, config.sentences, config.language),
                    settings=settings,
                    made_from=made_from,
                ),
                settings=settings,
                made_from=made_from,
            )
        )
    encoder = project.encoder
    if len(project.queries):
        texts = [query.text for query in project.queries.all]
        outcomes.append(embed_texts(project, "queries", len(texts), lambda a, b: encoder.encode_queries(texts[a:b])))
    sentences = project.sentences if config.sentences else None
    for of, corpus in (("passages", project.corpus), ("sentences", sentences)):
        if corpus is not None:
            rows = encode_passages(project, corpus)
            outcomes.append(embed_texts(project, of, len(corpus), rows))
    return outcomes


def encode_passages(project: Project, corpus: Corpus) -> Callable[[int, int], NDArray[np.float32]]:
    """The embeddings of passages start to end - 1 of a corpus, by (start, end)."""
    return lambda a, b: project.encoder.encode_passages([passage.content for passage in corpus[a:b]])


def embed_texts(project: Project, of: str, n: int, rows: Callable[[int, int], NDArray[np.float32]]) -> Outcome:
    """Embed passages, sentences, queries or a lexicon's phrases, unless they are embedded.

    Args:
        rows: called with (start, end), returns their embeddings, (end - start, d_in).
    """
    name = f"embeddings/{of}"
    settings, made_from = {"encoder": project.encoder_identity(of)}, project.made_from(_source(of))
    return ensure(
        project,
        name,
        lambda: Embeddings.write(
            project.path / name, n, rows, label=f"embedding {of}", settings=settings, made_from=made_from
        ),
        settings=settings,
        made_from=made_from,
    )


def _source(of: str) -> str:
    """The artefact that holds the texts of this kind."""
    return "corpus" if of == "passages" else of


def bring_embeddings(project: Project, of: str, vectors: Path, ids: Path | None) -> Outcome:
    """Use embeddings that were made elsewhere for the passages or the queries.

    Args:
        of: `passages` or `queries`.
        vectors: a `.npy` file, (n, d_in).
        ids: a text file with the id of each row, one a line; without it, rows are in the project's order.

    Raises:
        BadData: the file is no array of numbers, or its rows and ids do not fit the project's.
    """
    try:
        array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, tokenize.TokenError) as error:
        raise BadData(f"{vectors}: not a whole .npy array ({error})") from error
    if not isinstance(array, np.ndarray):
        raise BadData(f"{vectors}: several arrays (.npz) came in, expected one .npy array")
    if array.ndim != 2 or array.dtype.kind != "f":
        raise BadData(f"{vectors}: expected floats of shape (n, d_in), got {array.dtype} of shape {array.shape}")
    wanted = project.corpus.ids if of == "passages" else [query.query_id for query in project.queries.all]
    order = np.arange(len(array)) if ids is None else _order(wanted, ids, of, n_rows=len(array))
    if len(order) != len(wanted) or order.max(initial=-1) >= len(array):
        raise BadData(f"{vectors} has {len(array)} rows, but the project has {len(wanted)} {of}; give their ids too")
    digests = {path.name: file_digest(path) for path in (vectors, ids) if path is not None}
    settings = {"encoder": {"model": PRECOMPUTED, "files": digests}}
    made_from = project.made_from(_source(of))
    Embeddings.write(
        project.path / "embeddings" / of,
        len(wanted),
        lambda a, b: _as_float32(array[order[a:b]]),
        label=f"reading {of} from {vectors.name}",
        settings=settings,
        made_from=made_from,
    )
    manifest = project.manifest(f"embeddings/{of}")
    return Outcome(f"embeddings/{of}", True, manifest.seconds, manifest.results)


def _as_float32(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        return np.asarray(rows, dtype=np.float32)


def _order(wanted: list[str], ids: Path, of: str, n_rows: int) -> NDArray[np.int64]:
    """Which row of the file each of the project's texts has."""
    try:
        lines = ids.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BadData(f"{ids}: not UTF-8 text ({error})") from error
    given = [line.removesuffix("\r") for line in lines]
    if len(given) != n_rows:
        raise BadData(f"{ids} has {len(given)} ids, but the embeddings have {n_rows} rows; each row needs its id")
    row = {name: i for i, name in enumerate(given)}
    if len(row) != len(given):
        raise BadData(f"{ids}: {len(given) - len(row)} id(s) occur more than once")
    missing = [name for name in wanted if name not in row]
    if missing:
        raise BadData(f"{ids}: {len(missing)} of the project's {of} have no embedding, first {missing[0]!r}")
    return np.array([row[name] for name in wanted], dtype=np.int64)


# --- index ----------------------------------------------------------------------------------------


def index(project: Project) -> list[Outcome]:
    """Build one concept index a scoring profile, and the codes that rescoring reads.

    The few passages, one in a hundred at most, for which a profile's formula is undefined are left out of its
    index and counted; a profile that is undefined for more has none.
    """
    outcomes = []
    n_latents = project.sae.config.n_latents
    for profile, scoring in PROFILES.items():
        name = f"index/{profile}"
        try:
            outcomes.append(
                build_index(project, name, lambda: project.latents, scoring, n_latents=n_latents, source="latents")
            )
        except ScoringUndefined as error:
            outcomes.append(Outcome(name, False, 0.0, {"undefined": str(error)}))
    return [*outcomes, _codes(project)]


def build_index(
    project: Project, name: str, latents: Callable[[], csr_array], scoring: Scoring, *, n_latents: int, source: str
) -> Outcome:
    """Index the passages' latents, unless they are.

    Args:
        latents: called for them, (n_passages, n_latents), if the index has to be built.
        source: the artefact that holds them.

    Raises:
        ScoringUndefined: the formula is undefined for more than a few passages.
    """
    made_from = project.made_from(source)
    return ensure(
        project,
        name,
        lambda: ConceptIndex.build(
            project.path / name, latents(), scoring, ids=project.corpus.ids, made_from=made_from
        ),
        settings={"scoring": asdict(scoring), "n_latents": n_latents},
        made_from=made_from,
    )


def encode_texts(
    project: Project, name: str, latents_of: Callable[[int, int], csr_array], *, n_latents: int, label: str,
    sources: tuple[str, ...],
) -> Outcome:  # fmt: skip
    """Find the passages' latents, unless they are found.

    Args:
        latents_of: called with (start, end), returns those of passages start to end - 1.
        sources: the artefacts that they are made from.
    """
    settings, made_from = {"n_latents": n_latents}, project.made_from(*sources)
    return ensure(
        project,
        name,
        lambda: write_latents(
            project.path / name, len(project.corpus), latents_of, label=label, settings=settings, made_from=made_from
        ),
        settings=settings,
        made_from=made_from,
    )


def _codes(project: Project) -> Outcome:
    config = project.settings.index
    embeddings = project.embeddings("passages")
    assert embeddings is not None
    n_latents = project.sae.config.n_latents
    made_from = project.made_from("embeddings/passages", "sae")

    def make() -> None:
        made = codes.encode(project.sae, embeddings, config.code_k)
        made.save(project.path / "codes", n_latents, settings=asdict(config), made_from=made_from)

    outcome = ensure(project, "codes", make, settings=asdict(config) | {"n_latents": n_latents}, made_from=made_from)
    vars(project).pop("codes", None)
    return outcome
