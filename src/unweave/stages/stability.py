"""The study whether a project's explanations stay when a text is said otherwise, and by another dictionary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Explanation
from unweave.encode.encoders import NoEncoder
from unweave.errors import BadData
from unweave.evaluation.stability import Accounts, Stable, stable
from unweave.explaining.accounting import explain_dense
from unweave.retrieval.query import VECTOR
from unweave.sae.agreement import RETURNS
from unweave.stages.accounts import one_sided
from unweave.stages.agree import Compared, compare_saes
from unweave.stages.asked import Asked, QueryId, read_all
from unweave.stages.catalogue import Catalogue
from unweave.stages.causes import drawn
from unweave.stages.saes import opened_sae
from unweave.stages.workspace import Workspace
from unweave.texts.rephrasing import Paraphrase, bare, reordered, synonyms_of, with_synonyms, wordnet_sets

logger = logging.getLogger(__name__)

HITS = 3
"""Hits of a query whose accounts are compared."""
_SEED = 0
Change = Callable[[str], str]


class Explained(NamedTuple):
    """A query and the accounts of its first hits' dense scores."""

    vector: NDArray[np.float32]  # (d_in,)
    positions: NDArray[np.int64]  # (n_hits,)
    accounts: list[Explanation]


def stability(
    project: Workspace, other: Path | None, paraphrases: Sequence[Paraphrase], synonyms: Path | None, most: int
) -> list[Stable]:
    """How much of the accounts of dense scores stays under each change.

    Raises:
        BadData: there are no two queries, or the other SAE reads other embeddings.
        MissingArtifact: there is no other SAE in that folder.
    """
    queries = drawn(project, most) if project.uses("queries") or not paraphrases else []
    found: list[Stable | None] = []
    if queries:
        asked = _explained(project, [QueryId(query.query_id) for query in queries])
        if other is not None:
            found.append(_by_another(project, asked, other))
        if isinstance(project.encoder, NoEncoder):
            logger.warning("the embeddings were brought along without their encoder, so no text is changed")
        else:
            known = synonyms_of(wordnet_sets(synonyms)) if synonyms is not None else {}
            for said, change in _changes(project, known).items():
                found.append(_of_queries(project, said, asked, [query.text for query in queries], change))
                found.append(_of_passages(project, said, asked, change))
    if paraphrases:
        found.append(_of_paraphrases(project, paraphrases))
    return [one for one in found if one is not None]


def _changes(project: Workspace, synonyms: Mapping[str, str]) -> dict[str, Change]:
    language, random = project.settings.embed.language, np.random.default_rng(_SEED)
    changes: dict[str, Change] = {
        "sentences in another order": partial(reordered, language=language, random=random),
        "small letters, no punctuation": bare,
    }
    return changes | ({"words for synonyms": partial(with_synonyms, synonyms=synonyms)} if synonyms else {})


def _explained(project: Workspace, queries: Sequence[Asked]) -> list[Explained]:
    """Queries and the accounts of their first hits."""
    if len(queries) < 2 or len(project.corpus) < 2:
        raise BadData(
            f"{len(queries)} queries and {len(project.corpus)} passages are there, and each account stands beside that "
            "of another query or passage; give two of each at least"
        )
    dense, found = Catalogue(project)["dense"], []
    for asked in read_all(project, queries, frozenset({VECTOR})):
        positions = dense.search(asked, HITS).passages.astype(np.int64)
        vector = asked.embedding()
        found.append(Explained(vector, positions, one_sided(project, vector, positions.tolist())))
    return found


def _by_another(project: Workspace, asked: Sequence[Explained], other: Path) -> Stable | None:
    """The same scores accounted for by another dictionary, whose latents are matched one to one."""
    compared = compare_saes(project.path, other, project.path)
    sae, _ = opened_sae(other)
    passages = project.embedded("passages")

    def accounts() -> Iterator[list[Accounts]]:
        for one in asked:
            rows = passages.take(one.positions).astype(np.float64)
            scores = (rows @ one.vector.astype(np.float64)).tolist()
            yield _beside(one.accounts, explain_dense(scores, one.vector, rows, sae))

    return stable("dictionary", f"another one; {compared.runs.said}", accounts(), partners(compared))


def partners(compared: Compared) -> dict[int, int]:
    """The other SAE's latent for each of the first's that returns in it."""
    matching = compared.agreement.matching
    returning = np.flatnonzero(np.nan_to_num(matching.agreement) >= RETURNS)
    return dict(zip(returning.tolist(), matching.partners[returning].tolist(), strict=True))


def _of_queries(
    project: Workspace, said: str, asked: Sequence[Explained], texts: Sequence[str], change: Change
) -> Stable | None:
    """The query changed, its hits as they were; beside them stands the next query's account of the same hits."""
    changed = {i: new for i, text in enumerate(texts) if (new := change(text)) != text and new.strip()}
    if not changed:
        return None
    vectors = project.encoder.encode_queries(list(changed.values()))
    return stable("query", said, _with_vectors(project, asked, dict(zip(changed, vectors, strict=True))))


def _of_paraphrases(project: Workspace, pairs: Sequence[Paraphrase]) -> Stable | None:
    asked = _explained(project, [pair.query for pair in pairs])
    vectors = [read.embedding() for read in read_all(project, [pair.paraphrase for pair in pairs], frozenset({VECTOR}))]
    return stable("query", "the paraphrases given", _with_vectors(project, asked, dict(enumerate(vectors))))


def _with_vectors(
    project: Workspace, asked: Sequence[Explained], vectors: Mapping[int, NDArray[np.float32]]
) -> Iterator[list[Accounts]]:
    """Accounts of each query's hits, by its changed embedding and by that of the next query."""
    for i, vector in vectors.items():
        one, positions = asked[i], asked[i].positions.tolist()
        changed, another = (one_sided(project, of, positions) for of in (vector, asked[(i + 1) % len(asked)].vector))
        yield list(map(Accounts, one.accounts, changed, another))


def _of_passages(project: Workspace, said: str, asked: Sequence[Explained], change: Change) -> Stable | None:
    """The hits changed and embedded anew; beside each stands the account of another of the query's hits."""
    corpus, contents = project.corpus, {}
    for at in np.unique(np.concatenate([one.positions for one in asked])).tolist():
        passage = corpus[at]
        changed = passage._replace(title=change(passage.title), text=change(passage.text))
        if changed.content != passage.content and changed.content:
            contents[at] = changed.content
    if not contents:
        return None
    rows = dict(zip(contents, project.encoder.encode_passages(list(contents.values())), strict=True))

    def accounts() -> Iterator[list[Accounts]]:
        for one in asked:
            held = [i for i, at in enumerate(one.positions.tolist()) if at in rows]
            if not held:
                continue
            new = np.stack([rows[int(one.positions[i])] for i in held]).astype(np.float64)
            scores = (new @ one.vector.astype(np.float64)).tolist()
            changed = dict(zip(held, explain_dense(scores, one.vector, new, project.sae), strict=True))
            beside = one.accounts[1:] + one.accounts[:1]
            yield [Accounts(one.accounts[i], why, beside[i]) for i, why in changed.items()]

    return stable("passage", said, accounts())


def _beside(mine: Sequence[Explanation], theirs: Sequence[Explanation]) -> list[Accounts]:
    """The accounts of a query's hits by two dictionaries, each beside the other's account of the next hit."""
    return list(map(Accounts, mine, theirs, [*theirs[1:], *theirs[:1]]))
