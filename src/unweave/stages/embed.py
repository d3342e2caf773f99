"""The stage that embeds a project's texts, or takes embeddings that were made elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.artifact import read_manifest, verify
from unweave.base.files import file_digest
from unweave.base.foreign import shown
from unweave.config import AUTO, PRECOMPUTED
from unweave.encode.brought import open_vectors, refuse_other_encoder
from unweave.encode.embeddings import TEXTS_FILE, Embeddings, digests_of
from unweave.encode.encoder import same_encoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.sae.latents import write_latents
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Contents, Corpus
from unweave.texts.readers import read_lines
from unweave.texts.sentences import draw_sentences, has_sentences

logger = logging.getLogger(__name__)


def embed(project: Workspace) -> list[Outcome]:
    """Embed the queries, the passages and, as the settings say, sentences of the passages."""
    outcomes = []
    encoder = project.named_encoder  # first: what is wrong with it is said before any work
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
    # Passages first: whether other texts can be embedded depends on what embedded them.
    outcomes.append(embed_texts(project, "passages", Contents(project.corpus), encoder.encode_passages))
    if len(project.queries):
        outcomes.append(embed_texts(project, "queries", _asked(project), project.encoder.encode_queries))
    if config.sentences and (sentences := project.sentences) is not None:
        outcomes.append(embed_texts(project, "sentences", Contents(sentences), project.encoder.encode_passages))
    return outcomes


def embed_texts(
    project: Workspace, of: str, texts: Sequence[str], encode: Callable[[list[str]], NDArray[np.float32]]
) -> Outcome:
    """Embed passages, sentences, queries or a lexicon's phrases, unless they are embedded.

    Where the texts have changed since they were embedded, those that are among the old ones keep their rows.
    """
    name = f"embeddings/{of}"
    settings, made_from = {"encoder": _identity(project, of)}, project.made_from(_source(of))

    def make() -> None:
        Embeddings.write(
            project.path / name, digests_of(texts), lambda at: encode([texts[i] for i in at.tolist()]),
            label=f"embedding {of}", settings=settings, made_from=made_from,
            known=_known(project.path / name, settings),
        )  # fmt: skip

    return ensure(project, name, make, settings=settings, made_from=made_from, holds=[TEXTS_FILE])


def _known(folder: Path, settings: Mapping[str, Any]) -> Embeddings | None:
    """The embeddings that are there, whatever of, if they are whole and were made with these settings."""
    try:
        manifest = read_manifest(folder, Embeddings.kind)
        if manifest.settings != settings:
            return None
        verify(folder, manifest)
        return Embeddings.load(folder)
    except (MissingArtifact, CorruptArtifact):
        return None


def _asked(project: Workspace) -> list[str]:
    return [query.text for query in project.queries.all]


def _identity(project: Workspace, of: str) -> dict[str, Any]:
    """What decides these embeddings; what is there stays if it only came about in another way that nobody asked for."""
    wanted = project.encoder_identity(of)
    try:
        there: dict[str, Any] = read_manifest(project.path / "embeddings" / of, Embeddings.kind).settings["encoder"]
    except (MissingArtifact, CorruptArtifact):
        return wanted
    asked_for = project.settings.encoder.precision != AUTO and "files" not in there
    return wanted if asked_for or not same_encoder(there, wanted) else there


def _source(of: str) -> str:
    """The artefact that holds the texts of this kind."""
    return "corpus" if of == "passages" else of


def bring_embeddings(
    project: Workspace, of: str, vectors: Path, ids: Path | None, *, by_encoder: bool = False
) -> Outcome:
    """Use embeddings that were made elsewhere for the passages or the queries.

    Args:
        of: `passages` or `queries`.
        vectors: a `.npy` file, (n, d_in).
        ids: a text file with the id of each row, one a line; without it, rows are in the project's order.
        by_encoder: they were made by the encoder that the settings name, which is checked on a few texts; otherwise
            it is not known what made them, and where that goes for passages, no text can be a query.

    Raises:
        BadData: the file is no array of numbers, its rows and ids do not fit the project's, or the encoder's or the
            passages' embeddings are others.
    """
    array, order = _read(project, of, vectors, ids)
    if of == "queries" and project.has("embeddings/passages"):
        d_in = project.embedded("passages").d_in
        if array.shape[1] != d_in:
            raise BadData(f"{vectors}: rows are {array.shape[1]} wide, but the passages' embeddings {d_in}")
    identity: dict[str, Any] = {"model": PRECOMPUTED}
    if by_encoder:
        identity = {name: value for name, value in project.encoder_identity(of).items() if name != "precision"}
        _check_encoder(project, of, array, order, str(vectors))
    digests = {path.name: file_digest(path) for path in (vectors, ids) if path is not None}
    Embeddings.write(
        project.path / "embeddings" / of,
        digests_of(Contents(project.corpus) if of == "passages" else _asked(project)),
        lambda at: _as_float32(array[order[at]]),
        label=f"reading {of} from {vectors.name}",
        settings={"encoder": identity | {"files": digests}},
        made_from=project.made_from(_source(of)),
    )
    if of == "passages" and not by_encoder:
        project.keep("encoder", model=PRECOMPUTED)
    manifest = project.manifest(f"embeddings/{of}")
    return Outcome(f"embeddings/{of}", True, manifest.seconds, manifest.results)


def _read(
    project: Workspace, of: str, vectors: Path, ids: Path | None
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """An array of embeddings, (n, d_in), and which of its rows each of the project's texts has."""
    array = open_vectors(vectors)
    wanted = project.corpus.ids if of == "passages" else [query.query_id for query in project.queries.all]
    order = np.arange(len(array)) if ids is None else _order(wanted, ids, of, n_rows=len(array))
    if len(order) != len(wanted) or order.max(initial=-1) >= len(array):
        raise BadData(f"{vectors} has {len(array)} rows, but the project has {len(wanted)} {of}; give their ids too")
    return array, order


def _check_encoder(
    project: Workspace, of: str, array: NDArray[np.floating[Any]], order: NDArray[np.int64], what: str
) -> None:
    """Refuse brought embeddings that are not those of the encoder that the settings name."""
    encoder = project.named_encoder
    corpus, queries = project.corpus, project.queries
    text_of, encode = (
        ((lambda i: corpus[i].content), encoder.encode_passages)
        if of == "passages"
        else ((lambda i: queries.all[i].text), encoder.encode_queries)
    )
    refuse_other_encoder(
        lambda some: _as_float32(array[order[some]]), len(order), text_of, encode, what=what,
        encoder=encoder.identity["model"],
    )  # fmt: skip


def _as_float32(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):  # what becomes infinite or 0 is refused as such
        return np.asarray(rows, dtype=np.float32)


def _order(wanted: list[str], ids: Path, of: str, n_rows: int) -> NDArray[np.int64]:
    """Which row of the file each of the project's texts has."""
    given = [line.rstrip("\r\n") for line in read_lines(ids)]
    if len(given) != n_rows:
        raise BadData(f"{ids} has {len(given)} ids, but the embeddings have {n_rows} rows; each row needs its id")
    row = {name: i for i, name in enumerate(given)}
    if len(row) != len(given):
        raise BadData(f"{ids}: {len(given) - len(row)} id(s) occur more than once")
    missing = [name for name in wanted if name not in row]
    if missing:
        raise BadData(f"{ids}: {len(missing)} of the project's {of} have no embedding, first {shown(missing[0])}")
    return np.array([row[name] for name in wanted], dtype=np.int64)


# --- latents --------------------------------------------------------------------------------------


def encode_texts(
    project: Workspace, name: str, latents_of: Callable[[int, int], csr_array], *, n_latents: int, label: str,
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
