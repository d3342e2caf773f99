"""The stage that embeds a project's texts, or takes embeddings that were made elsewhere."""

from __future__ import annotations

import logging
import tokenize
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.artifact import read_manifest
from unweave.base.files import file_digest
from unweave.config import AUTO, PRECOMPUTED
from unweave.encode.brought import refuse_other_encoder
from unweave.encode.embeddings import Embeddings
from unweave.encode.encoder import Encoder, same_encoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.sae.latents import write_latents
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Corpus
from unweave.texts.sentences import draw_sentences, has_sentences

logger = logging.getLogger(__name__)


def embed(project: Workspace) -> list[Outcome]:
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
    # Passages first: whether other texts can be embedded depends on what embedded them.
    outcomes.append(embed_texts(project, "passages", len(project.corpus), _rows(project.named_encoder, project.corpus)))
    if len(project.queries):
        texts = [query.text for query in project.queries.all]
        encode = project.encoder.encode_queries
        outcomes.append(embed_texts(project, "queries", len(texts), lambda a, b: encode(texts[a:b])))
    if config.sentences and (sentences := project.sentences) is not None:
        rows = encode_passages(project, sentences)
        outcomes.append(embed_texts(project, "sentences", len(sentences), rows))
    return outcomes


def encode_passages(project: Workspace, corpus: Corpus) -> Callable[[int, int], NDArray[np.float32]]:
    """The embeddings of texts start to end - 1 of a corpus, by (start, end), beside those of the project's passages."""
    return _rows(project.encoder, corpus)


def _rows(encoder: Encoder, corpus: Corpus) -> Callable[[int, int], NDArray[np.float32]]:
    return lambda a, b: encoder.encode_passages([passage.content for passage in corpus[a:b]])


def embed_texts(project: Workspace, of: str, n: int, rows: Callable[[int, int], NDArray[np.float32]]) -> Outcome:
    """Embed passages, sentences, queries or a lexicon's phrases, unless they are embedded.

    Args:
        rows: called with (start, end), returns their embeddings, (end - start, d_in).
    """
    name = f"embeddings/{of}"
    settings, made_from = {"encoder": _identity(project, of)}, project.made_from(_source(of))
    return ensure(
        project,
        name,
        lambda: Embeddings.write(
            project.path / name, n, rows, label=f"embedding {of}", settings=settings, made_from=made_from
        ),
        settings=settings,
        made_from=made_from,
    )


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
        len(order),
        lambda a, b: _as_float32(array[order[a:b]]),
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
    return array, order


def _check_encoder(
    project: Workspace, of: str, array: NDArray[np.floating[Any]], order: NDArray[np.int64], what: str
) -> None:
    """Refuse brought embeddings that are not those of the encoder that the settings name."""
    encoder = project.named_encoder
    if of == "passages":
        texts, encode = [passage.content for passage in project.corpus], encoder.encode_passages
    else:
        texts, encode = [query.text for query in project.queries.all], encoder.encode_queries
    refuse_other_encoder(
        lambda some: _as_float32(array[order[some]]), texts, encode, what=what, encoder=encoder.identity["model"]
    )


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
